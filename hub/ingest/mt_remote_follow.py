"""One session with MT Remote: what is asked when, and what each event and answer means for the books.

Everything is done by one reader, in the order it came: an event is what happened, a list of open trades is what stands
at that place in the stream. So a list that differs from the books means something was missed.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from msgspec.structs import replace

from hub.clock import Clock
from hub.errors import RecordMalformed, SourceRefused, SourceUnavailable
from hub.ingest.books import Books, Changes
from hub.ingest.feed import ZERO, AccountRow, TradeRow
from hub.ingest.fields import rows
from hub.ingest.mt_remote_samples import equity_samples, read_quote
from hub.ingest.mt_remote_session import Item, MtRemoteSession
from hub.ingest.normalize_mt4 import read_group, read_trade, read_user, split_to, with_opened_lots
from hub.ingest.samples import Quote, Sample, Wanted, always
from hub.ingest.server_clock import ServerClock
from hub.ingest.settings import MtRemoteSettings
from hub.ingest.source import Reporter

log_lines = structlog.get_logger(__name__)

SECOND_US = 1_000_000
HELD = 1_000
GONE_LOOKS = 10
NEVER = float("-inf")


class MtRemoteFollow:
    def __init__(
        self,
        settings: MtRemoteSettings,
        session: MtRemoteSession,
        books: Books,
        reporter: Reporter,
        clock: Clock,
        server_clock: ServerClock,
        positions: Wanted = always,
    ) -> None:
        self._settings = settings
        self._session = session
        self._books = books
        self._reporter = reporter
        self._clock = clock
        self._server_clock = server_clock
        self._positions = positions
        self._returning = bool(books.known)
        self._currencies: dict[str, str] = {}
        self._strangers: dict[int, dict[int, TradeRow]] = {}  # open trades of accounts not met yet
        self._has_accounts = False
        self._held: dict[int, list[TradeRow]] = {}
        self._unclear: dict[
            int, dict[int, TradeRow]
        ] = {}  # parts of trades whose other parts are not known yet
        self._gone: dict[int, int] = {}  # ticket → how many lists in a row it was missing from
        self._off: dict[int, AccountRow] = {}
        self._to_read: dict[int, None] = {}
        self._reading: set[int] = set()
        self._sweep_from: int | None = None
        self._sweep_started = 0
        self._missed = 0
        self._checked_at = self._swept_at = self._sampled_at = NEVER
        self._changes: list[Changes] = []
        self._samples: list[Sample] = []
        self.quotes: list[Quote] = []  # of the last step
        self._is_stale = False
        self.is_complete = False

    async def start(self) -> None:
        """Subscribe, and only then ask for what stands: between the two nothing can fall through."""
        for event in ("user", "trade", "group", "connection"):
            await self._session.call("subscribe", {"event": event})
        try:
            groups = await self._session.call("config.groups.get.all")
        except SourceRefused as refusal:
            log_lines.warning("mt_remote.groups_refused", connector=self._settings.name, reason=str(refusal))
            groups = []
        await self._ask_for_quotes()
        self._currencies = dict(read_group(raw) for raw in rows(groups, "groups", self._settings.most_rows))
        await self._check()

    async def _ask_for_quotes(self) -> None:
        """Have the gateway send prices, which it does of symbols that are shown."""
        for symbol in self._settings.quotes:
            try:
                await self._session.call("symbol.show", {"symbol": symbol})
            except SourceRefused as refusal:
                log_lines.warning(
                    "mt_remote.symbol_refused",
                    connector=self._settings.name,
                    symbol=symbol,
                    reason=str(refusal),
                )
        if self._settings.quotes:
            await self._session.call("subscribe", {"event": "tick"})

    async def step(self, items: Sequence[Item]) -> list[Sample]:
        """Take what came in, store what it told, and ask what follows from it; return the equity samples in it."""
        self._changes, self._samples, self.quotes = [], [], []
        for item in items:
            try:
                await self._take(item)
            except RecordMalformed as error:
                self._books.set_aside(f"{item.name}: {error}")
        await self._flush()
        await self._read_on()
        return self._samples

    async def _flush(self) -> int:
        changes, self._changes = self._changes, []
        return await self._reporter.write(self._books, changes)

    async def _take(self, item: Item) -> None:
        match item.kind, item.name:
            case "event", "trade":
                await self._on_trade(read_trade(item.data))
            case "event", "user":
                self._on_user(read_user(item.data, self._currencies))
            case "event", "group":
                name, currency = read_group(item.data)
                self._currencies[name] = currency
            case "event", "tick":
                quote = read_quote(item.data, self._settings.server, self._clock.now_us())
                if quote.symbol in self._settings.quotes:
                    self.quotes.append(quote)
            case "event", "connection":
                if item.data is False:
                    raise SourceUnavailable("the gateway lost its connection to the trading server")
            case "answer", "trades.get.all":
                await self._on_open_trades(self._trades(item))
            case "answer", "users.get.all":
                await self._on_accounts(item)
            case "answer", "trades.history":
                await self._on_history(item.asked, self._trades(item))
            case "refused", "trades.history":
                self._reading.discard(item.asked)
                await self._gap(f"the history of {item.asked} was refused: {item.data}")
            case "refused", _:
                raise SourceUnavailable(f"{item.name}: {item.data}")
            case "timer", _:
                await self._on_timer()
            case _:
                pass

    # --- events

    async def _on_trade(self, row: TradeRow) -> None:
        change = self._server_clock.infer(row.changed_at) if row.changed_at else None
        if change is not None:
            await self._reporter.announce("connector.clock_changed", str(change))
        if row.login in self._books.known:
            self._observe_when_clear(row, late=False)
            return
        # An account nobody has told us of: keep what happens to it until the list of accounts has it.
        held = self._held.setdefault(row.login, [])
        if len(held) < HELD:
            held.append(row)

    def _on_user(self, account: AccountRow) -> None:
        if account.login in self._books.known:
            self._changes.append(self._books.see(account))
        else:
            self._held.setdefault(account.login, [])

    def _observe(self, row: TradeRow, *, late: bool) -> None:
        changes = self._books.observe(row, late=late)
        if late:
            self._missed += len(changes.tellings)
        if changes:
            self._changes.append(changes)

    def _observe_when_clear(self, row: TradeRow, *, late: bool) -> None:
        """Take a sight of a trade; a part of one that was cut while nobody looked waits for the history of the rest."""
        waiting = self._unclear.get(row.login, {})
        if row.ticket in waiting or self._books.lacks_origin(row):
            self._unclear.setdefault(row.login, waiting)[row.ticket] = row
            self._read_soon(row.login)
        else:
            self._observe(row, late=late)

    # --- what stands

    async def _on_open_trades(self, found: list[TradeRow]) -> None:
        self._strangers = {}
        for row in found:
            if row.login not in self._books.known:
                self._strangers.setdefault(row.login, {})[row.ticket] = row
            else:
                self._observe_when_clear(row, late=True)
        if self.is_complete:
            self._look_for_gone({row.ticket for row in found})
        if self._settings.equity:
            now, told = self._clock.now_us(), self._positions()
            self._samples = equity_samples(self._books, found, self._settings.server, now, positions=told)

    def _look_for_gone(self, standing: set[int]) -> None:
        """Find what the books have open and the server does not; twice in a row, because an answer can be old."""
        missing = [row for ticket, row in self._books.open.items() if ticket not in standing]
        self._gone = {row.ticket: self._gone.get(row.ticket, 0) + 1 for row in missing}
        for row in missing:
            if self._gone[row.ticket] >= 2:
                self._read_soon(row.login)
        if missing:
            self._checked_at = min(self._checked_at, self._soon())

    async def _on_accounts(self, item: Item) -> None:
        for raw in rows(item.data, "users", self._settings.most_rows):
            try:
                account = read_user(raw, self._currencies)
            except RecordMalformed as error:
                self._books.set_aside(f"{item.name}: {error}")
                continue
            if account.login not in self._books.known:
                self._meet(account)
            else:
                self._changes.append(self._books.see(account, late=not self._has_accounts))
                self._check_money(account)
        for login in self._held:
            log_lines.warning("mt_remote.unknown_account", connector=self._settings.name, login=login)
        self._held.clear()
        if not self._has_accounts:
            self._has_accounts = True
            await self._flush()
            self._start_sweep(self._books.cursor)

    def _meet(self, account: AccountRow) -> None:
        was_there_before = self._returning or self._has_accounts
        is_new = was_there_before and account.registered_at >= self._history_from(self._books.cursor)
        held = self._held.pop(account.login, [])
        standing = self._strangers.pop(account.login, {})
        if is_new:
            # Nothing of it is history: it starts empty, and everything it did is told.
            empty = replace(account, balance=ZERO, credit=ZERO)
            since = account.registered_at
            self._changes.append(
                self._books.meet(empty, (), since=since, is_new=True, late=not self._has_accounts)
            )
            for row in (*held, *standing.values()):
                self._observe(row, late=not self._has_accounts)
        else:
            # What was held happened before this list was made, so its balance has it already.
            for row in held:
                if row.is_open:
                    standing[row.ticket] = row
                else:
                    standing.pop(row.ticket, None)
                    self._books.remember_told(row)
            since = self._history_from(None)
            self._changes.append(self._books.meet(account, standing.values(), since=since, is_new=False))
        self._read_soon(account.login)

    def _check_money(self, account: AccountRow) -> None:
        """Believe the server's balance when it differs from what events add up to, in two looks without other work."""
        if not self.is_complete or self._reading or not self._books.is_off(account):
            self._off.pop(account.login, None)
        elif (before := self._off.get(account.login)) is not None and _same_money(before, account):
            del self._off[account.login]
            self._changes.append(self._books.correct(account))
        else:
            self._off[account.login] = account

    # --- history

    def _start_sweep(self, cursor: int | None) -> None:
        """Read the history of every account since the last complete reading, with an overlap: rows can come late."""
        self._sweep_started = self._server_clock.now()
        self._sweep_from = self._history_from(cursor)
        self._swept_at = self._clock.monotonic()
        for login in self._books.known:
            self._read_soon(login)

    def _history_from(self, cursor: int | None) -> int:
        at = self._server_clock.now() if cursor is None else cursor
        return max(at - self._settings.overlap // timedelta(microseconds=1), SECOND_US)

    def _read_soon(self, login: int) -> None:
        if login not in self._reading:
            self._to_read[login] = None

    async def _read_on(self) -> None:
        if not self._has_accounts:
            return
        while self._to_read and len(self._reading) < self._settings.history_calls:
            login = next(iter(self._to_read))
            del self._to_read[login]
            self._reading.add(login)
            since = (self._sweep_from or self._history_from(self._books.cursor)) // SECOND_US
            until = (self._server_clock.now() + 86_400 * SECOND_US) // SECOND_US
            known = self._books.known.get(login)
            if known is not None and not known.has_history:
                since = min(since, known.since // SECOND_US)
            await self._session.ask(
                "trades.history", {"login": login, "from": since, "to": until}, asked=login
            )
        if not self._to_read and not self._reading:
            await self._complete()

    async def _on_history(self, login: int, found: list[TradeRow]) -> None:
        self._reading.discard(login)
        known = self._books.known[login]
        ended = [row for row in found if not row.is_open and row.login == login]
        if not known.has_history:
            self._changes.append(self._books.absorb(login, ended))
            if login in self._unclear:
                self._read_soon(login)
            return
        await self._flush()
        parts = self._unclear.pop(login, {}).values()
        finished = {row.final: row for row in (*(row for row in parts if not row.is_open), *ended)}
        standing = [row for row in parts if row.is_open]
        linked = with_opened_lots([*finished.values(), *standing, *self._books.open_of(login)])
        heirs: set[int] = set()
        for row in sorted(linked[: len(finished)], key=lambda row: (row.closed_at, row.ticket)):
            await self._observe_finished(row, heirs)
        for row in standing:
            if row.ticket in heirs:
                self._changes.append(self._books.adopt(row))
            self._observe(row, late=True)
        await self._let_go(login)

    async def _observe_finished(self, row: TradeRow, heirs: set[int]) -> None:
        """Take a finished row, unless the log has it: then note in `heirs` the ticket its rest goes on under."""
        told = self._books.would_tell(row)
        is_history = row.ticket not in self._books.open
        if told and is_history and await self._reporter.has_ending(self._books, told):
            self._books.remember_told(row)
            heirs.add(split_to(row) or 0)
            return
        if row.ticket in heirs:
            self._changes.append(self._books.adopt(row))
        self._observe(row, late=True)

    async def _let_go(self, login: int) -> None:
        """Give up on trades that are neither open nor in history: a dealer deleted them."""
        for row in self._books.open_of(login):
            if self._gone.get(row.ticket, 0) >= GONE_LOOKS:
                del self._gone[row.ticket]
                self._changes.append(self._books.forget(row.ticket))
                await self._gap(
                    f"trade {row.ticket} of {login} is gone and history does not say how it ended"
                )

    async def _complete(self) -> None:
        """Note that the books are level with the server, the first time and after every sweep."""
        if self._sweep_from is not None:
            self._sweep_from = None
            self._changes.append(self._books.set_cursor(self._sweep_started))
            await self._flush()
        missed, self._missed = self._missed, 0
        if not self.is_complete:
            self.is_complete = True
            if self._returning:
                await self._reporter.announce(
                    "connector.resynced", "read again after an outage", missed=missed
                )
        elif missed:
            await self._gap(f"the stream did not tell {missed} facts")
            await self._reporter.announce("connector.resynced", "found by reconciling", missed=missed)

    # --- time

    async def _on_timer(self) -> None:
        if self._session.oldest_request() > self._settings.answer_within:
            raise SourceUnavailable("a request was not answered in time")
        is_stale = self._session.silence() > self._settings.stale_after
        if is_stale and not self._is_stale:
            await self._reporter.announce("connector.stale", "connected, but nothing comes in")
        self._is_stale = is_stale
        now = self._clock.monotonic()
        waits_for_account = self._held and self._has_accounts
        every = self._settings.confirm_after if waits_for_account else self._settings.reconcile_open
        if (waits_for_account or self.is_complete) and now - self._checked_at >= self._seconds(every):
            await self._check()
        elif self._settings.equity and now - self._sampled_at >= self._seconds(self._settings.equity_every):
            await self._ask_open_trades()
        if self.is_complete and now - self._swept_at >= self._seconds(self._settings.reconcile_history):
            self._start_sweep(self._books.cursor)

    async def _check(self) -> None:
        self._checked_at = self._clock.monotonic()
        await self._ask_open_trades()
        if not self._session.is_asked("users.get.all"):
            await self._session.ask("users.get.all")

    async def _ask_open_trades(self) -> None:
        self._sampled_at = self._clock.monotonic()
        if not self._session.is_asked("trades.get.all"):
            await self._session.ask("trades.get.all")

    def _soon(self) -> float:
        """Return when the last check would have been for the next to be due after the confirming wait."""
        wait = self._settings.reconcile_open - self._settings.confirm_after
        return self._clock.monotonic() - max(self._seconds(wait), 0)

    @staticmethod
    def _seconds(duration: timedelta) -> float:
        return duration.total_seconds()

    # --- trouble

    def _trades(self, item: Item) -> list[TradeRow]:
        found: list[TradeRow] = []
        for raw in rows(item.data, item.name, self._settings.most_rows):
            try:
                found.append(read_trade(raw))
            except RecordMalformed as error:
                self._books.set_aside(str(error))
        return found

    async def _gap(self, reason: str) -> None:
        await self._reporter.announce("connector.gap", reason)


def _same_money(one: AccountRow, other: AccountRow) -> bool:
    return (one.balance, one.credit) == (other.balance, other.credit)
