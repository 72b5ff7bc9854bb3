"""The functions of MT Remote, by their wire names."""

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import msgspec

from hub.sim.back_office import BackOffice
from hub.sim.model import Refused
from hub.sim.mt4_records import (
    GroupRecord,
    Tick,
    TradeRecord,
    UserRecord,
    group_record,
    tick,
    trade_record,
    user_record,
)
from hub.sim.mt_remote_shapes import (
    ByLogin,
    External,
    GroupSet,
    History,
    Logins,
    NewTick,
    OneGroup,
    OneOrder,
    OneSymbol,
    OrderActivate,
    OrderBalance,
    OrderCancel,
    OrderClose,
    OrderCloseAll,
    OrderCloseBy,
    OrderModify,
    OrderOpen,
    Topic,
    UserFields,
)
from hub.sim.wire import read

TOPICS: Final = frozenset({"connection", "group", "user", "trade", "tick"})
DEALING: Final = "trade_request"
FAR_FUTURE: Final = 1 << 40

# What a call answers with; None leaves the result out of the reply.
Result = object


@dataclass(slots=True)
class Client:
    """What one connected session has asked for."""

    signed_in: bool = False
    reconnect_delay: timedelta = timedelta(0)
    topics: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)


class Calls:
    """Look up a function by name and run it; ``WRITES`` change something at the broker."""

    WRITES: Final = frozenset(
        {
            *(
                "user.set",
                "user.add",
                "config.group.set",
                "tick.add",
                "order.open",
                "order.modify",
                "order.close",
            ),
            *("order.close_by", "order.close_all", "order.cancel", "order.activate", "order.balance"),
        }
    )

    def __init__(self, office: BackOffice) -> None:
        self._office = office
        self._broker = office.broker
        self._table: dict[str, Callable[[Client, msgspec.Raw], Result]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "users.get": self._users_get,
            "users.get.all": self._users_get_all,
            "user.add": self._user_add,
            "user.set": self._user_set,
            "config.group.get": self._group_get,
            "config.groups.get.all": self._groups_get_all,
            "config.group.set": self._group_set,
            "symbol.show": self._symbol_show,
            "symbol.hide": self._symbol_hide,
            "tick.add": self._tick_add,
            "ticks.get": self._ticks_get,
            "order.open": self._order_open,
            "order.modify": self._order_modify,
            "order.close": self._order_close,
            "order.close_by": self._order_close_by,
            "order.close_all": self._order_close_all,
            "order.cancel": self._order_cancel,
            "order.activate": self._order_activate,
            "order.balance": self._order_balance,
            "trade.get": self._trade_get,
            "trades.get": self._trades_get,
            "trades.get.all": self._trades_get,
            "trades.get.by_login": self._trades_get_by_login,
            "trades.history": self._trades_history,
            "external.command": self._external_command,
        }

    def run(self, name: str, client: Client, data: msgspec.Raw) -> Result:
        call = self._table.get(name)
        if call is None:
            raise Refused(f"Unknown function '{name[:64]}'")
        return call(client, data)

    # --- events

    def _subscribe(self, client: Client, data: msgspec.Raw) -> Result:
        client.topics.add(self._topic(data))
        return None

    def _unsubscribe(self, client: Client, data: msgspec.Raw) -> Result:
        client.topics.discard(self._topic(data))
        return None

    @staticmethod
    def _topic(data: msgspec.Raw) -> str:
        topic = read(Topic, data).event
        if topic == DEALING:
            raise Refused("Dealing is not available to this manager: trade_request cannot be subscribed")
        if topic not in TOPICS:
            raise Refused(f"Unknown event '{topic[:64]}'")
        return topic

    # --- users and groups

    def _users_get(self, client: Client, data: msgspec.Raw) -> list[UserRecord]:
        return [user_record(self._broker, self._office.account(login)) for login in read(Logins, data).logins]

    def _users_get_all(self, client: Client, data: msgspec.Raw) -> list[UserRecord]:
        accounts = self._broker.accounts_of(self._office.platform)
        return [user_record(self._broker, account) for account in accounts]

    def _user_add(self, client: Client, data: msgspec.Raw) -> Result:
        fields = read(UserFields, data)
        return {"login": self._office.add_user(fields.login, fields.written()).login}

    def _user_set(self, client: Client, data: msgspec.Raw) -> Result:
        fields = read(UserFields, data)
        self._office.set_user(fields.login, fields.written())
        return None

    def _group_get(self, client: Client, data: msgspec.Raw) -> GroupRecord:
        return group_record(self._broker, self._broker.group(read(OneGroup, data).group))

    def _groups_get_all(self, client: Client, data: msgspec.Raw) -> list[GroupRecord]:
        return [group_record(self._broker, group) for group in self._broker.groups.values()]

    def _group_set(self, client: Client, data: msgspec.Raw) -> Result:
        fields = msgspec.structs.asdict(read(GroupSet, data))
        name = str(fields.pop("group"))
        self._office.set_group(name, {key: value for key, value in fields.items() if isinstance(value, int)})
        return None

    # --- prices

    def _symbol_show(self, client: Client, data: msgspec.Raw) -> Result:
        client.shown.add(self._broker.market.symbol(read(OneSymbol, data).symbol).name)
        return None

    def _symbol_hide(self, client: Client, data: msgspec.Raw) -> Result:
        client.shown.discard(read(OneSymbol, data).symbol)
        return None

    def _tick_add(self, client: Client, data: msgspec.Raw) -> Result:
        new = read(NewTick, data)
        self._office.add_tick(new.symbol, new.bid, new.ask)
        return None

    def _ticks_get(self, client: Client, data: msgspec.Raw) -> list[Tick]:
        name = self._broker.market.symbol(read(OneSymbol, data).symbol).name
        return (
            [tick(self._broker, quote) for quote in self._broker.market.recent(name)]
            if name in client.shown
            else []
        )

    # --- orders

    def _order_open(self, client: Client, data: msgspec.Raw) -> Result:
        order = read(OrderOpen, data)
        if order.price <= 0:
            raise Refused("Invalid price")
        trade = self._office.open(
            order.login,
            order.symbol,
            order.command,
            order.volume,
            price=order.price,
            sl=order.sl,
            tp=order.tp,
            expires_at=self._expiration(order.expiration),
            comment=order.comment,
        )
        return {"order": trade.ticket}

    def _order_modify(self, client: Client, data: msgspec.Raw) -> Result:
        change = read(OrderModify, data)
        self._office.modify(
            self._office.owner_of(change.order),
            change.order,
            price=change.price,
            sl=change.sl,
            tp=change.tp,
            expires_at=None if change.expiration is None else self._expiration(change.expiration),
            comment=change.comment,
        )
        return None

    def _order_close(self, client: Client, data: msgspec.Raw) -> Result:
        order = read(OrderClose, data)
        if order.price <= 0 or order.volume <= 0:
            raise Refused("Invalid price" if order.price <= 0 else "Invalid volume")
        self._office.close(self._office.owner_of(order.order), order.order, order.volume, order.price)
        return None

    def _order_close_by(self, client: Client, data: msgspec.Raw) -> Result:
        orders = read(OrderCloseBy, data)
        self._office.close_by(orders.order, orders.order_by)
        return None

    def _order_close_all(self, client: Client, data: msgspec.Raw) -> Result:
        what = read(OrderCloseAll, data)
        self._office.close_all(what.login, what.symbol)
        return None

    def _order_cancel(self, client: Client, data: msgspec.Raw) -> Result:
        order = read(OrderCancel, data)
        account = self._office.owner_of(order.order)
        if self._broker.desk.pending(account, order.order).command is not order.command:
            raise Refused("Invalid command")
        self._office.cancel(account, order.order)
        return None

    def _order_activate(self, client: Client, data: msgspec.Raw) -> Result:
        order = read(OrderActivate, data)
        if order.price <= 0:
            raise Refused("Invalid price")
        self._office.activate(order.order, order.price)
        return None

    def _order_balance(self, client: Client, data: msgspec.Raw) -> Result:
        order = read(OrderBalance, data)
        expires_at = self._expiration(order.expiration)
        row = self._office.cash(order.login, order.command, order.amount, order.comment, expires_at)
        return {"order": row.ticket}

    def _expiration(self, seconds: int) -> int:
        if not 0 <= seconds < FAR_FUTURE or seconds % 3600:
            raise Refused("Invalid expiration: whole hours only")
        return self._broker.zone.moment(seconds)

    # --- trades

    def _trade_get(self, client: Client, data: msgspec.Raw) -> TradeRecord:
        ticket = read(OneOrder, data).order
        account = self._office.owner_of(ticket)
        return trade_record(self._broker, account.positions.get(ticket) or account.pending[ticket])

    def _trades_get(self, client: Client, data: msgspec.Raw) -> list[TradeRecord]:
        accounts = self._broker.accounts_of(self._office.platform)
        return [record for account in accounts for record in self._open_records(account.login)]

    def _trades_get_by_login(self, client: Client, data: msgspec.Raw) -> list[TradeRecord]:
        who = read(ByLogin, data)
        if self._office.account(who.login).group != who.group:
            raise Refused(f"Cannot find user '{who.login}' in group '{who.group[:64]}'")
        return list(self._open_records(who.login))

    def _open_records(self, login: int) -> Iterable[TradeRecord]:
        account = self._office.account(login)
        for trade in (*account.positions.values(), *account.pending.values()):
            yield trade_record(self._broker, trade)

    def _trades_history(self, client: Client, data: msgspec.Raw) -> list[TradeRecord]:
        asked = read(History, data)
        until = FAR_FUTURE if asked.until is None else asked.until
        rows = self._office.history(self._office.account(asked.login), asked.since, until)
        return [trade_record(self._broker, row) for row in rows]

    def _external_command(self, client: Client, data: msgspec.Raw) -> str:
        """Answer as a server without the plugin does: nothing listens."""
        command = read(External, data)
        if command.encoding == "base64":
            try:
                base64.b64decode(command.command, validate=True)
            except binascii.Error as error:
                raise Refused("Invalid parameters: command is not base64") from error
        elif command.encoding != "plain":
            raise Refused("Invalid parameters: encoding is plain or base64")
        raise Refused("External command is not supported by the server")
