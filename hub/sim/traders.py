"""The traders: seeded people who open, protect, trim and close, deposit and withdraw."""

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from hub.clock import SECOND_US
from hub.sim.desk import Desk
from hub.sim.market import Market, Symbol
from hub.sim.model import Account, Command, Reason, Refused, Trade
from hub.sim.money import closing_price, opening_price, standing

MOST_POSITIONS: Final = 6
MOST_PENDING: Final = 3
# Popular symbols come up more often than exotic ones, in the order the market lists them.
POPULARITY: Final = 0.75


class Traders:
    def __init__(self, seed: int, market: Market, desk: Desk, now: Callable[[], int]) -> None:
        self._random = random.Random(f"traders:{seed}")  # noqa: S311 - repeatable on purpose, guards nothing
        self._market = market
        self._desk = desk
        self._now = now
        self._symbols = list(market.symbols.values())
        self._popularity = [POPULARITY**rank for rank in range(len(self._symbols))]
        self._habits: dict[Callable[[Account], None], int] = {
            self._open: 34,
            self._close: 29,
            self._trim: 6,
            self._protect: 12,
            self._place: 6,
            self._change_pending: 2,
            self._cancel: 4,
            self._deposit: 5,
            self._withdraw: 2,
        }

    def act(self, account: Account) -> None:
        """Let one trader do one thing; what the broker refuses simply does not happen."""
        habit = self._random.choices(list(self._habits), list(self._habits.values()))[0]
        try:
            habit(account)
        except Refused:
            return

    def someone(self, accounts: list[Account]) -> Account:
        return self._random.choice(accounts)

    # --- habits

    def _open(self, account: Account) -> None:
        if len(account.positions) >= MOST_POSITIONS:
            self._close(account)
            return
        spec = self._symbol()
        command = self._side()
        price = opening_price(command, self._market.quote(spec.name))
        sl, tp = (
            self._stops(spec, command, price) if self._random.random() < 0.6 else (Decimal(0), Decimal(0))
        )
        expert = self._random.random() < 0.25
        self._desk.open(
            account,
            spec.name,
            command,
            self._lots(account, spec, price),
            sl=sl,
            tp=tp,
            magic=self._random.randrange(100, 999) if expert else 0,
            comment="ea" if expert else "",
            reason=Reason.EXPERT if expert else Reason.CLIENT,
        )

    def _close(self, account: Account) -> None:
        trade = self._one_of(account.positions)
        if trade:
            self._desk.close(account, trade.ticket)

    def _trim(self, account: Account) -> None:
        trade = self._one_of(account.positions)
        if trade:
            step = self._market.symbol(trade.symbol).lot_step
            half = (trade.lots / 2 // step) * step
            self._desk.close(account, trade.ticket, half or None)

    def _protect(self, account: Account) -> None:
        trade = self._one_of(account.positions)
        if trade:
            spec = self._market.symbol(trade.symbol)
            price = closing_price(trade.command, self._market.quote(trade.symbol))
            sl, tp = self._stops(spec, trade.command, price)
            self._desk.modify(account, trade.ticket, sl, tp)

    def _place(self, account: Account) -> None:
        if len(account.pending) >= MOST_PENDING:
            self._cancel(account)
            return
        spec = self._symbol()
        kinds = (Command.BUY_LIMIT, Command.SELL_LIMIT, Command.BUY_STOP, Command.SELL_STOP)
        command = self._random.choice(kinds)
        away = self._distance(spec) * (-1 if command in {Command.BUY_LIMIT, Command.SELL_STOP} else 1)
        price = (opening_price(command, self._market.quote(spec.name)) + away).quantize(spec.point)
        sl, tp = self._stops(spec, command, price)
        lots = self._lots(account, spec, price)
        soon = self._now() + self._random.randrange(60, 7200) * SECOND_US
        expires_at = soon if self._random.random() < 0.3 else 0
        self._desk.place(account, spec.name, command, lots, price, sl=sl, tp=tp, expires_at=expires_at)

    def _change_pending(self, account: Account) -> None:
        order = self._one_of(account.pending)
        if order:
            spec = self._market.symbol(order.symbol)
            sl, tp = self._stops(spec, order.command, order.open_price)
            self._desk.change_pending(account, order.ticket, sl=sl, tp=tp)

    def _cancel(self, account: Account) -> None:
        order = self._one_of(account.pending)
        if order:
            self._desk.cancel(account, order.ticket)

    def _deposit(self, account: Account) -> None:
        amount = Decimal(self._random.choice((100, 200, 250, 500, 1_000, 2_000)))
        self._desk.cash(account, Command.BALANCE, amount, "Deposit card", reason=Reason.CLIENT)

    def _withdraw(self, account: Account) -> None:
        free = min(standing(self._market, account).free_margin, account.balance)
        amount = (free * Decimal(self._random.randrange(5, 25)) / 100).quantize(Decimal(1))
        if amount > 0:
            self._desk.cash(account, Command.BALANCE, -amount, "Withdrawal wire", reason=Reason.CLIENT)

    # --- choices

    def _symbol(self) -> Symbol:
        return self._random.choices(self._symbols, self._popularity)[0]

    def _side(self) -> Command:
        return self._random.choice((Command.BUY, Command.SELL))

    def _one_of(self, trades: dict[int, Trade]) -> Trade | None:
        return self._random.choice(list(trades.values())) if trades else None

    def _lots(self, account: Account, spec: Symbol, price: Decimal) -> Decimal:
        """Return a size that binds 2 to 20 percent of the free margin: bold enough for a stop-out now and then."""
        free = max(standing(self._market, account).free_margin, Decimal(0))
        one_lot = spec.contract_size * (price if spec.quote == "USD" else 1) / account.leverage
        lots = free * Decimal(self._random.randrange(2, 20)) / 100 / one_lot
        return min(max((lots // spec.lot_step) * spec.lot_step, spec.lot_min), Decimal(10))

    def _distance(self, spec: Symbol) -> Decimal:
        percent = Decimal(str(round(spec.daily_move * self._random.uniform(0.1, 1.0), 4)))
        return self._market.quote(spec.name).bid * percent / 100

    def _stops(self, spec: Symbol, command: Command, price: Decimal) -> tuple[Decimal, Decimal]:
        spread = spec.spread * 2
        below = (price - spread - self._distance(spec)).quantize(spec.point)
        above = (price + spread + self._distance(spec)).quantize(spec.point)
        return (below, above) if command.side is Command.BUY else (above, below)
