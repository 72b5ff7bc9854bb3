"""What the desk does with trades, pending orders and cash, on both platforms."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from hub.clock import to_us
from hub.sim.broker import Broker
from hub.sim.model import Command, Entry, Fact, FactKind, Reason, Refused, Trade

START = datetime(2026, 6, 23, 9, tzinfo=UTC)
MT4, MT5 = 1001, 5001


class Facts(list[Fact]):
    def on_fact(self, fact: Fact) -> None:
        self.append(fact)

    def on_quote(self, quote: object) -> None:
        pass

    def kinds(self) -> list[FactKind]:
        return [fact.kind for fact in self]


def a_broker(*, balance: str = "10000") -> tuple[Broker, Facts]:
    """Two flat accounts, one on each platform, with this balance and leverage 100."""
    broker = Broker(seed=1, start=START, mt4_accounts=1, mt5_accounts=1, events_per_second=0)
    for account in broker.accounts.values():
        account.leverage = 100
        account.balance = Decimal(balance)
    broker.move_price("EURUSD", "1.10000", Decimal("1.10000"))
    facts = Facts()
    broker.observe(facts)
    return broker, facts


def last_row(broker: Broker, login: int) -> Trade:
    return broker.account(login).history[-1]


def test_margin_is_lots_times_contract_times_price_over_leverage() -> None:
    broker, _ = a_broker()

    broker.open(MT4, "EURUSD", "buy", "0.50")

    assert broker.standing(MT4).margin == Decimal("550.00")


def test_margin_of_a_pair_with_the_account_currency_first_needs_no_price() -> None:
    broker, _ = a_broker()

    broker.open(MT4, "USDJPY", "sell", "0.50")

    assert broker.standing(MT4).margin == Decimal("500.00")


def test_margin_level_is_percent_of_margin_and_zero_when_flat() -> None:
    broker, _ = a_broker()
    assert broker.standing(MT5).margin_level == 0

    broker.open(MT5, "EURUSD", "buy", "1.00")

    stands = broker.standing(MT5)
    assert stands.margin_level == (stands.equity / Decimal(1100) * 100).quantize(Decimal("0.01"))


def test_profit_of_a_yen_pair_is_converted_at_the_closing_price() -> None:
    broker, _ = a_broker()
    broker.move_price("USDJPY", "150.000", Decimal("150.000"))
    trade = broker.open(MT5, "USDJPY", "buy", "1.00")

    broker.move_price("USDJPY", "151.000")
    closed = broker.close(MT5, trade.ticket)

    assert closed.profit == Decimal("662.25")


def test_a_trade_above_the_free_margin_is_refused_and_changes_nothing() -> None:
    broker, facts = a_broker(balance="1000")

    with pytest.raises(Refused, match="Not enough money"):
        broker.open(MT4, "EURUSD", "buy", "1.00")

    assert facts == []
    assert broker.account(MT4).positions == {}


@pytest.mark.parametrize("lots", ["0", "0.005", "-1", "1000", "0.015"])
def test_a_volume_off_the_grid_is_refused(lots: str) -> None:
    broker, _ = a_broker()

    with pytest.raises(Refused, match="Invalid volume"):
        broker.open(MT4, "EURUSD", "buy", lots)


def test_a_partial_close_on_mt4_closes_the_ticket_and_opens_one_with_the_rest() -> None:
    broker, facts = a_broker()
    opened = broker.open(MT4, "EURUSD", "buy", "1.00")
    broker.move_price("EURUSD", "1.10100")

    closed = broker.close(MT4, opened.ticket, "0.30")

    (rest,) = broker.account(MT4).positions.values()
    assert (closed.ticket, closed.lots, closed.profit) == (opened.ticket, Decimal("0.30"), Decimal("30.00"))
    assert rest.ticket != opened.ticket
    assert (rest.lots, rest.open_price, rest.open_at) == (Decimal("0.70"), opened.open_price, opened.open_at)
    assert (closed.comment, rest.comment) == (f"to #{rest.ticket}", f"from #{opened.ticket}")
    assert closed.commission + rest.commission == opened.commission
    assert facts.kinds() == [FactKind.OPENED, FactKind.PARTLY_CLOSED]
    assert facts[-1].rest == rest


def test_a_partial_close_on_mt5_keeps_the_position_and_makes_an_out_deal() -> None:
    broker, _ = a_broker()
    account = broker.account(MT5)
    opened = broker.desk.open(account, "EURUSD", Command.BUY, Decimal(1), magic=77, comment="mine")
    broker.move_price("EURUSD", "1.10100")

    closed = broker.close(MT5, opened.ticket, "0.30")

    (rest,) = account.positions.values()
    assert (rest.ticket, rest.lots, rest.comment, rest.magic) == (opened.ticket, Decimal("0.70"), "mine", 77)
    assert closed.dealt_in is not None
    assert closed.dealt_out is not None
    assert (closed.dealt_in.entry, closed.dealt_in.magic, closed.dealt_in.comment) == (Entry.IN, 77, "mine")
    assert (closed.dealt_out.entry, closed.dealt_out.magic, closed.dealt_out.comment) == (Entry.OUT, 0, "")
    assert closed.dealt_out.position == opened.ticket
    assert closed.dealt_out.number > closed.dealt_in.number
    assert closed.dealt_out.profit == Decimal("30.00")


def test_mt5_books_half_the_commission_with_each_deal_and_mt4_all_at_the_close() -> None:
    broker, _ = a_broker()

    mt4, mt5 = broker.open(MT4, "EURUSD", "buy", "1.00"), broker.open(MT5, "EURUSD", "buy", "1.00")
    assert broker.account(MT4).balance == Decimal(10000)
    assert broker.account(MT5).balance == Decimal(9997)

    broker.close(MT4, mt4.ticket)
    broker.close(MT5, mt5.ticket)
    assert broker.account(MT4).balance == broker.account(MT5).balance == Decimal(9994)


def test_a_dealers_price_is_taken_as_it_is_but_not_below_one_point() -> None:
    broker, _ = a_broker()
    account = broker.account(MT5)
    trade = broker.open(MT5, "USDJPY", "buy", "0.10")

    with pytest.raises(Refused, match="Invalid price"):
        broker.desk.close(account, trade.ticket, price=Decimal("0.0001"), reason=Reason.DEALER)

    closed = broker.desk.close(account, trade.ticket, price=Decimal("160.0004"), reason=Reason.DEALER)
    assert closed.close_price == Decimal("160.000")


@pytest.mark.parametrize("login", [MT4, MT5])
@pytest.mark.parametrize(
    ("side", "sl", "tp", "price", "reason"),
    [
        ("buy", "1.09900", "1.10200", "1.09900", Reason.STOP_LOSS),
        ("buy", "1.09900", "1.10200", "1.10250", Reason.TAKE_PROFIT),
        ("sell", "1.10200", "1.09900", "1.10200", Reason.STOP_LOSS),
        ("sell", "1.10200", "1.09900", "1.09880", Reason.TAKE_PROFIT),
    ],
)
def test_stops_close_a_position_when_the_price_reaches_them(
    login: int, side: str, sl: str, tp: str, price: str, reason: Reason
) -> None:
    broker, _ = a_broker()
    broker.open(login, "EURUSD", side, "0.10", sl=Decimal(sl), tp=Decimal(tp))

    broker.move_price("EURUSD", "1.10010", Decimal("1.10010"))
    assert broker.account(login).positions

    broker.move_price("EURUSD", price, Decimal(price))
    assert broker.account(login).positions == {}
    assert last_row(broker, login).close_reason is reason


def test_stops_on_the_wrong_side_are_refused() -> None:
    broker, _ = a_broker()
    trade = broker.open(MT5, "EURUSD", "buy", "0.10")

    with pytest.raises(Refused, match="Invalid stops"):
        broker.modify(MT5, trade.ticket, sl=Decimal("1.20000"))


def test_modifying_a_position_to_what_it_is_says_no_changes() -> None:
    broker, facts = a_broker()
    trade = broker.open(MT5, "EURUSD", "buy", "0.10", sl=Decimal("1.09000"))
    broker.modify(MT5, trade.ticket, tp=Decimal("1.12000"))

    with pytest.raises(Refused, match="No changes"):
        broker.modify(MT5, trade.ticket, sl=Decimal("1.09000"))

    assert facts.kinds() == [FactKind.OPENED, FactKind.MODIFIED]


@pytest.mark.parametrize("login", [MT4, MT5])
def test_a_stop_out_closes_the_worst_position_first_and_stops_when_the_level_recovers(login: int) -> None:
    broker, _ = a_broker(balance="2000")
    broker.move_price("USDJPY", "150.000", Decimal("150.000"))
    worst = broker.open(login, "EURUSD", "buy", "0.90")
    kept = broker.open(login, "USDJPY", "buy", "0.50")

    broker.move_price("EURUSD", "1.08600")

    assert list(broker.account(login).positions) == [kept.ticket]
    row = last_row(broker, login)
    assert (row.ticket, row.close_reason) == (worst.ticket, Reason.STOP_OUT)
    assert broker.counts[f"{broker.account(login).platform}.stop_outs"] == 1


def test_mt4_writes_the_stop_out_into_the_comment() -> None:
    broker, _ = a_broker(balance="1000")
    broker.open(MT4, "EURUSD", "buy", "0.80")

    broker.move_price("EURUSD", "1.09000")

    assert last_row(broker, MT4).comment.startswith("so: ")
    assert len(last_row(broker, MT4).comment) <= 31


@pytest.mark.parametrize(
    ("command", "price", "reached"),
    [
        ("buy_limit", "1.09000", "1.08990"),
        ("sell_limit", "1.11000", "1.11010"),
        ("buy_stop", "1.11000", "1.11010"),
        ("sell_stop", "1.09000", "1.08990"),
    ],
)
def test_a_pending_order_fills_under_its_own_ticket(command: str, price: str, reached: str) -> None:
    broker, facts = a_broker()
    order = broker.place(MT4, "EURUSD", command, "0.10", price)
    assert broker.account(MT4).positions == {}

    broker.move_price("EURUSD", reached, Decimal(reached))

    filled = broker.account(MT4).positions[order.ticket]
    assert (filled.command, filled.open_price) == (Command(command).side, Decimal(price))
    assert facts.kinds() == [FactKind.PLACED, FactKind.FILLED]


def test_a_pending_order_expires() -> None:
    broker, facts = a_broker()
    account = broker.account(MT5)
    soon = to_us(START + timedelta(minutes=1))
    broker.desk.place(account, "EURUSD", Command.BUY_LIMIT, Decimal(1), Decimal(1), expires_at=soon)

    broker.move_to(soon)
    broker.move_price("EURUSD", "1.10001")

    assert account.pending == {}
    assert facts.kinds() == [FactKind.PLACED, FactKind.EXPIRED]


def test_clients_of_a_read_only_account_cannot_trade_but_the_dealer_can() -> None:
    broker, _ = a_broker()
    trade = broker.open(MT4, "EURUSD", "buy", "0.10")
    broker.account(MT4).read_only = True

    with pytest.raises(Refused, match="Trade is disabled"):
        broker.close(MT4, trade.ticket)

    assert (
        broker.desk.close(broker.account(MT4), trade.ticket, reason=Reason.DEALER).close_reason
        is Reason.DEALER
    )


def test_a_withdrawal_above_the_free_margin_is_refused() -> None:
    broker, _ = a_broker()
    broker.open(MT4, "EURUSD", "buy", "1.00")

    with pytest.raises(Refused, match="Not enough money"):
        broker.withdraw(MT4, "9500")

    assert broker.account(MT4).balance == Decimal(10000)


def test_credit_cannot_be_taken_back_beyond_what_was_given() -> None:
    broker, _ = a_broker()
    account = broker.account(MT5)
    broker.desk.cash(account, Command.CREDIT, Decimal(100), "bonus")

    with pytest.raises(Refused, match="Not enough money"):
        broker.desk.cash(account, Command.CREDIT, Decimal("-100.01"), "back")

    assert broker.desk.cash(account, Command.CREDIT, Decimal(-100), "back").profit == -100
    assert account.credit == 0


@pytest.mark.parametrize("amount", ["0", "0.001", "1000000001", "NaN", "Infinity"])
def test_an_amount_that_is_no_amount_is_refused(amount: str) -> None:
    broker, _ = a_broker()

    with pytest.raises(Refused, match="Invalid amount"):
        broker.deposit(MT4, amount)


def test_cash_comments_are_cut_at_31_characters() -> None:
    broker, _ = a_broker()

    row = broker.deposit(MT4, "5", "x" * 40)

    assert row.comment == "x" * 31
    assert (row.lots, row.symbol) == (Decimal("0.01"), "")
