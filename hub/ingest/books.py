"""What a connector knows of its server: accounts, open trades, and which facts it has told.

Every change comes back as tellings together with the marks that remember it, to be written in one transaction: after a
crash the marks in the log and the facts in the log agree, and the next session starts from them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from hub.bus.log import Mark
from hub.errors import RecordMalformed
from hub.ingest.derive import Deriving, Telling, lots_held, net_of
from hub.ingest.derive_account import DerivingAccounts
from hub.ingest.feed import ZERO, AccountRow, Platform, TradeRow
from hub.ingest.fields import clean_decimal
from hub.ingest.normalize_mt4 import same_opening, split_from, split_to

REMEMBERED = 50_000
MOST_PARTS = 1_000
MOST_REFUSED = 1_000
CURSOR = "cursor"
_encode = msgspec.json.encode


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """An account the hub has seen. What ended before `since`, or is in `absorbed`, is its history and never told.

    `has_history`: `absorbed` is complete.
    """

    account: AccountRow
    since: int
    absorbed: frozenset[tuple[str, int]] = frozenset()
    has_history: bool = False


@dataclass(slots=True)
class Changes:
    """Tellings in order, each with whether it is told late, and the marks that go with them."""

    tellings: list[tuple[Telling, bool]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.tellings or self.marks)


class Books:
    def __init__(
        self, source: str, platform: Platform, deriving: Deriving, accounts: DerivingAccounts
    ) -> None:
        self._source = source
        self._platform = platform
        self._deriving = deriving
        self._deriving_accounts = accounts
        self.known: dict[int, Known] = {}
        self.open: dict[int, TradeRow] = {}
        self._tickets: defaultdict[int, set[int]] = defaultdict(set)  # open tickets by login
        self.cursor: int | None = None
        self._told: dict[tuple[str, int], None] = {}
        self._refused: set[str] = set()
        self.refusals: list[str] = []  # not announced yet
        self._rests: dict[int, TradeRow] = {}  # rests of MT4 tickets whose new number is not known yet

    def load(self, marks: Mapping[str, bytes]) -> None:
        for name, value in marks.items():
            kind, _, _ = name.partition(":")
            match kind:
                case "account":
                    known = msgspec.json.decode(value, type=Known)
                    self.known[known.account.login] = known
                case "open":
                    row = msgspec.json.decode(value, type=TradeRow)
                    self.open[row.ticket] = row
                    self._tickets[row.login].add(row.ticket)
                case "cursor":
                    self.cursor = msgspec.json.decode(value, type=int)
                case _:
                    pass
        for login in [login for login, known in self.known.items() if not known.has_history]:
            # The first sight was cut short: what ended before it cannot be told from what ended since. See it anew.
            del self.known[login]
            for ticket in self._tickets.pop(login, ()):
                del self.open[ticket]

    def open_of(self, login: int) -> list[TradeRow]:
        return [self.open[ticket] for ticket in self._tickets.get(login, ())]

    def is_told(self, row: TradeRow) -> bool:
        """Tell whether a finished row is a fact this session told, or history from before the account was known."""
        held = self.open.get(row.ticket)
        if row.final in self._told or (held is not None and row.deal_out in held.parts):
            return True
        known = self.known.get(row.login)
        return known is not None and (row.closed_at < known.since or row.final in known.absorbed)

    def told_later_than(self, row: TradeRow) -> bool:
        """Tell whether what is known of an open row is newer than this sight of it."""
        known = self.open.get(row.ticket)
        return ("ticket", row.ticket) in self._told or (
            known is not None and row.changed_at < known.changed_at
        )

    def set_aside(self, reason: str) -> None:
        """Note, once, that a record could not be used; every look at the server will find it again."""
        if reason not in self._refused and len(self._refused) < MOST_REFUSED:
            self._refused.add(reason)
            self.refusals.append(reason)

    # --- trades and cash

    def observe(self, row: TradeRow, *, late: bool = False) -> Changes:
        """Take one sight of a trade, order or cash operation of a known account; return what it told and changed."""
        changes = Changes()
        if not row.is_open and self.is_told(row):
            return changes
        if row.is_open and self.told_later_than(row):
            return changes
        before = self._before(row)
        row = self._comparable(before, row)
        since = self.known[row.login].since
        try:
            changes.tellings = [(told, late) for told in self._deriving.tell(before, row, since=since)]
        except RecordMalformed as error:
            self.set_aside(str(error))
            return changes
        self._rests.pop(split_from(row) or 0, None)
        if row.is_open:
            self._keep(row, before, changes)
        else:
            self._finish(row, before, changes)
        self._move_money(row.login, changes)
        return changes

    def would_tell(self, row: TradeRow) -> list[Telling]:
        """Return what observing a row would tell, and change nothing."""
        if self.is_told(row) if not row.is_open else self.told_later_than(row):
            return []
        before = self._before(row)
        try:
            row = self._comparable(before, row)
            return self._deriving.tell(before, row, since=self.known[row.login].since)
        except RecordMalformed as error:
            self.set_aside(str(error))
            return []

    def remember_told(self, row: TradeRow) -> None:
        """Note that the log already holds this finished row's fact, and that it is no longer open."""
        self._remember(row.final)

    def adopt(self, row: TradeRow) -> Changes:
        """Take a ticket for the rest of a position the log knows under another: facts can be told whose marks were lost."""
        changes = Changes()
        if row.ticket not in self.open and row.final not in self._told:
            lots = row.lots if row.is_open else row.opened_lots or row.lots
            self._put(replace(row, lots=lots, closed_at=0, comment=""), changes)
        return changes

    def lacks_origin(self, row: TradeRow) -> bool:
        """Tell whether a row is part of an MT4 trade that was cut and of which the books know no other part."""
        if row.ticket in self.open or row.final in self._told or ("ticket", row.ticket) in self._told:
            return False
        is_part = split_from(row) is not None or split_to(row) is not None
        return is_part and self._before(row) is None

    def _before(self, row: TradeRow) -> TradeRow | None:
        before = self.open.get(row.ticket)
        if before is not None or self._platform is not Platform.MT4:
            return before
        origin = split_from(row)
        if origin is None:
            return None
        rest = self._rests.get(origin)
        if rest is not None and same_opening(rest, row):
            return replace(rest, ticket=row.ticket)
        parent = self.open.get(origin)
        if parent is not None and same_opening(parent, row) and row.lots < parent.lots:
            return replace(parent, ticket=row.ticket, lots=row.lots)
        return None

    def _comparable(self, before: TradeRow | None, row: TradeRow) -> TradeRow:
        """Return a row whose lots may be compared: on MT5 a deal changes them, never a look at what stands.

        A look and the history of deals are read one after the other, so a deal between them would be told by both.
        """
        if (
            before is None
            or not before.command.is_market
            or not row.is_open
            or self._platform is Platform.MT4
        ):
            return row
        is_same_deal = row.deal_in is None or row.deal_in == before.deal_in
        return replace(row, lots=before.lots, deal_in=before.deal_in) if is_same_deal else row

    def _keep(self, row: TradeRow, before: TradeRow | None, changes: Changes) -> None:
        if before is not None and before.command.is_market:
            # MT4 overwrites the comment of a position that was partly closed; the opening's is the one that counts.
            row = replace(row, comment=before.comment, magic=before.magic, parts=before.parts)
        row = steady(row)
        if self.open.get(row.ticket) != row:
            self._put(row, changes)

    def _finish(self, row: TradeRow, before: TradeRow | None, changes: Changes) -> None:
        self._remember(row.final)
        if row.command.is_cash:
            return
        held = lots_held(before, row)
        rest = replace(
            before or row,
            command=row.command,
            lots=clean_decimal(held - row.lots),
            closed_at=0,
            deal_out=None,
            parts=(*(before.parts if before else ()), *((row.deal_out,) if row.deal_out else ()))[
                -MOST_PARTS:
            ],
        )
        if rest.lots > 0 and self._platform is Platform.MT5:
            self._put(rest, changes)
            return
        self._remember(("ticket", row.ticket))
        self._drop(row.ticket, changes)
        if rest.lots > 0 and row.command.is_market:
            self._expect_rest(row, rest, changes)

    def _expect_rest(self, row: TradeRow, rest: TradeRow, changes: Changes) -> None:
        number = split_to(row)
        if number is None:
            self._rests[row.ticket] = rest
        elif number not in self.open and ("ticket", number) not in self._told:
            self._put(replace(rest, ticket=number), changes)

    def forget(self, ticket: int) -> Changes:
        """Let go of an open row the server no longer has and never told the end of."""
        changes = Changes()
        self._drop(ticket, changes)
        return changes

    def _move_money(self, login: int, changes: Changes) -> None:
        known = self.known[login]
        balance, credit = known.account.balance, known.account.credit
        for telling, _ in changes.tellings:
            moved, lent = net_of(telling)
            balance = None if balance is None else clean_decimal(balance + moved)
            credit = None if credit is None else clean_decimal(credit + lent)
        if (balance, credit) != (known.account.balance, known.account.credit):
            account = replace(known.account, balance=balance, credit=credit)
            self._put_known(replace(known, account=account), changes)

    # --- accounts

    def meet(
        self, account: AccountRow, rows: Iterable[TradeRow], *, since: int, is_new: bool, late: bool = False
    ) -> Changes:
        """Take the first sight of an account with what it has open: its starting point."""
        changes = Changes()
        count, lots = 0, ZERO
        self._put_known(Known(account=account, since=since, has_history=is_new), changes)
        for row in rows:
            self._put(row, changes)
            if row.command.is_market:
                count, lots = count + 1, lots + row.lots
        told = self._deriving_accounts.first_sight(
            account, open_positions=count, open_lots=lots, is_new=is_new
        )
        changes.tellings.append((told, late))
        return changes

    def absorb(self, login: int, rows: Iterable[TradeRow]) -> Changes:
        """Take what had already ended when the account was first seen; it is never told."""
        changes = Changes()
        known = self.known[login]
        ended = frozenset(row.final for row in rows if row.final not in self._told)
        self._put_known(replace(known, absorbed=ended, has_history=True), changes)
        return changes

    def see(self, account: AccountRow, *, late: bool = False) -> Changes:
        """Take a later sight of a known account. Balance and credit stay what the events told so far add up to."""
        changes = Changes()
        known = self.known[account.login]
        for telling in self._deriving_accounts.tell(known.account, account):
            changes.tellings.append((telling, late))
        merged = _merged(known.account, account)
        if merged != known.account:
            self._put_known(replace(known, account=merged), changes)
        return changes

    def correct(self, account: AccountRow) -> Changes:
        """Believe the server where balance or credit is not what the events add up to."""
        changes = Changes()
        known = self.known[account.login]
        mine = known.account
        balance = (mine.balance, account.balance if account.balance is not None else mine.balance)
        credit = (mine.credit, account.credit if account.credit is not None else mine.credit)
        if balance[0] == balance[1] and credit[0] == credit[1]:
            return changes
        changes.tellings.append((self._deriving_accounts.corrected(account.login, balance, credit), True))
        self._put_known(replace(known, account=replace(mine, balance=balance[1], credit=credit[1])), changes)
        return changes

    def is_off(self, account: AccountRow) -> bool:
        mine = self.known[account.login].account
        return _differs(mine.balance, account.balance) or _differs(mine.credit, account.credit)

    def set_cursor(self, server_us: int) -> Changes:
        """Remember up to when all history has been read."""
        self.cursor = server_us
        return Changes(marks=[self._mark(CURSOR, _encode(server_us))])

    # --- inside

    def _put(self, row: TradeRow, changes: Changes) -> None:
        self.open[row.ticket] = row = steady(row)
        self._tickets[row.login].add(row.ticket)
        changes.marks.append(self._mark(f"open:{row.ticket}", _encode(row)))

    def _drop(self, ticket: int, changes: Changes) -> None:
        row = self.open.pop(ticket, None)
        if row is not None:
            self._tickets[row.login].discard(ticket)
            changes.marks.append(self._mark(f"open:{ticket}", None))

    def _put_known(self, known: Known, changes: Changes) -> None:
        self.known[known.account.login] = known
        changes.marks.append(self._mark(f"account:{known.account.login}", _encode(known)))

    def _mark(self, name: str, value: bytes | None) -> Mark:
        return Mark(self._source, name, value)

    def _remember(self, final: tuple[str, int]) -> None:
        self._told[final] = None
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]


def steady(row: TradeRow) -> TradeRow:
    """Return an open row without what moves with the price: remembering that would write a mark for every look."""
    return replace(row, profit=ZERO, close_price=ZERO, swap=ZERO, commission=None, fee=None, taxes=None)


def _differs(mine: Decimal | None, theirs: Decimal | None) -> bool:
    return mine is not None and theirs is not None and mine != theirs


def _merged(before: AccountRow, now: AccountRow) -> AccountRow:
    def newer(name: str) -> object:
        value = getattr(now, name)
        return value if value is not None else getattr(before, name)

    names = ("group", "currency", "leverage", "name", "email", "country", "enabled", "trading_enabled")
    return replace(before, **{name: newer(name) for name in names})


def merge(parts: Iterable[Changes]) -> Iterator[Changes]:
    """Yield changes joined into portions of a size the log takes well, never dividing one."""
    portion = Changes()
    for part in parts:
        portion.tellings += part.tellings
        portion.marks += part.marks
        if len(portion.tellings) >= 200:
            yield portion
            portion = Changes()
    if portion:
        yield portion
