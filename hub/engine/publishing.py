"""Events the engine publishes: of its own, and those of steps, checked as one that is posted would be."""

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

from pydantic import ValidationError

from hub.engine.depth import source_at
from hub.engine.scene import Scene
from hub.engine.steps import StepFailed
from hub.events.base import Data
from hub.events.catalogue import CUSTOM, EventType, event_type
from hub.events.decimals import DIGITS_AFTER, DIGITS_BEFORE
from hub.events.declared import Declared
from hub.events.facts import Fact, make_fact
from hub.intents.verbs import PublishEvent

_LAST: Final = Decimal(1).scaleb(-DIGITS_AFTER)
_WIDE: Final = Context(prec=60)


def told(scene: Scene, name: str, data: Data, depth: int, *, key: str, caused_by: str) -> Fact:
    """Return an event the engine itself tells of the key's account; `depth` workflows led to it."""
    kind = event_type(name)
    assert kind is not None
    return make_fact(
        kind,
        name,
        data,
        timestamp=scene.now,
        received_us=scene.item.at,
        source=source_at(depth + 1),
        account=scene.account_ref,
        dedupe_key=key,
        caused_by=caused_by,
    )


def fact_of(
    params: PublishEvent, key: str, scene: Scene, depth: int, declared: Declared | None = None
) -> Fact:
    """Return the event under the intent's key; `depth` workflows led to the step. Raises StepFailed."""
    kind = event_type(params.type) if declared is None else declared.kind
    if kind is None:
        raise StepFailed(f"type: {params.type!r} is neither in the catalogue nor custom.something")
    try:
        return make_fact(
            kind,
            params.type,
            _data_of(params, kind) if declared is None else _declared(params, declared),
            timestamp=scene.now,
            received_us=scene.item.at,
            source=source_at(depth + 1),
            account=scene.account_ref,
            dedupe_key=key,
            caused_by=key,
            endpoints=params.endpoints,
        )
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        where = ".".join(("data", *(str(part) for part in first["loc"])))
        raise StepFailed(f"{where}: {first['msg']}") from problem


def _data_of(params: PublishEvent, kind: EventType) -> Data:
    return kind.model.model_validate(params.data if kind is CUSTOM else _fitting(params.data))


def _declared(params: PublishEvent, declared: Declared) -> Data:
    found = declared.read(_fitting(params.data))
    if isinstance(found, list):
        raise StepFailed(f"{declared.name} as it is declared (version {declared.version}): data.{found[0]}")
    return found


def _has_more_digits(value: Decimal) -> bool:
    if not value.is_finite() or value.adjusted() > DIGITS_BEFORE:
        return False
    return value != value.quantize(_LAST, context=_WIDE)


def _fitting(value: Any) -> Any:
    """Return data with its decimals rounded half up to as many digits as events hold: a quotient has all that fit.

    What has too many digits before the point is left for the event's model to refuse.
    """
    match value:
        case dict():
            return {name: _fitting(item) for name, item in value.items()}
        case list() | tuple():
            return [_fitting(item) for item in value]
        case Decimal() if _has_more_digits(value):
            return value.quantize(_LAST, rounding=ROUND_HALF_UP, context=_WIDE)
        case _:
            return value
