"""`http.request` in a workflow file: its parts looked at together, secrets where they belong, and the type of its answer."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, final

from pydantic import ValidationError
from typing_extensions import override

from hub.engine.draft import Draft
from hub.engine.nodes import Location
from hub.engine.program_steps import Computed, Do, Literally, Nested, Value
from hub.engine.scopes import ANY, BOOL, NUMBER, STRING
from hub.expr import Kind, Type
from hub.intents.http_request import Call, SecretRef
from hub.intents.shape import MOST_FIELDS, Shape, may_be_missing, shape_problem

_AS_WRITTEN: Final = ("method", "expect", "sample", "idempotent")
_PLAIN: Final = {"string": STRING, "number": NUMBER, "bool": BOOL}


@final
class _Secrets(Mapping[str, Type]):
    """Any name may be one: which there are, only the configuration of a hub says."""

    @override
    def __getitem__(self, name: str) -> Type:
        return Type(Kind.SECRET)

    @override
    def __contains__(self, name: object) -> bool:
        return True

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(())

    @override
    def __len__(self) -> int:
        return MOST_FIELDS


SECRETS: Final = Type(Kind.OBJECT, fields=_Secrets())


def answer_type(shape: Shape | None) -> Type:
    """Return the type of what later steps read: a step that did not run is missing."""
    body = type_of(shape) if shape is not None else ANY
    fields = {
        "ok": BOOL,
        "state": STRING,
        "status": NUMBER.or_missing(),
        "reason": STRING.or_missing(),
        "assumed": BOOL.or_missing(),
        "body": body.or_missing(),
    }
    return Type(Kind.OBJECT, optional=True, fields=fields)


def type_of(shape: object) -> Type:
    match shape:
        case str():
            return _PLAIN[shape.removesuffix("?")].or_missing(may_be_missing(shape))
        case [item]:
            return Type(Kind.LIST, item=type_of(item))
        case Mapping():
            return Type(Kind.OBJECT, fields={str(name): type_of(inner) for name, inner in shape.items()})
        case _:
            return ANY


def request_of(draft: Draft, at: Location, made: Do) -> dict[str, Any]:
    """Return what running the request needs to know beside its parameters; everything wrong with it is noted."""
    params, location = made.params, (*at, "with")
    written = {name: params[name] for name in _AS_WRITTEN if name in params}
    for name, value in written.items():
        if not isinstance(value, Literally):
            draft.error((*location, name), f"`{name}` stands in the file as it is: no expression can say it")
    names: list[str] = []
    for where, name in _secrets(params, ()):
        names.append(name)
        if where[0] not in {"auth", "headers"} and where != ("url", "base"):
            draft.error(
                (*location, *where),
                "a secret stands in `auth`, in `headers` or as `url.base`, and nowhere else",
            )
    base = _base_of(params)
    if base is not None and not isinstance(base, Literally) and not _is_secret(base):
        draft.error(
            (*location, "url", "base"),
            "the address stands in the file or is a secret: data must not say where a request goes",
        )
    _fits_together(draft, location, params)
    expect = _literal(params.get("expect"))
    shape = expect.get("schema") if isinstance(expect, Mapping) else None
    sound = shape is not None and shape_problem(shape) is None
    method, idempotent = _literal(params.get("method")), _literal(params.get("idempotent"))
    return {
        "shape": shape if sound else None,
        "may_repeat": idempotent is True or method in {"GET", "PUT", "DELETE"},
        "secrets": frozenset(names),
    }


def _fits_together(draft: Draft, location: Location, params: Mapping[str, Value]) -> None:
    """Look at the whole with something in the place of every value that is not known yet."""
    stand_in = {name: _stand_in(value) for name, value in params.items()}
    if "body" in params:
        stand_in["body"] = True  # whatever it is
    try:
        Call.model_validate(stand_in)
    except ValidationError as error:
        for detail in error.errors(include_url=False)[:5]:
            inner: Location = ()
            for part in detail["loc"]:
                if draft.document.node((*location, *inner, part)) is not None:
                    inner = (*inner, part)
            names = ".".join(str(part) for part in inner)
            said = detail["msg"].removeprefix("Value error, ")
            draft.error((*location, *inner), f"`{names}`: {said}" if names else said)


def _stand_in(value: Value) -> Any:
    match value:
        case Literally(value=literal):
            return literal
        case Computed(expression=expression) if expression.type.kind is Kind.SECRET:
            return SecretRef(secret="x")  # noqa: S106 - the name of none
        case Computed(expression=expression):
            return Decimal(200) if expression.type.numeric else "x"
        case Nested(parts=parts) if isinstance(parts, Mapping):
            return {name: _stand_in(part) for name, part in parts.items()}
        case Nested(parts=parts):
            return [_stand_in(part) for part in parts if not isinstance(part, str)]
        case _:
            return "x"


def _secrets(value: Value | Mapping[str, Value], where: Location) -> Iterator[tuple[Location, str]]:
    match value:
        case Computed(expression=expression) if expression.type.kind is Kind.SECRET:
            (path,) = expression.reads
            yield where, path.removeprefix("secrets.")
        case Nested(parts=parts) if not isinstance(parts, Mapping):
            for number, part in enumerate(parts):
                yield from _secrets(part, (*where, number))
        case Nested(parts=parts) if isinstance(parts, Mapping):
            yield from _secrets(parts, where)
        case Mapping():
            for name, part in value.items():
                yield from _secrets(part, (*where, name))
        case _:
            pass


def _base_of(params: Mapping[str, Value]) -> Value | None:
    url = params.get("url")
    if isinstance(url, Nested) and isinstance(url.parts, Mapping):
        return url.parts.get("base")
    return url if isinstance(url, Computed) else None


def _is_secret(value: Value) -> bool:
    return isinstance(value, Computed) and value.expression.type.kind is Kind.SECRET


def _literal(value: Value | None) -> Any:
    return value.value if isinstance(value, Literally) else None
