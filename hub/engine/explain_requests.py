"""A request to another system in plain English: where it goes, what goes along, and what has to come back."""

from collections.abc import Callable, Mapping

from hub.engine.program_steps import Computed, Do, Literally, Nested, Value
from hub.expr import Kind

Say = Callable[[Value], str]


def said(step: Do, say: Say) -> str:
    """Return the first sentence of a step that asks another system."""
    params = step.params
    method = say(params["method"]) if "method" in params else "GET"
    parts = ["Asks another system", f"with {method} at {_address(params.get('url'), say)}"]
    if "auth" in params:
        parts.append(f"signed in by {_listed(params['auth'], say)}")
    if "headers" in params:
        parts.append(f"with the headers {_listed(params['headers'], say)}")
    if "body" in params:
        parts.append(f"sending {say(params['body'])}")
    return ", ".join(parts) + "."


def expected(step: Do) -> str | None:
    """Return what the answer has to look like, if the step says so."""
    if step.shape is None:
        return None
    names = ", ".join(step.shape) if isinstance(step.shape, Mapping) else "a list"
    return f"The answer has to hold {names}; nothing else of it is kept."


def _address(url: Value | None, say: Say) -> str:
    match url:
        case Nested(parts=parts) if isinstance(parts, Mapping):
            base, path = parts.get("base"), parts.get("path")
        case Literally(value=Mapping() as given):
            base, path = (Literally(given[name]) if name in given else None for name in ("base", "path"))
        case _:
            return "an address worked out then"
    address = _secret(base, say) if base is not None else "an address worked out then"
    pieces: list[str] = []
    match path:
        case Nested(parts=inner) if not isinstance(inner, Mapping):
            pieces = [f"[{say(part)}]" if isinstance(part, Computed) else say(part) for part in inner]
        case Literally(value=list() as names):
            pieces = [str(name) for name in names]
        case _:
            pass
    if address.startswith("the secret "):
        address = f"[{address}]"
    return f"{address}/{'/'.join(pieces)}" if pieces else address


def _listed(value: Value, say: Say) -> str:
    if isinstance(value, Nested) and isinstance(value.parts, Mapping):
        return ", ".join(f"{name} = {_secret(part, say)}" for name, part in value.parts.items())
    return say(value)


def _secret(value: Value, say: Say) -> str:
    if isinstance(value, Computed) and value.expression.type.kind is Kind.SECRET:
        (path,) = value.expression.reads
        return f"the secret {path.removeprefix('secrets.')}"
    return say(value)
