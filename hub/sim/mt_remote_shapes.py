"""What clients of MT Remote send along with each function."""

from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType

from hub.sim.back_office import Field
from hub.sim.model import ZERO, Command


class Connect(msgspec.Struct, frozen=True):
    login: int
    password: str
    server: str = ""
    reconnect_delay: int = 0


class OneGroup(msgspec.Struct, frozen=True):
    group: str


class GroupSet(msgspec.Struct, frozen=True, omit_defaults=True):
    group: str
    margin_call: int | UnsetType = UNSET
    margin_stopout: int | UnsetType = UNSET
    default_leverage: int | UnsetType = UNSET
    enable: bool | UnsetType = UNSET


class UserFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A user record to write: every field may be left out, and the read-only ones are passed over."""

    login: int = 0
    group: str | UnsetType = UNSET
    enable: bool | UnsetType = UNSET
    enable_change_password: bool | UnsetType = UNSET
    read_only: bool | UnsetType = UNSET
    enable_otp: bool | UnsetType = UNSET
    password_phone: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    country: str | UnsetType = UNSET
    city: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    zipcode: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    lead_source: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    comment: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    leverage: int | UnsetType = UNSET
    agent_account: int | UnsetType = UNSET
    send_reports: bool | UnsetType = UNSET
    mqid: int | UnsetType = UNSET
    user_color: int | UnsetType = UNSET
    password: str | UnsetType = UNSET
    password_investor: str | UnsetType = UNSET
    taxes: msgspec.Raw | UnsetType = UNSET
    api_data: msgspec.Raw | UnsetType = UNSET
    last_date: msgspec.Raw | UnsetType = UNSET
    reg_date: msgspec.Raw | UnsetType = UNSET
    timestamp: msgspec.Raw | UnsetType = UNSET
    last_ip: msgspec.Raw | UnsetType = UNSET
    prev_month_balance: msgspec.Raw | UnsetType = UNSET
    prev_day_balance: msgspec.Raw | UnsetType = UNSET
    prev_month_equity: msgspec.Raw | UnsetType = UNSET
    prev_day_equity: msgspec.Raw | UnsetType = UNSET
    interestrate: msgspec.Raw | UnsetType = UNSET
    balance: msgspec.Raw | UnsetType = UNSET
    credit: msgspec.Raw | UnsetType = UNSET

    def written(self) -> dict[str, Field]:
        values = msgspec.structs.asdict(self)
        return {
            name: value
            for name, value in values.items()
            if name != "login" and isinstance(value, (str, int, bool))
        }


class Logins(msgspec.Struct, frozen=True):
    logins: list[int]


class OneSymbol(msgspec.Struct, frozen=True):
    symbol: str


class NewTick(msgspec.Struct, frozen=True):
    symbol: str
    bid: Decimal
    ask: Decimal


class OrderOpen(msgspec.Struct, frozen=True):
    login: int
    symbol: str
    command: Command
    volume: Decimal
    price: Decimal
    sl: Decimal = ZERO
    tp: Decimal = ZERO
    expiration: int = 0
    comment: str = ""


class OrderModify(msgspec.Struct, frozen=True):
    order: int
    price: Decimal | None = None
    sl: Decimal | None = None
    tp: Decimal | None = None
    expiration: int | None = None
    comment: str | None = None


class OrderClose(msgspec.Struct, frozen=True):
    order: int
    volume: Decimal
    price: Decimal


class OrderCloseBy(msgspec.Struct, frozen=True):
    order: int
    order_by: int


class OrderCloseAll(msgspec.Struct, frozen=True):
    login: int
    symbol: str


class OrderCancel(msgspec.Struct, frozen=True):
    order: int
    command: Command


class OrderActivate(msgspec.Struct, frozen=True):
    order: int
    price: Decimal


class OrderBalance(msgspec.Struct, frozen=True):
    login: int
    command: Command
    amount: Decimal
    expiration: int = 0
    comment: str = ""


class OneOrder(msgspec.Struct, frozen=True):
    order: int


class ByLogin(msgspec.Struct, frozen=True):
    login: int
    group: str


class History(msgspec.Struct, frozen=True, rename={"since": "from", "until": "to"}):
    login: int
    since: int = 0
    until: int | None = None


class Topic(msgspec.Struct, frozen=True):
    event: str


class External(msgspec.Struct, frozen=True):
    command: str
    encoding: str = "plain"
