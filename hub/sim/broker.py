"""The simulated broker: one market, two platforms, the traders, and by-hand control for tests.

The same seed and the same steps give the same day, fact by fact. Nothing here knows of sockets or tasks.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from hub.clock import MICROSECOND, SECOND_US, to_us
from hub.sim.desk import Desk
from hub.sim.market import Market, Quote
from hub.sim.model import ZERO, Account, Command, Fact, FactKind, Group, Platform, Reason, Refused, Trade
from hub.sim.money import Standing, standing
from hub.sim.population import GROUPS, population
from hub.sim.traders import Traders
from hub.sim.watch import Watch
from hub.sim.zone import ServerZone

# After a long pause the market moves once, by at most this much time.
LONGEST_STEP = timedelta(minutes=5)


class Observer(Protocol):
    """Whoever wants to be told; called at once, so it must only take note."""

    def on_fact(self, fact: Fact) -> None: ...

    def on_quote(self, quote: Quote) -> None: ...


class Broker:
    def __init__(
        self,
        *,
        seed: int,
        start: datetime,
        zone: str = "Europe/Nicosia",
        mt4_accounts: int = 12,
        mt5_accounts: int = 8,
        events_per_second: float = 5.0,
        liveliness: float = 10.0,
    ) -> None:
        self.seed = seed
        self.now_us = to_us(start)
        self.zone = ServerZone(zone)
        self.events_per_second = events_per_second
        self.market = Market(seed, self.now_us, liveliness=liveliness)
        self.groups: dict[str, Group] = {group.name: group for group in GROUPS}
        self.accounts: dict[int, Account] = {}
        self.counts: Counter[str] = Counter()
        self.desk = Desk(self.market, self.groups, lambda: self.now_us, self._tell)
        self._watch = Watch(self.market, self.desk, self.groups)
        self._traders = Traders(seed, self.market, self.desk, lambda: self.now_us)
        self._observers: list[Observer] = []
        self._stepped_at = self.now_us
        self._owed_events = 0.0
        self._day = self.zone.day(self.now_us)
        for account, deposit in population(seed, mt4=mt4_accounts, mt5=mt5_accounts, at=self.now_us):
            self.accounts[account.login] = account
            self.deposit(account.login, deposit, "Initial deposit")
            account.previous_day_balance = account.previous_day_equity = deposit
        # Counts are of the day that now begins; nobody could have heard the opening deposits.
        self.counts.clear()

    # --- time

    def step(self, dt: timedelta) -> None:
        """Let ``dt`` pass: prices move, the server reacts, and traders do what falls due at the pace set."""
        self.move_to(self._stepped_at + dt // MICROSECOND)
        self.run_market()
        self.run_traders(dt)

    def move_to(self, now_us: int) -> None:
        """Set the time without moving the market; it never goes back."""
        self.now_us = max(self.now_us, now_us)

    def run_market(self) -> None:
        """Move prices by the time since they last moved, and do what follows from it."""
        elapsed = min((self.now_us - self._stepped_at) / SECOND_US, LONGEST_STEP.total_seconds())
        self._stepped_at = self.now_us
        self._end_day_if_due()
        self._react(self.market.drift(elapsed, self.now_us))

    def run_traders(self, dt: timedelta) -> None:
        self._owed_events += dt.total_seconds() * self.events_per_second
        accounts = list(self.accounts.values())
        while self._owed_events >= 1 and accounts:
            self._owed_events -= 1
            self._traders.act(self._traders.someone(accounts))

    # --- control by hand; the same rules hold as for the traders

    def open(
        self,
        login: int,
        symbol: str,
        side: str,
        lots: Decimal | str,
        *,
        sl: Decimal = ZERO,
        tp: Decimal = ZERO,
    ) -> Trade:
        return self.desk.open(self.account(login), symbol, Command(side), Decimal(lots), sl=sl, tp=tp)

    def close(self, login: int, ticket: int, lots: Decimal | str | None = None) -> Trade:
        part = None if lots is None else Decimal(lots)
        return self.desk.close(self.account(login), ticket, part)

    def modify(self, login: int, ticket: int, sl: Decimal | None = None, tp: Decimal | None = None) -> Trade:
        return self.desk.modify(self.account(login), ticket, sl, tp)

    def place(
        self, login: int, symbol: str, command: str, lots: Decimal | str, price: Decimal | str
    ) -> Trade:
        return self.desk.place(self.account(login), symbol, Command(command), Decimal(lots), Decimal(price))

    def cancel(self, login: int, ticket: int) -> Trade:
        return self.desk.cancel(self.account(login), ticket)

    def deposit(self, login: int, amount: Decimal | str, comment: str = "Deposit") -> Trade:
        amount = Decimal(amount)
        return self.desk.cash(self.account(login), Command.BALANCE, amount, comment, reason=Reason.CLIENT)

    def withdraw(self, login: int, amount: Decimal | str, comment: str = "Withdrawal") -> Trade:
        amount = -Decimal(amount)
        return self.desk.cash(self.account(login), Command.BALANCE, amount, comment, reason=Reason.CLIENT)

    def move_price(self, symbol: str, price: Decimal | str, ask: Decimal | None = None) -> Quote:
        """Set a bid (and an ask, or the usual spread above it); stops, fills and stop-outs follow at once."""
        quote = self.market.move(symbol, Decimal(price), self.now_us, ask)
        self._react([quote])
        return quote

    # --- reading

    def account(self, login: int) -> Account:
        try:
            return self.accounts[login]
        except KeyError:
            raise Refused(f"Cannot find user '{login}'", "INVALID_ACCOUNT") from None

    def group(self, name: str) -> Group:
        try:
            return self.groups[name]
        except KeyError:
            raise Refused(f"Cannot find group '{name}'", "INVALID_GROUP") from None

    def accounts_of(self, platform: Platform) -> list[Account]:
        return [account for account in self.accounts.values() if account.platform is platform]

    def standing(self, login: int) -> Standing:
        return standing(self.market, self.account(login))

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Tell an observer everything from now on; call what is returned to end it."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    # --- inside

    def _react(self, quotes: list[Quote]) -> None:
        if not quotes:
            return
        for account in self.accounts.values():
            if account.positions or account.pending:
                self._watch.prices_moved(account, self.now_us)
        for observer in list(self._observers):
            for quote in quotes:
                observer.on_quote(quote)

    def _end_day_if_due(self) -> None:
        today = self.zone.day(self.now_us)
        if today != self._day:
            self._day = today
            for account in self.accounts.values():
                self._watch.day_ended(account)

    def _tell(self, fact: Fact) -> None:
        for name in _count_names(fact):
            self.counts[f"{fact.platform}.{name}"] += 1
        for observer in list(self._observers):
            observer.on_fact(fact)


def _count_names(fact: Fact) -> tuple[str, ...]:
    """Return what a fact counts as; a filled order is an open too, and each part closed is a close."""
    match fact.kind:
        case FactKind.OPENED:
            return ("opens",)
        case FactKind.FILLED:
            return ("opens", "fills")
        case FactKind.CLOSED | FactKind.PARTLY_CLOSED:
            stop_out = fact.trade is not None and fact.trade.close_reason is Reason.STOP_OUT
            partial = fact.kind is FactKind.PARTLY_CLOSED
            return (
                "closes",
                *(("partial_closes",) if partial else ()),
                *(("stop_outs",) if stop_out else ()),
            )
        case FactKind.CASH:
            assert fact.trade is not None
            gained = fact.trade.profit > 0
            if fact.trade.command is Command.CREDIT:
                return ("credits_granted" if gained else "credits_removed",)
            return ("deposits" if gained else "withdrawals",)
        case FactKind.MODIFIED:
            return ("position_changes",)
        case FactKind.PLACED:
            return ("orders_placed",)
        case FactKind.PENDING_MODIFIED:
            return ("order_changes",)
        case FactKind.CANCELLED:
            return ("orders_cancelled",)
        case FactKind.EXPIRED:
            return ("orders_expired",)
        case FactKind.USER:
            return ("user_changes",)
        case FactKind.GROUP:
            return ("group_changes",)
