"""MT Remote's records of MT4, brought to the shapes of feed."""

import re
from decimal import Decimal

import msgspec

from hub.errors import RecordMalformed
from hub.ingest.feed import ZERO, AccountRow, Command, TradeRow
from hub.ingest.fields import Fields
from hub.ingest.server_clock import seconds

_COMMANDS = {
    name: Command(name)
    for name in (
        *("buy", "sell", "buy_limit", "sell_limit", "buy_stop", "sell_stop"),
        *("balance", "credit"),
    )
}
# What the MT4 server itself appends to the comment of a position it closes.
_CLOSED_BY_SERVER = (
    (re.compile(r"\s*\[sl\]$"), "sl"),
    (re.compile(r"\s*\[tp\]$"), "tp"),
    (re.compile(r"\s*so: .*$"), "stop_out"),
    (re.compile(r"^(to|from) #\d{1,19}$"), ""),
)
_FROM = re.compile(r"^from #(\d{1,19})(\s*\[(sl|tp)\]|\s*so: .*)?$")
_TO = re.compile(r"^to #(\d{1,19})$")


def read_trade(raw: object) -> TradeRow:
    """Return the row of an Mt4TradeRecord. A cash row's volume of 0.01 means nothing and is left out."""
    fields = Fields(raw, "MT Remote trade record")
    command = _COMMANDS.get(fields.text("cmd"))
    if command is None:
        raise RecordMalformed(f"MT Remote trade record: unknown cmd {fields.text('cmd')[:32]!r}")
    cash = command.is_cash
    lots = ZERO if cash else fields.decimal("volume")
    if not cash and lots <= 0:
        raise RecordMalformed(f"MT Remote trade record: order {fields.integer('order')} has no volume")
    return TradeRow(
        ticket=_ticket(fields, "order"),
        login=_ticket(fields, "login"),
        command=command,
        symbol=fields.text("symbol", ""),
        lots=lots,
        opened_at=_time(fields, "open_time"),
        closed_at=_time(fields, "close_time"),
        expires_at=_time(fields, "expiration"),
        changed_at=_time(fields, "timestamp"),
        open_price=fields.decimal("open_price", ZERO),
        close_price=fields.decimal("close_price", ZERO),
        sl=fields.decimal("sl", ZERO),
        tp=fields.decimal("tp", ZERO),
        profit=fields.decimal("profit", ZERO),
        swap=fields.decimal("storage", ZERO),
        commission=fields.decimal("commission", ZERO),
        taxes=fields.decimal("taxes", ZERO),
        magic=max(fields.integer("magic", 0), 0),
        comment=fields.text("comment", ""),
        reason=fields.text("reason", ""),
    )


def read_user(raw: object, currencies: dict[str, str]) -> AccountRow:
    """Return the account of an Mt4UserRecord; its currency is its group's."""
    fields = Fields(raw, "MT Remote user record")
    group = fields.text("group", "")
    return AccountRow(
        login=_ticket(fields, "login"),
        group=group or None,
        currency=currencies.get(group),
        leverage=fields.integer("leverage", 0) or None,
        name=fields.text("name", ""),
        email=fields.text("email", ""),
        country=fields.text("country", ""),
        enabled=fields.flag("enable", True),
        trading_enabled=not fields.flag("read_only", False),
        balance=fields.decimal("balance"),
        credit=fields.decimal("credit", ZERO),
        registered_at=_time(fields, "reg_date"),
    )


def read_group(raw: object) -> tuple[str, str]:
    """Return a group's name and currency."""
    fields = Fields(raw, "MT Remote group record")
    return fields.text("group"), fields.text("currency", "")


def closing_mark(comment: str) -> tuple[str, str]:
    """Return why the server closed a position, or "", and the comment without what the server wrote into it."""
    for pattern, reason in _CLOSED_BY_SERVER:
        found = pattern.search(comment)
        if found:
            return reason, comment[: found.start()]
    return "", comment


def split_from(row: TradeRow) -> int | None:
    """Return the ticket this one says it is the rest of."""
    found = _FROM.match(row.comment) if row.command.is_market else None
    return int(found[1]) if found else None


def split_to(row: TradeRow) -> int | None:
    """Return the ticket in which the rest of this closed one goes on."""
    found = _TO.match(row.comment) if row.command.is_market and row.closed_at else None
    return int(found[1]) if found else None


def same_opening(one: TradeRow, other: TradeRow) -> bool:
    """Tell whether two tickets are parts of one position: anybody may write a comment, but not these."""
    return (one.login, one.command, one.symbol, one.opened_at, one.open_price) == (
        *(other.login, other.command, other.symbol, other.opened_at, other.open_price),
    )


def with_opened_lots(rows: list[TradeRow]) -> list[TradeRow]:
    """Return the rows, each closed part knowing how many lots it was cut from where its rest is among them."""
    by_ticket = {row.ticket: row for row in rows}
    found: dict[int, Decimal] = {}

    def opened_lots(row: TradeRow, depth: int = 0) -> Decimal:
        rest = by_ticket.get(split_to(row) or 0)
        if rest is None or depth > 64 or not same_opening(row, rest):
            return row.lots
        return row.lots + opened_lots(rest, depth + 1)

    for row in rows:
        if split_to(row) is not None:
            found[row.ticket] = opened_lots(row)
    return [_replace_lots(row, found.get(row.ticket)) for row in rows]


def _replace_lots(row: TradeRow, opened: Decimal | None) -> TradeRow:
    return row if opened is None else msgspec.structs.replace(row, opened_lots=opened)


def _ticket(fields: Fields, name: str) -> int:
    number = fields.integer(name)
    if not 0 < number < 2**63:
        raise RecordMalformed(f"MT Remote record: {name} {number} is out of range")
    return number


def _time(fields: Fields, name: str) -> int:
    return seconds(max(fields.integer(name, 0), 0), f"MT Remote record: {name}")
