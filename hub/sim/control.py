"""A small HTTP surface for whoever conducts the simulation: faults, by-hand acts, the ledger, the state of the books.

``POST /sim/faults``   any fields of ``FaultChange``; answers the faults now in force
``POST /sim/do``       one act: ``{"act": "deposit", "login": 1001, "amount": "100"}``; answers what it did
``GET  /sim/ledger``   ``{"effects": [...], "duplicates": {tag: [...]}}``, narrowed by ``?tag=``, ``?kind=``, ``?login=``
``GET  /sim/state``    accounts with their standing, counts of facts, sessions, traffic, faults

It answers loopback only. Money and lots are strings here: this surface is ours, not a gateway's.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal, Protocol

import msgspec
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hub.clock import Clock
from hub.sim.broker import Broker
from hub.sim.driver import Driver
from hub.sim.faults import COMMENT_LENGTH, Faults, Odds
from hub.sim.ledger import Effect, Ledger
from hub.sim.model import Account, Refused, Trade
from hub.sim.money import standing

LARGEST_BODY: Final = 64 * 1024
LONGEST_WAIT_MS: Final = 3_600_000

Amount = Annotated[Decimal, Field(max_digits=20, decimal_places=8)]
Millis = Annotated[int, Field(ge=0, le=LONGEST_WAIT_MS)]


class Edge(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OddsChange(Edge):
    next: int = Field(default=0, ge=0, le=1_000_000)
    probability: float = Field(default=0.0, ge=0.0, le=1.0)


class FaultChange(Edge):
    """Every field may be left out; the last three act at once and are not kept."""

    drop_before_apply: OddsChange | None = None
    late_apply: OddsChange | None = None
    apply_then_drop_answer: OddsChange | None = None
    apply_then_withhold_answer: OddsChange | None = None
    glitch_equity: OddsChange | None = None
    late_apply_after_ms: Millis | None = None
    answer_delay_ms: Millis | None = None
    history_lag_ms: Millis | None = None
    comment_length: int | None = Field(default=None, ge=0, le=COMMENT_LENGTH)
    duplicate_history_rows: bool | None = None
    pascal_case: bool | None = None
    wrap_history: bool | None = None
    hollow_rows: bool | None = None
    drop_connections: bool = False
    lose_sessions: bool = False
    lose_upstream_ms: Millis | None = None


class Cash(Edge):
    act: Literal["deposit", "withdraw"]
    login: int
    amount: Amount
    comment: str = ""


class Open(Edge):
    act: Literal["open"]
    login: int
    symbol: str
    side: Literal["buy", "sell"]
    lots: Amount
    sl: Amount = Decimal(0)
    tp: Amount = Decimal(0)


class Close(Edge):
    act: Literal["close"]
    login: int
    ticket: int
    lots: Amount | None = None


class MovePrice(Edge):
    act: Literal["move_price"]
    symbol: str
    price: Amount


class Traffic(Edge):
    act: Literal["stop_traffic", "start_traffic"]


Act = Annotated[Cash | Open | Close | MovePrice | Traffic, Field(discriminator="act")]
ACT: Final[TypeAdapter[Cash | Open | Close | MovePrice | Traffic]] = TypeAdapter(Act)


class Levers(Protocol):
    """What strikes both gateways at once."""

    def drop_connections(self) -> None: ...

    def lose_sessions(self) -> None: ...

    def lose_upstream(self, duration: timedelta) -> None: ...

    def session_counts(self) -> dict[str, int]: ...


class Done(msgspec.Struct, frozen=True, omit_defaults=True):
    ticket: int = 0
    profit: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None


class LedgerPage(msgspec.Struct, frozen=True):
    effects: list[Effect]
    duplicates: dict[str, list[Effect]]


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    login: int
    platform: str
    group: str
    enable: bool
    read_only: bool
    balance: Decimal
    credit: Decimal
    equity: Decimal
    margin: Decimal
    free_margin: Decimal
    margin_level: Decimal
    positions: int
    pending: int


class State(msgspec.Struct, frozen=True):
    accounts: list[AccountState]
    counts: dict[str, int]
    effects: int
    sessions: dict[str, int]
    traffic: bool
    faults: Faults


class Control:
    def __init__(
        self, broker: Broker, ledger: Ledger, faults: Faults, driver: Driver, levers: Levers, clock: Clock
    ) -> None:
        self._broker = broker
        self._ledger = ledger
        self._faults = faults
        self._driver = driver
        self._levers = levers
        self._clock = clock

    def app(self) -> web.Application:
        app = web.Application(middlewares=[_loopback_only], client_max_size=LARGEST_BODY)
        app.add_routes(
            [
                web.post("/sim/faults", self._set_faults),
                web.post("/sim/do", self._do),
                web.get("/sim/ledger", self._read_ledger),
                web.get("/sim/state", self._read_state),
            ]
        )
        return app

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            change = FaultChange.model_validate_json(await request.read())
        except ValidationError as error:
            return _problem(str(error))
        apply_change(self._faults, change)
        if change.drop_connections:
            self._levers.drop_connections()
        if change.lose_sessions:
            self._levers.lose_sessions()
        if change.lose_upstream_ms is not None:
            self._levers.lose_upstream(timedelta(milliseconds=change.lose_upstream_ms))
        return _json(self._faults)

    async def _do(self, request: web.Request) -> web.Response:
        self._broker.move_to(self._clock.now_us())
        try:
            return _json(self._perform(ACT.validate_json(await request.read())))
        except ValidationError as error:
            return _problem(str(error))
        except Refused as refusal:
            return _problem(refusal.message)

    def _perform(self, act: Cash | Open | Close | MovePrice | Traffic) -> Done:
        match act:
            case Cash(act="deposit"):
                return _done(self._broker.deposit(act.login, act.amount, act.comment or "Deposit"))
            case Cash():
                return _done(self._broker.withdraw(act.login, act.amount, act.comment or "Withdrawal"))
            case Open():
                trade = self._broker.open(act.login, act.symbol, act.side, act.lots, sl=act.sl, tp=act.tp)
                return _done(trade)
            case Close():
                return _done(self._broker.close(act.login, act.ticket, act.lots))
            case MovePrice():
                quote = self._broker.move_price(act.symbol, act.price)
                return Done(bid=quote.bid, ask=quote.ask)
            case Traffic(act="stop_traffic"):
                self._driver.stop_traffic()
            case Traffic():
                self._driver.start_traffic()
        return Done()

    async def _read_ledger(self, request: web.Request) -> web.Response:
        query = request.query
        login = query.get("login")
        if login is not None and not login.isdecimal():
            return _problem("login must be a number")
        effects = self._ledger.effects(query.get("kind"), None if login is None else int(login))
        if "tag" in query:
            tagged = self._ledger.by_tag(query["tag"])
            effects = [effect for effect in effects if effect in tagged]
        return _json(LedgerPage(effects, self._ledger.duplicates()))

    async def _read_state(self, request: web.Request) -> web.Response:
        accounts = [self._account_state(account) for account in self._broker.accounts.values()]
        counts = dict(sorted(self._broker.counts.items()))
        sessions = self._levers.session_counts()
        return _json(State(accounts, counts, len(self._ledger), sessions, self._driver.traffic, self._faults))

    def _account_state(self, account: Account) -> AccountState:
        stands = standing(self._broker.market, account)
        return AccountState(
            login=account.login,
            platform=account.platform.value,
            group=account.group,
            enable=account.enable,
            read_only=account.read_only,
            balance=stands.balance,
            credit=stands.credit,
            equity=stands.equity,
            margin=stands.margin,
            free_margin=stands.free_margin,
            margin_level=stands.margin_level,
            positions=len(account.positions),
            pending=len(account.pending),
        )


def apply_change(faults: Faults, change: FaultChange) -> None:
    for name, value in change:
        if value is None:
            continue
        if isinstance(value, OddsChange):
            setattr(faults, name, Odds(value.next, value.probability))
        elif name in {"late_apply_after_ms", "answer_delay_ms", "history_lag_ms"}:
            setattr(faults, name.removesuffix("_ms"), timedelta(milliseconds=value))
        elif hasattr(faults, name):
            setattr(faults, name, value)


@web.middleware
async def _loopback_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if request.remote is None or not ipaddress.ip_address(request.remote).is_loopback:
        return web.Response(status=403, text="the control surface answers loopback only")
    return await handler(request)


def _done(trade: Trade) -> Done:
    return Done(ticket=trade.ticket, profit=trade.profit)


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", status=status)


def _problem(message: str) -> web.Response:
    return _json({"error": message}, status=400)
