"""Money of one currency booked on an account in another: at the recorded rate, or held and reported."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.rated import RatedDesk, booked, params
from unit.engine.test_grants import BONUS, BOOKED, END, bonus, ledger, restarted

from hub.clock import to_us
from hub.engine.load_text import load_text
from hub.engine.program import Mode
from hub.engine.quotes import Board
from hub.engine.values import Kind
from hub.engine.why import standing
from hub.intents.checks import without_checks

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
STEP = """
params: {prize: {type: money, default: 50, currency: USD}}
when: [{event: trade.closed}]
limit: {max: 9, every: 1d}
run: {mode: parallel, max: 9}
steps:
  - {id: pay, do: credit.grant, with: {amount: = params.prize}}
  - {do: event.publish, with: {type: custom.paid}}
"""

DEPOSITED = """
params: {prize: {type: money, default: 100, currency: USD}}
aggregates:
  paid: {from: balance.deposited, sum: event.amount, window: lifetime}
grant:
  id: bonus
  action: credit.grant
  amount: params.prize
  while: paid >= 100
  book: {at: once_true}
  watch: 90d
  take_back: {mode: proportional, deposit: paid, cap: account.credit}
"""


def a_desk(workflow=None, *, lots=None, currency="EUR", **account):
    desk = RatedDesk(workflow or a_workflow(STEP))
    desk.account(**{"type": "real", "currency": currency, "credit": "0", "balance": "1000"} | account)
    if lots is not None:
        desk.tell("trade.closed", deal=1, lots=lots)
    return desk


# --- the board


def test_a_rate_between_two_currencies_goes_by_way_of_the_base_currency():
    board = Board("USD", 10, {"EUR": (5, "1.08"), "JPY": (3, "0.0067"), "CHF": (-1, "1.25")})

    assert board.quote("USD", "EUR", 9).rate == "0.925925925926"  # 1 / 1.08
    assert board.quote("EUR", "USD", 9).rate == "1.08"
    assert board.quote("EUR", "JPY", 9).rate == "161.194029851"  # 1.08 / 0.0067
    assert [board.quote(*pair, 9).at for pair in (("EUR", "USD"), ("EUR", "JPY"), ("USD", "CHF"))] == [
        5,
        3,
        9,
    ]


def test_a_rate_that_is_not_known_or_not_yet_or_no_longer_is_none():
    board = Board("USD", 10, {"EUR": (5, "1.08")})

    assert board.quote("USD", "GBP", 9).problem == "no rate of GBP is known"
    assert "there is none before" in board.quote("USD", "EUR", 4).problem
    assert board.quote("USD", "EUR", 15).problem == ""
    assert "which is too old" in board.quote("USD", "EUR", 16).problem


# --- steps


def test_a_step_books_what_its_amount_is_worth_in_the_currency_of_the_account():
    desk = a_desk()
    desk.rates(EUR="1.08")

    (intent, *_) = desk.tell("trade.closed", deal=1)

    assert params(intent)["amount"] == "46.30"  # 50 / 1.08 = 46.296…
    assert params(intent)["$converted"] == {
        "amount": "50",
        "currency": "USD",
        "rate": "0.925925925926",
        "at": "2026-03-02T08:00:00.000Z",
    }
    assert intent.key.endswith("/pay")
    assert "1 USD is 0.925925925926 EUR, as of 2026-03-02T08:00:00.000Z" in desk.traces("fired")[-1].reason


def test_no_backend_sees_what_an_amount_was_converted_from():
    desk = a_desk()
    desk.rates(EUR="1.08")

    (intent, *_) = desk.tell("trade.closed", deal=1)

    assert params(without_checks(intent)) == {"amount": "46.30"}


def test_an_account_in_the_currency_of_the_amount_asks_for_no_rate():
    desk = a_desk(currency="USD")

    (intent, *_) = desk.tell("trade.closed", deal=1)

    assert params(intent) == {"amount": "50.00"}
    assert not desk.at_the_board


@pytest.mark.parametrize(
    ("currency", "rates", "amount"),
    [
        ("JPY", {"JPY": "0.0067"}, "7463"),
        ("KWD", {"KWD": "3.25"}, "15.385"),
        ("USC", {"USC": "0.01"}, None),
    ],
)
def test_it_is_rounded_by_the_digits_of_the_accounts_currency(currency, rates, amount):
    desk = a_desk(currency=currency)
    desk.rates(**rates)

    found = desk.tell("trade.closed", deal=1)

    if amount is None:  # cents have digits nobody can guess
        assert found == []
        assert "account.digits is missing" in desk.traces("failed")[-1].reason
    else:
        assert params(found[0])["amount"] == amount


def test_without_a_rate_a_step_is_held_and_told_and_done_when_there_is_one():
    desk = a_desk()
    desk.rates(GBP="1.3")

    assert desk.tell("trade.closed", deal=1) == []
    (held,) = desk.traces("held_back")
    assert "the amount is in USD: no rate of EUR is known" in held.reason

    desk.until(MORNING + 2 * DAY)
    restarted(desk)
    found = desk.rates(EUR="1.25")

    assert booked(found[:1]) == [("credit.grant", "40.00", "pay")]
    assert desk.rates(EUR="1.30") == []  # and once


def test_a_rate_that_is_too_old_holds_a_step_too():
    desk = a_desk()
    desk.rates(EUR="1.08")
    desk.until(MORNING + 7 * DAY + SECOND)

    assert desk.tell("trade.closed", deal=1) == []
    assert (
        "the rate of EUR is of 2026-03-02T08:00:00.000Z, which is too old"
        in desk.traces("held_back")[0].reason
    )


def test_after_a_week_without_a_rate_the_run_fails_and_says_why():
    desk = a_desk()
    desk.tell("trade.closed", deal=1)

    assert desk.until(MORNING + 8 * DAY) == []
    assert "no rate was known until" in desk.traces("failed")[-1].reason
    assert not desk.state.open_runs
    assert desk.rates(EUR="1.08") == []


def test_what_several_runs_wait_for_is_answered_for_each_of_them():
    desk = a_desk()
    desk.tell("trade.closed", deal=1)
    desk.tell("trade.closed", deal=2)

    found = desk.rates(EUR="1.08")

    assert [params(each)["amount"] for each in found if each.verb == "credit.grant"] == ["46.30", "46.30"]


def test_the_same_inputs_book_the_same_bytes_again():
    desk = a_desk()
    desk.rates(EUR="1.08")
    desk.tell("trade.closed", deal=1)
    again = Desk(a_workflow(STEP))
    for item in desk.inputs:
        again.take(item)

    assert again.written() == desk.written()


def test_in_shadow_it_is_converted_as_well():
    desk = a_desk(a_workflow(STEP, mode="shadow"))
    desk.rates(EUR="1.08")

    intent = desk.tell("trade.closed", deal=1)[0]

    assert (params(intent)["amount"], intent.state.value) == ("46.30", "shadow")
    assert Mode.SHADOW == "shadow"


# --- promises


def test_a_promise_is_booked_at_the_rate_there_is_when_it_is_booked():
    desk = a_desk(bonus(), lots="25")
    desk.rates(EUR="1.08")
    desk.until(BOOKED - DAY)
    desk.rates(EUR="1.25")

    (intent,) = desk.until(BOOKED)

    assert booked([intent]) == [("credit.grant", "40.00", "1")]  # 50 / 1.25
    assert params(intent)["$converted"] == {
        "amount": "50",
        "currency": "USD",
        "rate": "0.8",
        "at": "2026-03-31T03:00:00.000Z",
    }
    desk.outcome(intent)
    assert (ledger(desk).booked, ledger(desk).foreign.worth) == (Decimal("40.00"), Decimal(50))


def test_what_comes_late_goes_by_its_own_rate_and_what_was_booked_stays():
    desk = a_desk(bonus(), lots="25")
    desk.until(BOOKED - DAY)
    desk.rates(EUR="1.25")
    desk.outcome(*desk.until(BOOKED))
    desk.rates(EUR="1.60")

    (more,) = desk.tell("trade.closed", deal=2, lots="4", timestamp=END - DAY)

    assert booked([more]) == [("credit.grant", "5.00", "2")]  # 8 dollars / 1.6


def test_who_gives_back_all_gives_back_what_he_got_whatever_the_rate_is_by_then():
    desk = a_desk(bonus(), lots="25")
    desk.until(BOOKED - DAY)
    desk.rates(EUR="1.25")
    desk.outcome(*desk.until(BOOKED))
    desk.rates(EUR="1.60")
    desk.outcome(*desk.tell("trade.closed", deal=2, lots="4", timestamp=END - DAY))

    (part,) = desk.tell("trade.cancelled", deal=2)
    desk.outcome(part)
    (back,) = desk.tell("balance.withdrawn", amount="10")

    assert booked([part]) == [("credit.remove", "6.21", "3")]  # 45 x 8 / 58
    assert booked([back]) == [("credit.remove", "38.79", "4")]
    desk.outcome(back)
    assert ledger(desk).booked == 0


def test_without_a_rate_a_promise_is_held_told_once_and_kept_when_there_is_one():
    desk = a_desk(bonus(), lots="25")
    desk.rates()
    assert desk.until(BOOKED) == []
    desk.tell("trade.closed", deal=2, lots="1", timestamp=END - DAY)
    desk.until(BOOKED + DAY)

    (held,) = desk.traces("held_back")
    assert "50.00 USD is owed, and the account is in EUR: no rate of EUR is known" in held.reason

    (intent,) = desk.rates(EUR="1.04")

    assert booked([intent]) == [("credit.grant", "50.00", "1")]


def test_a_promise_without_a_watch_waits_for_its_rate_and_is_over_then():
    desk = a_desk(bonus(("  watch: 30d\n", "")), lots="25")
    desk.until(BOOKED + DAY)

    (intent,) = desk.rates(EUR="1.25")
    desk.outcome(intent)

    assert ledger(desk).stage == "closed"
    assert ledger(desk).booked == 40
    assert desk.tell("trade.closed", deal=2, lots="9", timestamp=END - DAY) == []


def test_what_is_withdrawn_while_a_promise_waits_for_its_rate_takes_its_part_of_it():
    desk = a_desk(a_workflow(DEPOSITED), balance="0")
    assert desk.tell("balance.deposited", amount="1000") == []
    assert desk.tell("balance.withdrawn", amount="900") == []

    assert booked(desk.rates(EUR="1")) == [
        ("credit.grant", "10.00", "1")
    ]  # a tenth of the deposit is there, and so of the bonus


def test_what_was_withdrawn_before_a_promise_takes_nothing_of_it():
    desk = a_desk(a_workflow(DEPOSITED), balance="500")
    desk.rates(EUR="1")
    assert desk.tell("balance.withdrawn", amount="400") == []

    assert booked(desk.tell("balance.deposited", amount="1000")) == [("credit.grant", "100.00", "1")]


def test_a_refused_booking_is_not_asked_for_again_at_another_rate():
    desk = a_desk(bonus(), lots="25")
    desk.until(BOOKED - DAY)
    desk.rates(EUR="1.25")
    desk.outcome(*desk.until(BOOKED), "rejected", reason="no")
    desk.rates(EUR="1.60")

    assert desk.tell("trade.closed", deal=9, lots="25", timestamp=END + DAY) == []
    assert booked(desk.tell("trade.closed", deal=2, lots="5", timestamp=END - DAY)) == [
        ("credit.grant", "37.50", "2")
    ]


def test_nobody_gets_a_booking_twice_whose_answer_comes_twice():
    desk = a_desk(bonus(), lots="25")
    desk.rates(EUR="1.25", fixed=True)
    (intent,) = desk.until(BOOKED)
    answer = next(item for item in reversed(desk.inputs) if item.ref == "rate.known")

    assert desk.take(desk._input(answer.kind, answer.ref, answer.body)) == []
    desk.outcome(intent)
    assert desk.take(desk._input(answer.kind, answer.ref, answer.body)) == []


def test_whoever_asks_why_is_told_what_is_booked_in_both_currencies():
    desk = a_desk(bonus(), lots="25")
    desk.rates(EUR="1.25", fixed=True)
    desk.outcome(*desk.until(BOOKED))

    (stands,) = [
        each for each in standing(desk.program, "rule", desk.state, desk.now) if "2026-03" in each.reason
    ]

    assert "40.00 is booked for 50" in stands.reason
    assert "USD" in stands.reason
    assert "USD at 0.8 EUR" in next(
        each.reason for each in desk.traces("booked") if "credit.grant 40" in each.reason
    )


cents = st.integers(1, 900).map(lambda cents: Decimal(cents) / 100)
moves = st.one_of(
    st.tuples(st.just("trade"), cents),
    st.tuples(st.just("rate"), st.integers(50, 200).map(lambda rate: Decimal(rate) / 100)),
    st.tuples(st.just("wait"), st.integers(1, 40)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("cancel"), st.integers(1, 6)),
)


@example([("trade", Decimal("0.63")), ("rate", Decimal("1.44")), ("trade", Decimal("0.05")), ("cancel", 1)])
@given(st.lists(moves, max_size=14))
def test_what_is_booked_is_what_is_owed_at_the_rates_that_were_told(script):
    """The oracle converts each difference by hand, as a clerk would who has the list of rates."""
    desk = a_desk(bonus(("lots > params.min_lots", "lots > 0"), (" and withdrawn == 0", "")), lots=None)
    desk.until(END + timedelta(hours=1))
    desk.until(BOOKED)
    rate, deals = None, {}
    owed, exact, paid = Fraction(0), Fraction(0), Decimal(0)
    for number, (what, value) in enumerate(script, start=1):
        found = []
        if what == "rate":
            rate = value
            found = desk.rates(EUR=value, fixed=True)
        elif what == "trade":
            deals[number] = value
            found = desk.tell("trade.closed", deal=number, lots=str(value), timestamp=END - DAY)
        elif what == "cancel" and deals:
            gone = sorted(deals)[value % len(deals)]
            del deals[gone]
            found = desk.tell("trade.cancelled", deal=gone)
        elif what == "wait":
            found = desk.until(datetime.fromtimestamp(desk.now / 1e6, UTC) + timedelta(minutes=value))
        elif what == "restart":
            restarted(desk)
        worth = 2 * sum(map(Fraction, deals.values()), Fraction(0))
        for intent in found:
            paid += Decimal(params(intent)["amount"]) * (1 if intent.verb == "credit.grant" else -1)
            desk.outcome(intent)
        if worth < owed:
            exact, owed = exact * worth / owed, worth
        elif worth > owed and rate is not None and found:
            exact += (worth - owed) / Fraction(rate)
            owed = worth
        elif worth > owed:  # held for want of a rate, or not asked for again yet: or less than half a cent
            continue
        expected = (Decimal(exact.numerator) / exact.denominator).quantize(Decimal("1e-8"))
        assert paid == expected.quantize(Decimal("0.01"), ROUND_HALF_UP) == ledger(desk).booked


def test_the_vector_of_the_specification_by_hand():
    """25 lots at 2 dollars for an account in euros, at 1.0842 dollars a euro: 46.117 is booked as 46.12."""
    desk = a_desk(a_workflow(BONUS), lots="25")
    desk.rates(EUR="1.0842", fixed=True)

    assert booked(desk.until(BOOKED)) == [("credit.grant", "46.12", "1")]


def test_the_board_forgets_whom_it_has_answered():
    desk = a_desk()
    desk.tell("trade.closed", deal=1)
    waiting = [slot for slot in desk.board.values if slot[0] == Kind.RATE_WANTED]
    desk.rates(EUR="1.08")

    assert len(waiting) == 1
    assert [slot for slot in desk.board.values if slot[0] == Kind.RATE_WANTED] == []
    assert to_us(MORNING) <= desk.now


def test_a_rate_of_one_currency_books_no_amount_in_another():
    text = STEP.replace("currency: USD}", "currency: USD}, more: {type: money, default: 10, currency: GBP}")
    text = text.replace(
        "  - {do: event.publish",
        "  - {id: more, do: credit.grant, with: {amount: = params.more}}\n  - {do: event.publish",
    )
    desk = a_desk(a_workflow(text))
    desk.rates(EUR="1.25", GBP="1.5")

    (first,) = desk.tell("trade.closed", deal=1)
    (second,) = desk.outcome(first)

    assert [params(each)["amount"] for each in (first, second)] == ["40.00", "12.00"]
    shadow = a_desk(a_workflow(text, mode="shadow"))  # both in one go
    shadow.rates(EUR="1.25", GBP="1.5")
    found = [each for each in shadow.tell("trade.closed", deal=1) if each.verb == "credit.grant"]
    assert [params(each)["amount"] for each in found] == ["40.00", "12.00"]


ASKED_FOR = """
scope: account.currency == "USD"
key: event.request
when: [{event: withdrawal.requested%s}]
limit: {max: 1, every: forever}
steps: [{id: pay, do: balance.withdraw, with: {amount: = event.amount}}]
"""


@pytest.mark.parametrize(
    ("looks", "warned"),
    [("", 1), (", where: 'default(event.currency, account.currency) == account.currency'", 0)],
)
def test_an_amount_whose_own_currency_nobody_looks_at_is_warned_of(looks, warned):
    report = load_text(f"schema: 1\nid: rule\ntitle: a rule{ASKED_FOR % looks}", "rule.yaml")

    assert report.workflow is not None
    found = [str(each) for each in report.problems]
    assert len(found) == warned
    assert all("the event may name another currency than the account's" in each for each in found)
