"""Events in and out."""

from typing import Any

import msgspec
from aiohttp import web

from hub.api.bodies import answer, content_type, read_body, refused
from hub.api.event_patterns import known_pattern
from hub.api.problems import Problem, not_found, unavailable
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, PRINCIPAL, Route
from hub.bus.log import Input, InputKind, Lane
from hub.control.keys import Scope
from hub.dispatch.patterns import PatternInvalid
from hub.events.facts import EVENT_PREFIX
from hub.ids import from_id
from hub.ingest.posted import PostedEvent
from hub.ingest.receive import UnknownContentType
from hub.ingest.strict import NotStrict

_LANES = {"live": Lane.LIVE, "bulk": Lane.BULK}
_encode = msgspec.json.Encoder().encode


async def post_events(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    busy = app.pressure()
    if busy:
        raise unavailable("more is waiting than can be taken in: send again later", int(busy))
    lane = Lane.LIVE
    if request.query_string:
        lane = _LANES[Query(request, "lane").choice("lane", *_LANES) or "live"]
    who = request[PRINCIPAL]
    try:
        receipt = await app.receiver.accept(
            await read_body(request), content_type(request), source=who.source, servers=who.servers, lane=lane
        )
    except NotStrict as error:
        raise refused(error) from None
    except UnknownContentType as error:
        raise Problem(415, "content-type", str(error)) from None
    # 202 says that something is on disk: never when everything was refused.
    return answer(receipt, 202 if receipt.rejected < len(receipt.results) else 422)


async def list_events(request: web.Request) -> web.Response:
    query = Query(request, *PAGED, "type", "account", "order")
    types = query.words("type")
    try:
        for pattern in types:
            known_pattern(pattern)
    except PatternInvalid as error:
        raise Problem(400, "bad-query", f"type: {error}") from None
    page = await request.app[DEPS].events.events(
        after=query.text("after"),
        limit=query.limit(),
        types=types,
        account=query.account(),
        newest_first=query.choice("order", "oldest", "newest") == "newest",
    )
    return answer({"items": [event_json(row) for row in page.items], "next": page.next})


async def get_event(request: web.Request) -> web.Response:
    text = request.match_info["id"]
    key = from_id(EVENT_PREFIX, text)
    row = await request.app[DEPS].log.find(key) if key is not None else None
    if row is None or row.kind != InputKind.EVENT:
        raise not_found("event of that id")
    return answer(event_json(row))


def event_json(row: Input) -> msgspec.Raw:
    """Return the stored event with the sequence and the moment the log gave it."""
    extra: dict[str, Any] = {"sequence": row.sequence}
    return msgspec.Raw(row.body.rstrip()[:-1] + b"," + _encode(extra)[1:])


ROUTES = (
    Route(
        "POST",
        "/v1/events",
        post_events,
        Scope.EVENTS_WRITE,
        "Post one event, an array, or NDJSON",
        "events",
        body=PostedEvent,
        parameters=("lane",),
        answers={
            202: "What became of every item; accepted ones are on disk.",
            400: "The body cannot be read: nothing was stored.",
            413: "Too many events, or too many bytes.",
            415: "Content type or encoding is not read.",
            422: "Every item was refused, each with its reasons.",
            503: "Nothing was stored: send again after Retry-After.",
        },
    ),
    Route(
        "GET",
        "/v1/events",
        list_events,
        Scope.EVENTS_READ,
        "List events in the order the hub learned them",
        "events",
        parameters=(*PAGED, "type", "account", "order"),
        answers={200: "A page of events, and the cursor behind it."},
    ),
    Route(
        "GET",
        "/v1/events/{id}",
        get_event,
        Scope.EVENTS_READ,
        "Read one event",
        "events",
        answers={200: "The event.", 404: "There is none of that id."},
    ),
)
