"""mt5rest's orders and deals of MT5, brought to the shapes of feed.

An order's own figures are 0 in some builds while the deal inside it has them, so the deal is asked first. Names are read
whatever their casing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from hub.errors import RecordMalformed
from hub.ingest.feed import ZERO, AccountRow, Command, TradeRow
from hub.ingest.fields import Fields
from hub.ingest.server_clock import written

_COMMANDS: Mapping[str, Command] = {
    **{command.value.replace("_", ""): command for command in Command},
    **{f"deal{command.value}": command for command in (Command.BUY, Command.SELL)},
    "commissiondaily": Command.COMMISSION,
    "commissionmonthly": Command.COMMISSION,
    "agentdaily": Command.AGENT,
    "agentmonthly": Command.AGENT,
    "interestrate": Command.INTEREST,
    "dividendfranked": Command.DIVIDEND,
    "socompensation": Command.SO_COMPENSATION,
}
_REASONS = {
    "manually": "client",
    "client": "client",
    "mobile": "mobile",
    "web": "web",
    "byexpert": "expert",
    "expert": "expert",
    "bydealer": "dealer",
    "dealer": "dealer",
    "onsl": "sl",
    "ontp": "tp",
    "onstopout": "stop_out",
    "ongateway": "gateway",
    "gateway": "gateway",
}
# What OnOrderUpdate calls a change: whether the order in it stands open or has ended.
OPEN_UPDATES = frozenset(
    {"marketopen", "marketmodify", "pendingopen", "pendingmodify", "pendingfill", "positionopen"}
)
CLOSED_UPDATES = frozenset(
    {"marketclose", "positionclose", "partialclose", "pendingclose", "expired", "balance", "credit"}
)


@dataclass(frozen=True, slots=True)
class _Deal:
    number: int
    order: int | None
    command: str
    lots: Decimal
    price: Decimal
    profit: Decimal
    swap: Decimal
    commission: Decimal
    fee: Decimal
    magic: int
    comment: str
    reason: str
    at: int


def read_order(raw: object, login: int, *, is_closed: bool) -> TradeRow:
    """Return an order of OpenedOrders, OrderHistory or an update; `is_closed` says where it was found."""
    fields = Fields(raw, "mt5rest order")
    deal_in, deal_out = _deal(fields, "dealinternalin"), _deal(fields, "dealinternalout")
    command = _command(fields, deal_in)
    if command.is_cash:
        return _cash(fields, login, command, deal_in or deal_out)
    if is_closed and (deal_out is not None or command.is_market):
        return _closed(fields, login, command, deal_in, deal_out)
    is_pending = command.is_pending
    lots = fields.decimal("lots", ZERO) or (deal_in.lots if deal_in else ZERO)
    if lots <= 0:
        raise RecordMalformed(f"mt5rest order: {fields.integer('ticket')} has no lots")
    closed_at = _time(fields, "closetime") if is_closed else 0
    state = fields.text("state", "").lower()
    return TradeRow(
        ticket=_ticket(fields),
        login=login,
        command=command,
        symbol=fields.text("symbol"),
        lots=lots,
        opened_lots=deal_in.lots if deal_in and deal_in.lots else None,
        opened_at=deal_in.at if deal_in and deal_in.at else _time(fields, "opentime"),
        closed_at=closed_at,
        expires_at=_time(fields, "expirationtime"),
        open_price=deal_in.price if deal_in and deal_in.price else fields.decimal("openprice", ZERO),
        sl=fields.decimal("stoploss", ZERO),
        tp=fields.decimal("takeprofit", ZERO),
        opening_commission=deal_in.commission if deal_in else None,
        magic=max(deal_in.magic if deal_in else fields.integer("expertid", 0), 0),
        comment=deal_in.comment if deal_in else fields.text("comment", ""),
        reason=deal_in.reason if deal_in else _reason(fields.text("placedtype", "")),
        close_reason="expired" if is_closed and state == "expired" else "",
        order=None if is_pending else _ticket(fields),
        deal_in=deal_in.number if deal_in else None,
    )


def _closed(
    fields: Fields, login: int, command: Command, deal_in: _Deal | None, deal_out: _Deal | None
) -> TradeRow:
    """Return a closed part of a position: everything about the closing is the Out deal's."""
    closed_at = deal_out.at if deal_out and deal_out.at else _time(fields, "closetime")
    if not closed_at:
        raise RecordMalformed(f"mt5rest order: {fields.integer('ticket')} is closed and does not say when")
    lots = (
        (deal_out.lots if deal_out else ZERO)
        or fields.decimal("closelots", ZERO)
        or fields.decimal("lots", ZERO)
    )
    if lots <= 0:
        raise RecordMalformed(
            f"mt5rest order: {fields.integer('ticket')} is closed and does not say how much"
        )
    return TradeRow(
        ticket=_ticket(fields),
        login=login,
        command=command,
        symbol=fields.text("symbol"),
        lots=lots,
        opened_lots=deal_in.lots if deal_in and deal_in.lots else None,
        opened_at=deal_in.at if deal_in and deal_in.at else _time(fields, "opentime"),
        closed_at=closed_at,
        open_price=deal_in.price if deal_in and deal_in.price else fields.decimal("openprice", ZERO),
        close_price=deal_out.price if deal_out and deal_out.price else fields.decimal("closeprice", ZERO),
        sl=fields.decimal("stoploss", ZERO),
        tp=fields.decimal("takeprofit", ZERO),
        profit=deal_out.profit if deal_out else fields.decimal("profit", ZERO),
        swap=deal_out.swap if deal_out else fields.decimal("swap", ZERO),
        commission=deal_out.commission if deal_out else fields.decimal("commission", ZERO),
        opening_commission=deal_in.commission if deal_in else None,
        fee=deal_out.fee if deal_out else fields.decimal("fee", ZERO),
        magic=max(deal_in.magic if deal_in else fields.integer("expertid", 0), 0),
        comment=deal_in.comment if deal_in else fields.text("comment", ""),
        reason=deal_in.reason if deal_in else "",
        close_reason=deal_out.reason if deal_out else _reason(fields.text("placedtype", "")),
        order=deal_out.order if deal_out else None,
        deal_in=deal_in.number if deal_in else None,
        deal_out=deal_out.number if deal_out else None,
    )


