"""The REST calls of mt5rest that need a session: what each reads or does."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from hub.sim.back_office import BackOffice
from hub.sim.model import ZERO, Account, Command, Reason, Refused, Trade
from hub.sim.money import standing
from hub.sim.mt5_records import (
    ORDER_TYPES,
    details,
    opened_orders,
    order_record,
    quote_record,
    summary,
    symbol_params,
)
from hub.sim.mt5_shapes import Camel, Order
from hub.sim.mt5rest_query import Query

CLOSED_ROWS: Final = 100
DEFAULT_INTERVAL: Final = timedelta(milliseconds=500)
SHORTEST_INTERVAL: Final = timedelta(milliseconds=20)
LONGEST_INTERVAL: Final = timedelta(minutes=1)
FAR_FUTURE: Final = 1 << 40
COMMANDS: Final = {ORDER_TYPES[command].lower(): command for command in Command if not command.is_cash}
NUMBERED: Final = (
    *(Command.BUY, Command.SELL, Command.BUY_LIMIT, Command.SELL_LIMIT, Command.BUY_STOP, Command.SELL_STOP),
)


@dataclass(slots=True)
class Terminal:
    """One signed-in session; it lives in this gateway's memory only."""

    token: str
    login: int
    is_investor: bool
    profit_interval: timedelta = DEFAULT_INTERVAL


class Wrapped(Camel, frozen=True, kw_only=True):
    orders: list[Order]


class Page(Camel, frozen=True, kw_only=True):
    orders: list[Order]
    page_number: int
    pages_count: int


class Timezone(Camel, frozen=True, kw_only=True):
    server_time: str
    utc_offset: Decimal
    utc_offset_seconds: int


