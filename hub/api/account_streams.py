"""What accounts are worth as it changes: the newest wins, at the pace the reader asks for."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Final, final

from aiohttp import web

from hub.api.event_source import EventSource, without_place
from hub.api.position_feed import PositionsView, TooManyAccounts, too_many
from hub.api.problems import Problem
from hub.api.queries import Query
from hub.api.routing import DEPS, Route
from hub.api.seen import asked_accounts
from hub.api.stream_counts import StreamKind
from hub.api.streaming import keep_going
from hub.api.viewer import VIEWER
from hub.api.visitors import TICKET
from hub.control.keys import Scope
from hub.durations import duration
from hub.ingest.board import LONGEST, SHORTEST, USUAL, Watch

_MOST_SYMBOLS: Final = 32
_LONGEST: Final = 256 << 10  # bytes of a message, unless one account alone takes more


@final
class _Accounts:
    """First what is known, then what changes."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.kind = StreamKind.ACCOUNTS if watch.view is None else StreamKind.POSITIONS
        self._is_new = True
        self.wake = watch.wake

    @property
    def cut(self) -> str:
        return self._watch.cut

    @property
    def is_waiting(self) -> bool:
        return not self._is_new and not self._watch.waiting

    async def send(self, source: EventSource) -> int:
        told = 0
        if self._is_new:
            self._is_new = False
            parts = 0
            for part in self._watch.snapshot():
                for some in _parts(part):
                    parts += 1
                    told += len(some)
                    await source.send(_told("snapshot", some))
            if not parts:
                await source.send(_told("snapshot", []))
        changed = self._watch.take()
        for some in _parts(changed) if changed else ():
            await source.send(_told("changes", some))
        return told + len(changed)

    def place(self) -> str:
        return ""


async def stream_accounts(request: web.Request) -> web.StreamResponse:
    feeds, viewer = request.app[DEPS].feeds, request[VIEWER]
    query = Query(request, "interval", "account", "client", "positions", "symbol", TICKET)
    pace = _pace(query.text("interval"))
    symbols = _symbols(query)
    accounts = await asked_accounts(feeds, viewer, query)
    kind = StreamKind.ACCOUNTS if symbols is None else StreamKind.POSITIONS
    with feeds.seat(viewer, kind), ExitStack() as held:
        view = None
        if symbols is not None:
            if accounts is None:
                raise Problem(400, "bad-query", "positions: name the accounts or the client whose they are")
            try:
                held.enter_context(feeds.positions.followed(accounts))
            except TooManyAccounts as error:
                raise too_many(error) from None
            view = PositionsView(feeds.board.positions, symbols)
        watch = feeds.board.watch(accounts, pace, view)
        try:
            return await keep_going(request, feeds, viewer, accounts, _Accounts(watch))
        finally:
            feeds.board.leave(watch)


def _told(kind: str, accounts: list[bytes]) -> bytes:
    return without_place(b'{"kind":"%s","accounts":[%s]}' % (kind.encode(), b",".join(accounts)))


def _parts(accounts: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield accounts in parts that are no longer than a message may be; there is always one."""
    part: list[bytes] = []
    size = 0
    for account in accounts:
        if part and size + len(account) > _LONGEST:
            yield part
            part, size = [], 0
        part.append(account)
        size += len(account)
    yield part


def _symbols(query: Query) -> frozenset[str] | None:
    """Return the symbols whose positions are asked for, empty for all; None where no positions are."""
    symbols = frozenset(query.words("symbol"))
    if query.choice("positions", "true", "false") != "true":
        if symbols:
            raise Problem(400, "bad-query", "symbol: goes with positions=true")
        return None
    if len(symbols) > _MOST_SYMBOLS:
        raise Problem(400, "bad-query", f"symbol: name at most {_MOST_SYMBOLS}")
    return symbols


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
        "Follow equity, margin and open positions of accounts, the newest values at a pace (server-sent events)",
        "streams",
        parameters=("interval", "account", "client", "positions", "symbol", TICKET),
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
