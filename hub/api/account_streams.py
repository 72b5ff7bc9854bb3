"""What accounts are worth as it changes: the newest wins, at the pace the reader asks for."""

from datetime import timedelta
from typing import final

from aiohttp import web

from hub.api.event_source import EventSource, without_place
from hub.api.problems import Problem
from hub.api.queries import Query
from hub.api.routing import DEPS, Route
from hub.api.seen import asked_accounts
from hub.api.streaming import keep_going
from hub.api.viewer import VIEWER
from hub.api.visitors import TICKET
from hub.control.keys import Scope
from hub.durations import duration
from hub.ingest.board import LONGEST, SHORTEST, USUAL, Watch


@final
class _Accounts:
    """First what is known, then what changes."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._is_new = True
        self.wake = watch.wake

    @property
    def cut(self) -> str:
        return self._watch.cut

    @property
    def is_waiting(self) -> bool:
        return not self._is_new and not self._watch.waiting

    async def send(self, source: EventSource) -> None:
        if self._is_new:
            self._is_new = False
            parts = 0
            for part in self._watch.snapshot():
                parts += 1
                await source.send(_told("snapshot", part))
            if not parts:
                await source.send(_told("snapshot", []))
        changed = self._watch.take()
        if changed:
            await source.send(_told("changes", changed))

    def place(self) -> str:
        return ""


async def stream_accounts(request: web.Request) -> web.StreamResponse:
    feeds, viewer = request.app[DEPS].feeds, request[VIEWER]
    query = Query(request, "interval", "account", "client", TICKET)
    pace = _pace(query.text("interval"))
    accounts = await asked_accounts(feeds, viewer, query)
    with feeds.seat(viewer):
        watch = feeds.board.watch(accounts, pace)
        try:
            return await keep_going(request, feeds, viewer, accounts, _Accounts(watch))
        finally:
            feeds.board.leave(watch)


def _told(kind: str, accounts: list[bytes]) -> bytes:
    return without_place(b'{"kind":"%s","accounts":[%s]}' % (kind.encode(), b",".join(accounts)))


def _pace(text: str) -> timedelta:
    try:
        pace = duration(text) if text else USUAL
    except ValueError:
        pace = timedelta()
    if not SHORTEST <= pace <= LONGEST:
        raise Problem(400, "bad-query", "interval: must be from 100ms to 60s, such as 500ms")
    return pace


ROUTES = (
    Route(
        "GET",
        "/v1/accounts/stream",
        stream_accounts,
        Scope.READ,
        "Follow equity and margin of accounts, the newest values at a pace (server-sent events)",
        "streams",
        parameters=("interval", "account", "client", TICKET),
        answers={
            200: "First what is known, then what changes, until somebody ends it.",
            400: "The interval or an account is not right.",
            403: "A token may not read those accounts.",
            429: "Enough streams are open.",
        },
        media="text/event-stream",
        tokens=True,
        stream=True,
        page="accounts",
    ),
)
