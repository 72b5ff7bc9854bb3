"""One session of one account with mt5rest: what stands, what streams, and how the two are brought together.

Calls and streams are different connections, so there is no order between them. What decides is the number of a deal:
whatever tells it first, it is told once. A stream is trusted for what it says and never for what it does not say.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.clock import Clock, from_us
from hub.errors import RecordMalformed, SourceRefused, SourceUnavailable
from hub.ingest.books import Books, Changes, steady
from hub.ingest.feed import AccountRow, TradeRow
from hub.ingest.fields import Fields, rows
from hub.ingest.mt5rest_session import Mt5RestSession
from hub.ingest.normalize_mt5 import (
    CLOSED_UPDATES,
    OPEN_UPDATES,
    is_named,
    order_rows,
    read_account,
    read_order,
)
from hub.ingest.server_clock import ServerClock
from hub.ingest.settings import Mt5RestSettings, TraderAccount
from hub.ingest.source import Reporter

DAY = timedelta(days=1)
TICK = timedelta(milliseconds=250)
MOST_AT_ONCE = 200
LOOKS = 5
NAMELESS_LOOKS = 3
GONE_LOOKS = 10


class Mt5RestFollow:
    def __init__(
        self,
        settings: Mt5RestSettings,
        account: TraderAccount,
        session: Mt5RestSession,
        books: Books,
        reporter: Reporter,
        clock: Clock,
        server_clock: ServerClock,
    ) -> None:
        self._settings = settings
        self._login = account.login
        self._group = account.group
        self._session = session
        self._books = books
        self._reporter = reporter
        self._clock = clock
        self._server_clock = server_clock
        self._updates: asyncio.Queue[Fields | None] = asyncio.Queue(settings.most_waiting)
        self._doubts: dict[tuple[str, int], int] = {}
        self._details: object = None
        self._reconciled_at = self._heard_at = self._details_at = clock.monotonic()

    # --- the beginning

    async def measure_clock(self) -> None:
        try:
            answer = Fields(await self._session.call("ServerTimezone"), "ServerTimezone")
        except SourceRefused:
            return  # older builds do not have it; the configured zone must do
        if answer.has("utcoffsetseconds"):
            offset = timedelta(seconds=answer.integer("utcoffsetseconds"))
        elif answer.has("utcoffset"):
            offset = timedelta(seconds=round(answer.decimal("utcoffset") * 3600))
        else:
            return
        change = self._server_clock.measure(offset)
        if change is not None:
            await self._reporter.announce("connector.clock_changed", f"{self._login}: {change}")

    async def begin(self) -> int:
        """Bring the books level with what stands; return how many facts were missed since the last session."""
        if self._login not in self._books.known:
            await self._meet()
            return 0
        missed = await self._catch_up(late=True, at_once=True)
        self._reconciled_at = self._clock.monotonic()
        return missed

    async def _meet(self) -> None:
        """Take the first sight of the account in a moment when nothing moves, so that it fits together."""
        started = self._server_clock.now()
        since = started - self._settings.overlap // timedelta(microseconds=1)
        looks = 1
        before, opened, ended, after = await self._look(since)
        while before != after and looks < LOOKS:
            looks += 1
            before, opened, ended, after = await self._look(since)
        standing = [row for row in opened if not row.closed_at]
        await self._write(
            self._books.meet(after, standing, since=since, is_new=False),
            self._books.absorb(self._login, ended),
            self._books.set_cursor(started),
        )

    async def _look(self, since: int) -> tuple[AccountRow, list[TradeRow], list[TradeRow], AccountRow]:
        before = await self._account()
        opened = await self._opened()
        return before, opened, await self._history(since), await self._account()

    # --- the stream

    async def listen(self, updates: AsyncIterator[Fields]) -> None:
        """Take frames from the stream into the queue; a queue that is full holds the stream back."""
        async for data in updates:
            self._heard_at = self._clock.monotonic()
            await self._updates.put(data)

    async def keep_time(self) -> None:
        wait = min(TICK, self._settings.reconcile_open, self._settings.confirm_after)
        while True:
            await self._clock.sleep(wait)
            if self._updates.empty():
                await self._updates.put(None)

    async def step(self) -> None:
        """Wait for updates, or for time to pass, and do what is due."""
        batch = [await self._updates.get()]
        while not self._updates.empty() and len(batch) < MOST_AT_ONCE:
            batch.append(self._updates.get_nowait())
        await self._tell([data for data in batch if data is not None])
        await self._look_around()

    async def _tell(self, batch: list[Fields]) -> None:
        changes: list[Changes] = []
        for data in batch:
            try:
                told = self._read_update(data)
            except RecordMalformed as error:
                self._books.set_aside(str(error))
                continue
            if told is None:
                # Not everything is said here, the number of a deal for one: look it up before anything is told.
                await self._write(*changes)
                changes = []
                await self._catch_up(late=False, at_once=True)
            else:
                changes.append(told)
        await self._write(*changes)

    async def _look_around(self) -> None:
        """Reconcile when it is due, sooner while something is in doubt, and ask whether the gateway still answers."""
        now = self._clock.monotonic()
        every = self._settings.confirm_after if self._doubts else self._settings.reconcile_open
        if now - self._reconciled_at >= every.total_seconds():
            if now - self._details_at >= self._settings.reconcile_history.total_seconds():
                self._details, self._details_at = None, now
                await self.measure_clock()
            await self._reconcile()
            self._heard_at = self._reconciled_at = self._clock.monotonic()
        elif now - self._heard_at >= self._settings.stale_after.total_seconds():
            await self._ask_for_life()

    async def _ask_for_life(self) -> None:
        try:
            await self._session.call("CheckConnect")
        except SourceUnavailable:
            await self._reporter.announce(
                "connector.stale", f"{self._login}: connected, but nothing comes in"
            )
            raise
        self._heard_at = self._clock.monotonic()

    def _read_update(self, data: Fields) -> Changes | None:
        update = data.child("update")
        if update is None:
            return Changes()
        kind = update.text("type", "").lower()
        if kind not in OPEN_UPDATES | CLOSED_UPDATES or not update.has("order"):
            return None
        row = read_order(update.value("order"), self._login, is_closed=kind in CLOSED_UPDATES)
        if not is_named(row) and self._books.would_tell(row):
            return None
        return self._books.observe(row)

    # --- reconciling

    async def _reconcile(self) -> None:
        """Compare with what stands; tell what the stream did not, once a second look has confirmed it."""
        missed = await self._catch_up(late=True, at_once=False)
        if missed:
            await self._reporter.announce(
                "connector.gap", f"{self._login}: the stream did not tell {missed} facts"
            )
            await self._reporter.announce(
                "connector.resynced", f"{self._login}: found by reconciling", missed=missed
            )

    async def _catch_up(self, *, late: bool, at_once: bool) -> int:
        """Read account, history and open orders; tell what is new. Returns how many facts that were."""
        started = self._server_clock.now()
        cursor = self._books.cursor or started
        account = await self._account()
        opened = await self._opened()
        ended = await self._history(cursor - self._settings.overlap // timedelta(microseconds=1))
        changes = [self._books.see(account, late=late)]
        doubts: dict[tuple[str, int], int] = {}
        for row in sorted(ended, key=lambda row: (row.closed_at, row.deal_out or row.ticket)):
            changes += await self._take(row, doubts, late=late, at_once=at_once)
        for row in opened:
            changes += await self._take(row, doubts, late=late, at_once=at_once)
        for gone in self._gone(opened, doubts):
            changes.append(self._books.forget(gone))
            reason = f"{self._login}: trade {gone} is gone and history does not say how it ended"
            await self._reporter.announce("connector.gap", reason)
        if not doubts:
            changes += self._check_money(account, doubts)
            changes.append(self._books.set_cursor(started))
        self._doubts = doubts
        return await self._write(*changes)

    async def _take(
        self, row: TradeRow, doubts: dict[tuple[str, int], int], *, late: bool, at_once: bool
    ) -> list[Changes]:
        told = self._books.would_tell(row)
        if not told:
            # Nothing to tell, and still something may be to remember, such as an order that is the same but for its deal.
            return [self._books.observe(row)] if row.is_open else []
        is_history = not row.is_open and row.ticket not in self._books.open
        if is_history and await self._reporter.has_ending(self._books, told):
            self._books.remember_told(row)
            return []
        name = ("open", row.ticket) if row.is_open else row.final
        seen = self._doubts.get(name, 0) + 1
        needed = 1 if at_once else 2
        if not is_named(row):
            needed = NAMELESS_LOOKS
        if seen < needed:
            doubts[name] = seen
            return []
        return [self._books.observe(row, late=late)]

    def _gone(self, opened: list[TradeRow], doubts: dict[tuple[str, int], int]) -> list[int]:
        """Return trades that are neither open nor in history, look after look: a dealer deleted them."""
        standing = {row.ticket for row in opened}
        lost: list[int] = []
        for ticket in self._books.open:
            if ticket not in standing:
                doubts["gone", ticket] = self._doubts.get(("gone", ticket), 0) + 1
                if doubts["gone", ticket] > GONE_LOOKS:
                    del doubts["gone", ticket]
                    lost.append(ticket)
        return lost

    def _check_money(self, account: AccountRow, doubts: dict[tuple[str, int], int]) -> list[Changes]:
        """Believe the server's balance when it differs from what events add up to, look after look."""
        if not self._books.is_off(account):
            return []
        seen = self._doubts.get(("money", self._login), 0) + 1
        if seen < NAMELESS_LOOKS:
            doubts["money", self._login] = seen
            return []
        return [self._books.correct(account)]

    # --- calls

    async def _account(self) -> AccountRow:
        summary = await self._session.call("AccountSummary")
        if self._details is None:
            self._details = await self._optional("AccountDetails")
        return read_account(summary, self._details, login=self._login, group=self._group)

    async def _optional(self, name: str) -> object:
        try:
            answer = await self._session.call(name)
        except SourceRefused:
            return {}
        return answer if isinstance(answer, Mapping) else {}

    async def _opened(self) -> list[TradeRow]:
        raw = order_rows(await self._session.call("OpenedOrders"))
        return await self._read(raw, "OpenedOrders", is_closed=False)

    async def _history(self, since: int) -> list[TradeRow]:
        until = from_us(self._server_clock.now()) + DAY
        raw = await self._session.call(
            "OrderHistory", **{"from": _written(from_us(since)), "to": _written(until)}
        )
        return await self._read(order_rows(raw), "OrderHistory", is_closed=True)

    async def _read(self, raw: Any, name: str, *, is_closed: bool) -> list[TradeRow]:
        found: dict[tuple[str, int], TradeRow] = {}
        for order in rows(raw, name, self._settings.most_rows):
            try:
                row = read_order(order, self._login, is_closed=is_closed)
            except RecordMalformed as error:
                self._books.set_aside(str(error))
                continue
            found[row.final] = _settled(row)
        return list(found.values())

    async def _write(self, *changes: Changes) -> int:
        return await self._reporter.write(self._books, changes)


def _settled(row: TradeRow) -> TradeRow:
    """Return an open row without what moves with the price, so that two looks compare."""
    return steady(row) if row.is_open else row


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
