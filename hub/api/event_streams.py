"""Events as they happen, as a stream that resumes where it was."""

from typing import final

from aiohttp import web

from hub.api.event_filter import EventFilter
from hub.api.event_patterns import known_pattern
from hub.api.event_source import EventSource, frame, joined
from hub.api.problems import Problem
from hub.api.queries import Query
from hub.api.routing import DEPS, Route
from hub.api.seen import asked_accounts
from hub.api.stream_counts import StreamKind
from hub.api.streaming import keep_going
from hub.api.viewer import VIEWER, Viewer
from hub.api.visitors import TICKET
from hub.bus.feed import BadPlace, TooOld, decode
from hub.bus.tail import Follow, Tail, Told
from hub.control.keys import Scope
from hub.dispatch.patterns import PatternInvalid
from hub.errors import ExpressionError
from hub.events.declared import Declarations

_MOST_PATTERNS = 32


@final
class _Events:
    """`first` was read before the answer began, so that a place that is too old could be answered with a status."""

    def __init__(self, follow: Follow, first: list[Told], *, is_tokens: bool) -> None:
        self._follow = follow
        self._first = first
        self._is_tokens = is_tokens
        self.wake = follow.wake
        self.kind = StreamKind.EVENTS

    @property
    def cut(self) -> str:
        return self._follow.cut

    @property
    def is_waiting(self) -> bool:
        return self._follow.is_waiting

    async def send(self, source: EventSource) -> int:
        told, self._first = self._first, []
        if not told:
            told = await self._follow.take()
        if told:
            await source.send(joined(frame(each.place, self._body(each)) for each in told))
        return len(told)

    def place(self) -> str:
        return self._follow.place()

    def _body(self, told: Told) -> bytes:
        return told.event.wire if self._is_tokens else told.event.own


async def stream_events(request: web.Request) -> web.StreamResponse:
    feeds, viewer = request.app[DEPS].feeds, request[VIEWER]
    query = Query(request, "type", "account", "client", "where", "since", "after", TICKET)
    wanted = _filter(query, viewer, request.app[DEPS].declared())
    accounts = await asked_accounts(feeds, viewer, query)
    with feeds.seat(viewer, StreamKind.EVENTS):
        place = await _place(request, feeds.tail, query, accounts)
        follow = await feeds.tail.follow(place, accounts, wanted)
        try:
            first = await follow.take()
            stream = _Events(follow, first, is_tokens=viewer.token is not None)
            return await keep_going(request, feeds, viewer, accounts, stream)
        except TooOld as error:
            raise Problem(410, "too-old", str(error)) from None
        finally:
            feeds.tail.leave(follow)


def _filter(query: Query, viewer: Viewer, declared: Declarations) -> EventFilter:
    types = query.words("type")
    if len(types) > _MOST_PATTERNS:
        raise Problem(400, "bad-query", f"type: name at most {_MOST_PATTERNS} patterns")
    try:
        for pattern in types:
            known_pattern(pattern)
        only = viewer.token.events if viewer.token is not None else ()
        return EventFilter.made(tuple(sorted(set(types))), only, query.text("where"), declared)
    except PatternInvalid as error:
        raise Problem(400, "bad-query", f"type: {error}") from None
    except ExpressionError as error:
        raise Problem(400, "bad-query", f"where: {error.message} (character {error.offset + 1})") from None


async def _place(
    request: web.Request, tail: Tail, query: Query, accounts: frozenset[str] | None
) -> list[int] | None:
    """Return where to begin. What a reconnecting browser says of itself is newer than what its address says."""
    told = request.headers.get("Last-Event-ID", "") or query.text("after")
    if not told:
        since = query.moment("since")
        return None if since is None else await tail.log.at(since)
    axes = tail.log.axes_of(accounts)
    try:
        place = await decode(told, tail.log, axes)
    except BadPlace as error:
        raise Problem(400, "bad-place", str(error)) from None
    end = await tail.log.end()
    if any(place[axis] > end[axis] for axis in axes):
        raise Problem(
            400,
            "bad-place",
            "that place is ahead of this hub, as after a restored backup: begin anew without it",
        )
    return place


ROUTES = (
    Route(
        "GET",
        "/v1/events/stream",
        stream_events,
        Scope.EVENTS_READ,
        "Follow events as they happen (server-sent events)",
        "streams",
        parameters=("type", "account", "client", "where", "since", "after", TICKET),
        answers={
            200: "Events until somebody ends it; each has the place to resume at as its id.",
            400: "The filter or the place is not right.",
            403: "A token may not read those accounts.",
            410: "What followed that place is not kept any more.",
            429: "Enough streams are open.",
        },
        media="text/event-stream",
        tokens=True,
        stream=True,
        page="events",
    ),
)