class Calls:
    WRITES: Final = frozenset({"ordersend", "orderclose", "ordermodify"})

    def __init__(self, office: BackOffice) -> None:
        self._office = office
        self._broker = office.broker
        self._table: dict[str, Callable[[Terminal, Query], object]] = {
            "accountsummary": self._summary,
            "account": self._details,
            "accountdetails": self._details,
            "openedorders": self._opened,
            "openedorder": self._opened_one,
            "closedorders": self._closed,
            "orderhistory": self._history,
            "orderhistorypagination": self._history_page,
            "historypositions": self._positions,
            "symbols": self._symbols,
            "symbollist": self._symbol_list,
            "symbolparams": self._symbol_params,
            "getquote": self._quote,
            "servertimezone": self._timezone,
            "subscribe": self._subscribe_quote,
            "unsubscribe": self._subscribe_quote,
            "subscribeorderprofit": self._subscribe_profit,
            "unsubscribeorderprofit": self._unsubscribe_profit,
            "subscribeorderupdate": self._subscribe_update,
            "unsubscribeorderupdate": self._subscribe_update,
            "ordersend": self._send,
            "orderclose": self._close,
            "ordermodify": self._modify,
        }

    @staticmethod
    def key(path: str) -> str:
        """Return the name a path is looked up by; the Safe variants do the same as the plain ones."""
        return path.strip("/").lower().removesuffix("safe")

    def knows(self, key: str) -> bool:
        return key in self._table

    def run(self, key: str, terminal: Terminal, query: Query) -> object:
        return self._table[key](terminal, query)

    # --- the account

    def _account(self, terminal: Terminal) -> Account:
        return self._office.account(terminal.login)

    def _summary(self, terminal: Terminal, query: Query) -> object:
        account = self._account(terminal)
        return summary(account, standing(self._broker.market, account), is_investor=terminal.is_investor)

    def _details(self, terminal: Terminal, query: Query) -> object:
        return details(self._account(terminal))

    def _opened(self, terminal: Terminal, query: Query) -> object:
        return opened_orders(self._broker, self._account(terminal))

    def _opened_one(self, terminal: Terminal, query: Query) -> object:
        account, ticket = self._account(terminal), query.integer("ticket")
        trade = account.positions.get(ticket) or account.pending.get(ticket)
        if trade is None:
            raise Refused(f"Order with ticket {ticket} not found", "INVALID_TICKET")
        return order_record(self._broker, trade)

    # --- history

    def _rows(self, terminal: Terminal, since: int, until: int) -> list[Order]:
        rows = self._office.history(self._account(terminal), since, until)
        hollow = self._office.faults.hollow_rows
        return [order_record(self._broker, row, hollow=hollow) for row in rows]

    def _closed(self, terminal: Terminal, query: Query) -> object:
        return self._rows(terminal, 0, FAR_FUTURE)[-CLOSED_ROWS:]

    def _history(self, terminal: Terminal, query: Query) -> object:
        rows = self._rows(terminal, query.server_seconds("from"), query.server_seconds("to"))
        if query.text("ascending", "true").lower() == "false":
            rows.reverse()
        return Wrapped(orders=rows) if self._office.faults.wrap_history else rows

    def _history_page(self, terminal: Terminal, query: Query) -> object:
        rows = self._rows(terminal, query.server_seconds("from"), query.server_seconds("to"))
        per_page = min(max(query.integer("ordersPerPage", 100), 1), 1000)
        number = max(query.integer("pageNumber", 0), 0)
        page = rows[number * per_page : (number + 1) * per_page]
        return Page(orders=page, page_number=number, pages_count=-(-len(rows) // per_page))

    def _positions(self, terminal: Terminal, query: Query) -> object:
        """Return each position that has closed completely, its parts added up."""
        account = self._account(terminal)
        parts: dict[int, list[Trade]] = {}
        for row in self._office.history(account, query.server_seconds("from"), query.server_seconds("to")):
            if row.command.is_market:
                parts.setdefault(row.ticket, []).append(row)
        whole = {ticket: rows for ticket, rows in parts.items() if ticket not in account.positions}
        return [order_record(self._broker, _added_up(rows)) for rows in whole.values()]

    # --- symbols and the clock

    def _symbols(self, terminal: Terminal, query: Query) -> object:
        return {name: symbol_params(spec).symbol_info for name, spec in self._broker.market.symbols.items()}

    def _symbol_list(self, terminal: Terminal, query: Query) -> object:
        return list(self._broker.market.symbols)

    def _symbol_params(self, terminal: Terminal, query: Query) -> object:
        return symbol_params(self._broker.market.symbol(query.text("symbol")))

    def _quote(self, terminal: Terminal, query: Query) -> object:
        return quote_record(self._broker, self._broker.market.quote(query.text("symbol")))

    def _timezone(self, terminal: Terminal, query: Query) -> object:
        seconds = self._broker.zone.offset_seconds(self._broker.now_us)
        return Timezone(
            server_time=self._broker.zone.text(self._broker.now_us),
            utc_offset=Decimal(seconds) / 3600,
            utc_offset_seconds=seconds,
        )

    # --- subscriptions

    def _subscribe_quote(self, terminal: Terminal, query: Query) -> object:
        self._broker.market.symbol(query.text("symbol"))
        return "OK"

    def _subscribe_profit(self, terminal: Terminal, query: Query) -> object:
        asked = timedelta(
            milliseconds=query.integer("interval", int(DEFAULT_INTERVAL.total_seconds() * 1000))
        )
        terminal.profit_interval = min(max(asked, SHORTEST_INTERVAL), LONGEST_INTERVAL)
        return "OK"

    def _unsubscribe_profit(self, terminal: Terminal, query: Query) -> object:
        terminal.profit_interval = DEFAULT_INTERVAL
        return "OK"

    def _subscribe_update(self, terminal: Terminal, query: Query) -> object:
        return "OK"

    # --- trading

    def _send(self, terminal: Terminal, query: Query) -> object:
        account = self._trading(terminal)
        command = self._command(query.text("operation"))
        price = query.decimal("price") or None
        trade = self._office.open(
            account.login,
            query.text("symbol"),
            command,
            query.decimal("volume"),
            price=price if command.is_pending else None,
            sl=query.decimal("stoploss"),
            tp=query.decimal("takeprofit"),
            magic=query.integer("expertID", 0),
            comment=query.text("comment", ""),
            reason=Reason.EXPERT if query.integer("expertID", 0) else Reason.CLIENT,
        )
        return order_record(self._broker, trade)

    def _close(self, terminal: Terminal, query: Query) -> object:
        """Close a position, or part of it; a pending order's ticket removes the order."""
        account, ticket = self._trading(terminal), query.integer("ticket")
        if ticket in account.pending:
            return order_record(self._broker, self._office.cancel(account, ticket, reason=Reason.CLIENT))
        lots = query.decimal("lots") or None
        closed = self._office.close(account, ticket, lots, None, reason=Reason.CLIENT)
        return order_record(self._broker, closed)

    def _modify(self, terminal: Terminal, query: Query) -> object:
        account, ticket = self._trading(terminal), query.integer("ticket")
        changed = self._office.modify(
            account,
            ticket,
            price=query.decimal("price") or None,
            sl=query.optional("stoploss"),
            tp=query.optional("takeprofit"),
            reason=Reason.CLIENT,
        )
        return order_record(self._broker, changed)

    def _trading(self, terminal: Terminal) -> Account:
        if terminal.is_investor:
            raise Refused("Trade is disabled in investor mode", "TRADE_DISABLED")
        return self._account(terminal)

    @staticmethod
    def _command(text: str) -> Command:
        if text.isdecimal() and int(text) < len(NUMBERED):
            return NUMBERED[int(text)]
        try:
            return COMMANDS[text.lower()]
        except KeyError:
            raise Refused(
                f"The value '{text[:32]}' is not valid for operation.", "INVALID_PARAMETERS"
            ) from None


def _added_up(rows: list[Trade]) -> Trade:
    last = rows[-1]
    lots = sum((row.lots for row in rows), ZERO)
    price = sum((row.close_price * row.lots for row in rows), ZERO) / lots
    return Trade(
        ticket=last.ticket,
        login=last.login,
        command=last.command,
        symbol=last.symbol,
        lots=lots,
        open_at=last.open_at,
        open_price=last.open_price,
        changed_at=last.changed_at,
        sl=last.sl,
        tp=last.tp,
        close_at=last.close_at,
        close_price=price.quantize(last.close_price),
        profit=sum((row.profit for row in rows), ZERO),
        commission=sum((row.commission for row in rows), ZERO),
        swap=sum((row.swap for row in rows), ZERO),
        magic=last.magic,
        comment=last.comment,
        reason=last.reason,
        close_reason=last.close_reason,
        dealt_in=last.dealt_in,
        dealt_out=last.dealt_out,
    )
