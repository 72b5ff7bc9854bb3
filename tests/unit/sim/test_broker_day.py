"""A simulated day: the same for the same seed, and with books that always add up."""

import contextlib
import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.sim.broker import Broker
from hub.sim.market import Quote
from hub.sim.model import Account, Fact, Platform, Refused
from hub.sim.money import CENT, standing

START = datetime(2026, 6, 23, 20, 50, tzinfo=UTC)


class Recorder:
    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.quotes: list[Quote] = []

    def on_fact(self, fact: Fact) -> None:
        self.facts.append(fact)

    def on_quote(self, quote: Quote) -> None:
        self.quotes.append(quote)

    def digest(self) -> str:
        return hashlib.sha256(repr((self.facts, self.quotes)).encode()).hexdigest()


def a_day(seed: int, *, steps: int = 400, pace: float = 20.0) -> tuple[Broker, Recorder]:
    broker, recorder = Broker(seed=seed, start=START, events_per_second=pace), Recorder()
    broker.observe(recorder)
    for _ in range(steps):
        broker.step(timedelta(milliseconds=500))
    return broker, recorder


@cache
def the_day(seed: int) -> tuple[Broker, Recorder]:
    """Return a day that several tests look at, and none touches: it is lived through once."""
    return a_day(seed)


def booked(account: Account) -> Decimal:
    """Add up what history and the deals say the balance and credit must be."""
    total = Decimal(0)
    for row in account.history:
        if row.command.is_cash or account.platform is Platform.MT4:
            total += row.net if not row.command.is_pending else 0
        elif row.dealt_out is not None:
            total += row.dealt_out.profit + row.dealt_out.swap + row.dealt_out.commission
    deals_in = {
        trade.ticket: trade.dealt_in.commission
        for trade in (*account.history, *account.positions.values())
        if trade.command.is_market and trade.dealt_in is not None
    }
    return total + sum(deals_in.values(), Decimal(0))


def assert_books_add_up(broker: Broker) -> None:
    for account in broker.accounts.values():
        stands = standing(broker.market, account)
        assert stands.equity == account.balance + account.credit + stands.floating
        assert account.balance + account.credit == booked(account)
        assert stands.equity == stands.equity.quantize(CENT)
        assert stands.free_margin == stands.equity - stands.margin
        assert (stands.margin == 0) == (not account.positions)


def test_the_same_seed_gives_the_same_day() -> None:
    first, second = the_day(7)[1], a_day(7)[1]

    assert len(first.facts) > 1000
    assert first.digest() == second.digest()


def test_another_seed_gives_another_day() -> None:
    assert the_day(7)[1].digest() != the_day(5)[1].digest()


def test_a_day_has_every_kind_of_business_on_both_platforms() -> None:
    broker, _ = the_day(7)

    for platform in ("mt4", "mt5"):
        for name in ("opens", "closes", "partial_closes", "deposits", "withdrawals", "orders_placed"):
            assert broker.counts[f"{platform}.{name}"] > 0, (platform, name)


def test_counts_agree_with_the_facts_told() -> None:
    broker, recorder = the_day(5)

    told = [fact for fact in recorder.facts if fact.platform is Platform.MT5]
    assert broker.counts["mt5.opens"] == sum(fact.kind in {"opened", "filled"} for fact in told)
    assert broker.counts["mt5.closes"] == sum(fact.kind in {"closed", "partly_closed"} for fact in told)
    assert [fact.number for fact in recorder.facts] == sorted({fact.number for fact in recorder.facts})


def test_nothing_happens_without_pace() -> None:
    _, recorder = a_day(5, pace=0)

    assert recorder.facts == []
    assert recorder.quotes != []


def test_books_add_up_over_a_day_with_a_rollover() -> None:
    broker, _ = a_day(11, steps=1500, pace=10)

    assert any(row.swap for account in broker.accounts.values() for row in account.history)
    assert_books_add_up(broker)


LOGINS = st.sampled_from([1001, 1002, 5001, 5002])
LOTS = st.decimals(Decimal("0.01"), Decimal(3), places=2)
MONEY = st.decimals(Decimal(1), Decimal(5000), places=2)
ACTIONS = st.one_of(
    st.tuples(st.just("open"), LOGINS, st.sampled_from(["EURUSD", "USDJPY", "XAUUSD"]), st.booleans(), LOTS),
    st.tuples(st.just("close"), LOGINS, st.integers(0, 9), LOTS),
    st.tuples(st.just("deposit"), LOGINS, MONEY),
    st.tuples(st.just("withdraw"), LOGINS, MONEY),
    st.tuples(
        st.just("move"), st.sampled_from(["EURUSD", "USDJPY", "XAUUSD"]), st.decimals("0.9", "1.1", places=3)
    ),
    st.tuples(st.just("step"), st.integers(1, 5000)),
)


def perform(broker: Broker, action: tuple[object, ...]) -> None:
    match action:
        case ("open", int(login), str(symbol), bool(buys), Decimal() as lots):
            broker.open(login, symbol, "buy" if buys else "sell", lots)
        case ("close", int(login), int(index), Decimal() as lots):
            tickets = list(broker.account(login).positions)
            if tickets:
                ticket = tickets[index % len(tickets)]
                broker.close(login, ticket, min(lots, broker.account(login).positions[ticket].lots))
        case ("deposit", int(login), Decimal() as amount):
            broker.deposit(login, amount)
        case ("withdraw", int(login), Decimal() as amount):
            broker.withdraw(login, amount)
        case ("move", str(symbol), Decimal() as factor):
            broker.move_price(symbol, broker.market.quote(symbol).bid * factor)
        case ("step", int(milliseconds)):
            broker.step(timedelta(milliseconds=milliseconds))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.lists(ACTIONS, max_size=40))
def test_equity_is_balance_credit_and_floating_whatever_is_done(
    seed: int, actions: list[tuple[object, ...]]
) -> None:
    broker = Broker(seed=seed, start=START, mt4_accounts=2, mt5_accounts=2, events_per_second=1)

    for action in actions:
        with contextlib.suppress(Refused):
            perform(broker, action)
        assert_books_add_up(broker)