def _cash(fields: Fields, login: int, command: Command, deal: _Deal | None) -> TradeRow:
    ticket = deal.number if deal else _ticket(fields)
    at = (deal.at if deal else 0) or _time(fields, "closetime") or _time(fields, "opentime")
    if not at:
        raise RecordMalformed(f"mt5rest order: cash operation {ticket} does not say when it was")
    return TradeRow(
        ticket=ticket,
        login=login,
        command=command,
        opened_at=at,
        closed_at=at,
        profit=(deal.profit if deal else ZERO) or fields.decimal("profit", ZERO),
        comment=(deal.comment if deal else "") or fields.text("comment", ""),
    )


def is_named(row: TradeRow) -> bool:
    """Tell whether a row has the deal numbers that make it the same fact for every connector."""
    if not row.command.is_market:
        return True
    return row.deal_out is not None if row.closed_at else row.deal_in is not None


_TYPES = {"real": "real", "demo": "demo", "contest": "contest"}


def read_account(summary: object, details: object, *, login: int, group: str | None) -> AccountRow:
    """Return the account of AccountSummary and, where the gateway has them, AccountDetails."""
    fields = Fields(summary, "mt5rest account summary")
    more = Fields(details if isinstance(details, Mapping) else {}, "mt5rest account details")
    return AccountRow(
        login=login,
        group=group,
        type=_TYPES.get(fields.text("type", "").lower()),
        currency=fields.text("currency", "") or None,
        leverage=int(fields.decimal("leverage", ZERO)) or None,
        name=more.text("username", "") or None,
        email=more.text("email", "") or None,
        country=more.text("country", "") or None,
        balance=fields.decimal("balance"),
        credit=fields.decimal("credit", ZERO),
    )


def order_rows(raw: object) -> object:
    """Return the list in a reply that is a list or an object with `orders`."""
    if isinstance(raw, Mapping):
        return Fields(raw, "mt5rest history").value("orders")
    return raw


def _command(fields: Fields, deal: _Deal | None) -> Command:
    text = fields.text("ordertype", "") or fields.text("dealtype", "") or (deal.command if deal else "")
    command = _COMMANDS.get(_plain(text))
    if command is None:
        raise RecordMalformed(f"mt5rest order: unknown orderType {text[:32]!r}")
    return command


def _deal(fields: Fields, name: str) -> _Deal | None:
    deal = fields.child(name)
    if deal is None:
        return None
    number = next((deal.integer(key) for key in ("ticketnumber", "ticket", "deal") if deal.has(key)), 0)
    if not 0 < number < 2**63:
        return None
    order = deal.integer("orderticket", 0)
    at = deal.integer("opentimems", 0)
    return _Deal(
        number=number,
        order=order or None,
        command=_plain(deal.text("type", "")),
        lots=deal.decimal("lots", ZERO),
        price=deal.decimal("price", ZERO) or deal.decimal("openprice", ZERO),
        profit=deal.decimal("profit", ZERO),
        swap=deal.decimal("swap", ZERO),
        commission=deal.decimal("commission", ZERO),
        fee=deal.decimal("fee", ZERO),
        magic=deal.integer("expertid", 0),
        comment=deal.text("comment", ""),
        reason=_reason(deal.text("placedtype", "")),
        at=at * 1000 if 0 < at < 8_000_000_000_000 else 0,
    )


def _ticket(fields: Fields) -> int:
    number = fields.integer("ticket")
    if not 0 < number < 2**63:
        raise RecordMalformed(f"mt5rest order: ticket {number} is out of range")
    return number


def _time(fields: Fields, name: str) -> int:
    text = fields.text(name, "")
    return written(text, f"mt5rest order: {name}") if text else 0


def _plain(text: str) -> str:
    return text.lower().replace("_", "").replace(" ", "")


def _reason(text: str) -> str:
    return _REASONS.get(_plain(text), "")
