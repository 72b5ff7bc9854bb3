"""One step's parameters: from the workflow's values to JSON the verb's model has checked."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hub.engine.messages import KNOWN_ROOTS
from hub.engine.program_steps import Computed, Do, Literally, Nested, Rendered, Value, Worded
from hub.engine.quotes import Quote
from hub.engine.scene import Env
from hub.errors import HubError
from hub.expr import UNKNOWN, Kind
from hub.expr.written import with_what_is_read
from hub.intents.http_request import Call, SecretRef
from hub.intents.verbs import HUMAN_TEXT, Params, Risk, Verb
from hub.text import TextError, one_line

MAX_PARAMS_BYTES = 64 * 1024
DEFAULT_DIGITS = 2
MANY_LINES = frozenset({"text", "html"})
ONE_LINE = HUMAN_TEXT - MANY_LINES
NOTHING_FIXED: Mapping[str, Any] = {}


class StepFailed(HubError):
    """The step cannot be carried out, now or later: `reason` is for a person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NothingToDo(HubError):
    """The step came to nothing, which is no failure: an amount of zero."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parameters(
    do: Do,
    env: Env,
    digits: int | None,
    fixed: Mapping[str, Any] = NOTHING_FIXED,
    quote: Quote | None = None,
) -> Params:
    """Return the step's parameters, checked. Raises StepFailed, or NothingToDo for an amount that is not above 0.

    `fixed` values stand as they are: those that people approved. An amount in another currency than the account's is
    booked by `quote`.
    """
    values = {
        name: fixed[name] if name in fixed else resolve(value, env, name) for name, value in do.params.items()
    }
    for name, value in values.items():
        if name in ONE_LINE and isinstance(value, str):
            # An expression may bring a line end where a header must not have one.
            values[name] = one_line(value)
    if do.verb.risk is Risk.MONEY and "amount" in values:
        values["amount"] = booked(converted(values["amount"], quote), digits, do.verb)
        if "amount" in fixed and quote is None and values["amount"] != fixed["amount"]:
            raise StepFailed(
                f"amount: {fixed['amount']} was approved, and {values['amount']} is what can be booked"
            )
    if do.verb.answers:
        _check_call(values)
    model = do.verb.params
    for name in _integers(model) & values.keys():
        values[name] = _integer(values[name])
    try:
        params = model.model_validate(values)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StepFailed(f"{where}: {first['msg']}") from problem
    return params


def _check_call(values: dict[str, Any]) -> None:
    try:
        Call.model_validate(values)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StepFailed(f"{where}: {first['msg']}" if where else first["msg"]) from problem


def encoded(params: Params) -> bytes:
    body = params.model_dump_json(exclude_none=True, by_alias=True).encode()
    if len(body) > MAX_PARAMS_BYTES:
        raise StepFailed(f"its parameters take {len(body)} bytes: at most {MAX_PARAMS_BYTES} are sent")
    return body


def resolve(value: Value, env: Env, name: str) -> Any:
    """Return what a value of a workflow file stands for now. A missing value fails the step: never a guess."""
    match value:
        case Literally(value=literal):
            return literal
        case Computed(expression=expression) if expression.type.kind is Kind.SECRET:
            (path,) = expression.reads
            return SecretRef(secret=path.removeprefix("secrets."))
        case Computed(expression=expression):
            found = expression.evaluate(env)
            if found is UNKNOWN:
                raise StepFailed(f"{name}: {expression.explain(env)}")
            return found
        case Rendered(template=template, reads=reads):
            try:
                text = template.render(with_what_is_read(reads, env) if reads else env)
            except TextError as problem:
                raise StepFailed(f"{name}: {problem.message}") from problem
            return text if name in MANY_LINES else one_line(text)
        case Worded():
            return _worded(value, env, name)
        case Nested(parts=parts):
            if isinstance(parts, Mapping):
                return {key: resolve(part, env, f"{name}.{key}") for key, part in parts.items()}
            return [resolve(part, env, f"{name}[{index}]") for index, part in enumerate(parts)]


def _worded(value: Worded, env: Env, name: str) -> str | None:
    """Return what a message by name says here, in the language it is said in."""
    chosen = value.chosen
    message = chosen.messages[resolve(chosen.name, env, "template")]
    if value.says == "template_version":
        return message.version
    wording = message.wording(_if_known(chosen.language, env) if chosen.language is not None else None)
    if value.says == "language":
        return wording.language
    part = wording.part(value.parts)
    if part is None:
        return None
    # A value that is missing stays out: the text may say what stands in for it.
    found = {each: _if_known(given, env) for each, given in chosen.values.items()}
    known = {each: given for each, given in found.items() if given is not None}
    try:
        text = wording.parts[part].render(
            {**{each: env[each] for each in KNOWN_ROOTS if each in env}, **known}
        )
    except TextError as problem:
        raise StepFailed(f"{name}: {message.name} in {wording.language}: {problem.message}") from problem
    return text if name in MANY_LINES else one_line(text)


def _if_known(value: Value, env: Env) -> Any:
    if isinstance(value, Computed):
        found = value.expression.evaluate(env)
        return None if found is UNKNOWN else found
    return resolve(value, env, "vars")


def converted(value: Any, quote: Quote | None) -> Any:
    """Return an amount in the account's currency, not rounded yet; what is no number is told of where it is rounded."""
    if quote is None or isinstance(value, bool) or not isinstance(value, Decimal | int):
        return value
    return quote.of(Decimal(value))


def booked(value: Any, digits: int | None, verb: Verb) -> Decimal:
    """Return money as it is booked: rounded half up to the digits of the account's currency."""
    digits = DEFAULT_DIGITS if digits is None else digits
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise StepFailed(f"amount: {value!r} is not a number")
    try:
        amount = Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    except InvalidOperation as problem:
        raise StepFailed(f"amount: {value} cannot be booked with {digits} digits") from problem
    if amount <= 0:
        raise NothingToDo(f"{verb.name}: the amount is {format(amount, 'f')}, not above 0")
    return amount


@lru_cache(maxsize=256)
def _integers(model: type[BaseModel]) -> frozenset[str]:
    """Return the fields that take whole numbers: expressions compute decimals."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if field.annotation is int or int in get_args(field.annotation) or _annotated_int(field.annotation)
    )


def _annotated_int(annotation: Any) -> bool:
    return any(get_args(part)[:1] == (int,) for part in get_args(annotation))


def _integer(value: Any) -> Any:
    whole = isinstance(value, Decimal) and value == value.to_integral_value()
    return int(value) if whole else value
