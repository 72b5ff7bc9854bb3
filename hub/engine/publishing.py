"""Events the engine publishes: of its own, and those of steps, checked as one that is posted would be."""

from pydantic import ValidationError

from hub.engine.scene import PUBLISHER, Scene
from hub.engine.steps import StepFailed
from hub.events.base import Data
from hub.events.catalogue import event_type
from hub.events.facts import Fact, make_fact
from hub.intents.verbs import PublishEvent


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
        source=f"{PUBLISHER}{depth + 1}",
        account=scene.account_ref,
        dedupe_key=key,
        caused_by=caused_by,
    )


def fact_of(params: PublishEvent, key: str, scene: Scene, depth: int) -> Fact:
    """Return the event under the intent's key; `depth` workflows led to the step. Raises StepFailed."""
    kind = event_type(params.type)
    if kind is None:
        raise StepFailed(f"type: {params.type!r} is neither in the catalogue nor custom.something")
    try:
        return make_fact(
            kind,
            params.type,
            kind.model.model_validate(params.data),
            timestamp=scene.now,
            received_us=scene.item.at,
            source=f"{PUBLISHER}{depth + 1}",
            account=scene.account_ref,
            dedupe_key=key,
            caused_by=key,
            endpoints=params.endpoints,
        )
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        where = ".".join(("data", *(str(part) for part in first["loc"])))
        raise StepFailed(f"{where}: {first['msg']}") from problem
