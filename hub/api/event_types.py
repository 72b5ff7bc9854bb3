"""Which types of events there are, the catalogue's and those this hub declares: what each says, with its JSON Schema."""

from functools import lru_cache
from typing import Any, Final

from aiohttp import web

from hub.api.bodies import answer
from hub.api.problems import Problem, not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, Route
from hub.control.keys import Scope
from hub.events.catalogue import BY_NAME, CUSTOM, EventType
from hub.events.declared import Declared, DeclaredField
from hub.events.examples import example_data
from hub.ingest.posted import is_the_hubs_own
from hub.ingest.refusals import nearest

_DECLARED: Final = ("", "true", "false")


async def list_event_types(request: web.Request) -> web.Response:
    query = Query(request, "family", "declared")
    known = request.app[DEPS].declared()
    asked = query.text("declared")
    if asked not in _DECLARED:
        raise Problem(400, "bad-query", "declared: true or false")
    rows = [
        *(_row(kind) for kind in BY_NAME.values() if asked != "true"),
        *(_row(each.kind, each) for _, each in sorted(known.types.items()) if asked != "false"),
    ]
    if family := query.text("family"):
        rows = [row for row in rows if row["type"].startswith(f"{family}.")]
    return answer({"types": rows, "undeclared": str(known.undeclared)})


async def read_event_type(request: web.Request) -> web.Response:
    Query(request)
    name = request.match_info["type"]
    known = request.app[DEPS].declared()
    declared = known.get(name)
    if declared is not None:
        shown = _row(declared.kind, declared) | {"example": declared.example, "schema": declared.schema()}
        return answer(shown | {"fields": [_field(each) for each in declared.fields.values()]})
    kind = BY_NAME.get(name)
    if kind is None:
        near = nearest(name, [*BY_NAME, *known.types])
        raise not_found("event type of that name" + (f"; {near}" if near else ""))
    return answer(_row(kind) | {"example": example_data(kind), "schema": _schema(kind)})


def _row(kind: EventType, declared: Declared | None = None) -> dict[str, Any]:
    gone = kind.deprecated
    until = {} if gone is None or gone.until is None else {"until": gone.until.isoformat()}
    return {
        "type": kind.name,
        "version": kind.schema,
        "about": kind.about,
        "declared": declared is not None,
        "postable": not is_the_hubs_own(kind),
    } | (
        {} if gone is None else {"deprecated": {"since": gone.since.isoformat(), "use": gone.instead} | until}
    )


def _field(field: DeclaredField) -> dict[str, Any]:
    return (
        {"name": field.name, "type": str(field.type), "required": field.required}
        | ({"one_of": list(field.one_of)} if field.one_of else {})
        | ({"about": field.about} if field.about else {})
    )


@lru_cache(maxsize=256)
def _schema(kind: EventType) -> dict[str, Any]:
    assert kind is not CUSTOM
    return kind.model.model_json_schema() | {"title": kind.name, "description": kind.about}


ROUTES = (
    Route(
        "GET",
        "/v1/event-types",
        list_event_types,
        Scope.EVENTS_READ,
        "The types of events there are, with those this hub declares",
        "events",
        parameters=("family", "declared"),
    ),
    Route(
        "GET",
        "/v1/event-types/{type}",
        read_event_type,
        Scope.EVENTS_READ,
        "What one type of event says: an example, and the JSON Schema of its data",
        "events",
        answers={200: "The type.", 404: "There is none of that name."},
    ),
)
