"""Follows the open positions of the accounts somebody looks at, from the log: of all others nothing is kept.

An account is read once, when somebody begins to look, and then hears of every event of its own. What was committed
before the first of these is in what is read, so none is missing and none counts twice.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, final

import structlog
from typing_extensions import override

from hub.api.position_feed import PositionFeed, TooManyAccounts
from hub.bus.feed import TooOld
from hub.bus.log import Input
from hub.bus.looked import Looked
from hub.bus.tail import Follow, Tail
from hub.clock import MICROSECOND, Clock, to_us
from hub.engine.held import PositionRow
from hub.engine.positions import MORE, are_known, open_positions
from hub.engine.values import Kind, Value
from hub.errors import HubError, StoreUnavailable
from hub.ingest.position_board import Open, PositionBoard
from hub.position_past import PositionPast, Stand, fold
from hub.stages import run_until

_MOST: Final = 20_000  # accounts that are followed
_IDLE_US: Final = timedelta(seconds=60) // MICROSECOND  # kept so long after the last look
_TIDY_EVERY: Final = timedelta(seconds=15)
_TRY_AGAIN: Final = timedelta(milliseconds=250)

log = structlog.get_logger(__name__)


class _Account:
    """`stand` None: to be read. What is heard while it is read waits in `heard`."""

    __slots__ = ("heard", "is_read", "looked_at", "ready", "stand", "watchers")

    def __init__(self) -> None:
        self.stand: Stand | None = None
        self.heard: list[Looked] = []
        self.is_read = False
        self.ready = asyncio.Event()
        self.watchers = 0
        self.looked_at = 0


@final
class PositionBook(PositionFeed):
    """Everything here happens on the event loop."""

    def __init__(
        self, past: PositionPast, tail: Tail, board: PositionBoard, clock: Clock, *, most: int = _MOST
    ) -> None:
        self._past = past
        self._tail = tail
        self._board = board
        self._clock = clock
        self._most = most
        self._accounts: OrderedDict[str, _Account] = OrderedDict()  # the last looked at comes last
        self._unread: OrderedDict[str, None] = OrderedDict()
        self._wanted = asyncio.Event()
        self._to_read = asyncio.Event()
        self._following = asyncio.Event()
        self._hearing = asyncio.Event()  # set when there is something to hear

    def __len__(self) -> int:
        return len(self._accounts)

    def holds(self, looked: Looked) -> bool:
        """Return whether an event is one of theirs: this is what the tail of the log is asked for."""
        return looked.row.key in self._accounts

    @override
    @contextmanager
    def followed(self, accounts: Collection[str]) -> Iterator[None]:
        """Have accounts' positions on the board for as long as somebody watches. Raises TooManyAccounts."""
        known = self._look_at(accounts)
        for each in known:
            each.watchers += 1
        try:
            yield
        finally:
            for each in known:
                each.watchers -= 1

    @override
    async def ready(self, account: str) -> None:
        """Return once an account's positions are on the board, where they stay for a minute. Raises TooManyAccounts."""
        (known,) = self._look_at([account])
        known.watchers += 1
        try:
            await known.ready.wait()
        finally:
            known.watchers -= 1

    @override
    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep_following, self._keep_reading, self._keep_tidy)

    def _look_at(self, accounts: Collection[str]) -> list[_Account]:
        now = self._clock.now_us()
        self._forget_idle(now)
        news = [account for account in accounts if account not in self._accounts]
        if len(self._accounts) + len(news) > self._most:
            raise TooManyAccounts(self._most)
        for account in news:
            self._accounts[account] = _Account()
            self._board.begin(account)
            self._read_again(account)
        for account in accounts:
            self._accounts[account].looked_at = now
            self._accounts.move_to_end(account)
        if accounts:
            self._wanted.set()
        return [self._accounts[account] for account in accounts]

    def _forget_idle(self, now: int) -> None:
        for account, known in list(self._accounts.items()):
            if known.looked_at + _IDLE_US > now:
                break
            if known.watchers:
                known.looked_at = now
                self._accounts.move_to_end(account)
                continue
            del self._accounts[account]
            self._unread.pop(account, None)
            self._board.forget(account)

    def _read_again(self, account: str) -> None:
        self._accounts[account].stand = None
        self._unread[account] = None
        self._to_read.set()

    async def _keep_following(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                follow = await self._tail.follow(None, None, self)
            except StoreUnavailable as problem:
                log.warning("positions.not_followed", reason=str(problem))
                await self._clock.sleep(_TRY_AGAIN)
                continue
            try:
                await self._follow(follow)
            except (StoreUnavailable, TooOld) as problem:
                log.warning("positions.lost", reason=str(problem))
            finally:
                self._tail.leave(follow)
                # What was missed is in what is read again.
                self._following.clear()
                for account in self._accounts:
                    self._read_again(account)
            if self._accounts:  # whatever ended it may go on for a while
                await self._clock.sleep(_TRY_AGAIN)

    async def _keep_tidy(self) -> None:
        while True:
            await self._clock.sleep(_TIDY_EVERY)
            self._forget_idle(self._clock.now_us())
            if not self._accounts:
                self._hearing.set()

    async def _follow(self, follow: Follow) -> None:
        """Hear until the tail ends it, or nobody looks any more."""
        self._hearing = follow.wake
        self._following.set()
        while not follow.cut:
            for told in await follow.take():
                self._hear(told.event)
            if not self._accounts:
                self._wanted.clear()
                return
            if follow.is_waiting:
                await follow.wake.wait()
                follow.wake.clear()

    async def _keep_reading(self) -> None:
        while True:
            await self._following.wait()
            if not self._unread:
                self._to_read.clear()
                await self._to_read.wait()
                continue
            account, _ = self._unread.popitem(last=False)
            known = self._accounts[account]
            known.heard.clear()
            known.is_read = True
            try:
                stand = await self._past.of(account)
            except HubError as problem:
                log.warning("positions.not_read", account=account, reason=str(problem))
                stand = None
            except Exception:  # what cannot be shown must not end the hub
                log.exception("positions.not_read", account=account)
                stand = None
            known.is_read = False
            if self._accounts.get(account) is not known or account in self._unread:
                continue  # nobody looks any more, or what was heard meanwhile was lost
            if stand is None:
                self._unread[account] = None
                await self._clock.sleep(_TRY_AGAIN)
                continue
            self._took_over(account, known, stand)

    def _took_over(self, account: str, known: _Account, stand: Stand) -> None:
        known.stand = stand
        heard, known.heard = known.heard, []
        for looked in heard:
            self._hear(looked)
        if known.stand is None:  # to be read again: one of them may have been among what was read
            return
        state = stand.state
        rows = {row.id: _open(row) for row in open_positions(state, {})}
        self._board.put(account, rows, complete=stand.complete and are_known(state, {}))
        known.ready.set()

    def _hear(self, looked: Looked) -> None:
        row = looked.row
        known = self._accounts.get(row.key)
        if known is None:
            return
        stand = known.stand
        if stand is None:
            if known.is_read:  # what came before is among what will be read
                known.heard.append(looked)
        elif stand.n < row.n <= stand.doubtful:
            self._read_again(row.key)
        elif row.n > stand.n:
            self._take_in(known, stand, looked, row)

    def _take_in(self, known: _Account, stand: Stand, looked: Looked, row: Input) -> None:
        try:
            changed = fold(stand.state, looked.envelope)
        except Exception:  # what cannot be shown must not end the hub; the engine sets such an event aside
            log.exception("positions.not_folded", account=row.key, ref=row.ref)
            changed, stand = [], stand._replace(complete=False)
        known.stand = stand = stand._replace(n=row.n)
        if changed:
            state = stand.state
            found = {
                int(name): _open_or_none(state.values.get((Kind.POSITION.value, name)))
                for name in changed
                if name != MORE
            }
            self._board.change(row.key, found, complete=stand.complete and are_known(state, {}))


def _open(row: PositionRow) -> Open:
    opened_at = to_us(row.opened_at) if row.opened_at is not None else None
    return Open(row.id, row.lots, row.symbol, row.side, row.open_price, row.sl, row.tp, opened_at)


def _open_or_none(row: Value | None) -> Open | None:
    return _open(row) if isinstance(row, PositionRow) and row.lots > 0 else None
