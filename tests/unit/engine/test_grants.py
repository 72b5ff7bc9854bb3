"""`grant:` is a kept promise: what is owed is worked out anew, and the difference is booked, one at a time."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_replay import Stored

from hub.bus.log import InputKind
from hub.engine.crossing import rebuild
from hub.engine.decision import Decision, apply
from hub.engine.index import Program
from hub.engine.load import load_text
from hub.engine.scene import Scene
from hub.engine.values import Kind
from hub.engine.why import standing

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "grants.json").read_text())
BONUS = """
params:
  rate: {type: money, default: 2.00, currency: USD}
  min_lots: {type: number, default: 20}
scope: account.type == "real"
aggregates:
  lots:
    from: trade.closed
    sum: event.lots
    window: {calendar: month, tz: Europe/Nicosia}
    retract: {event: trade.cancelled, ref: event.deal}
  withdrawn: {from: balance.withdrawn, sum: event.amount, window: {since: period_end}}
grant:
  id: bonus
  action: credit.grant
  amount: params.rate * lots
  while: lots > params.min_lots and withdrawn == 0
  book: {at: period_end, delay: 6h}
  watch: 30d
  take_back: {mode: full}
"""
ONCE = """
aggregates:
  paid: {from: balance.deposited, sum: event.amount, window: lifetime}
grant:
  id: gift
  action: bonus.grant
  amount: paid * 0.3
  while: paid >= 100
  book: {at: once_true}
  watch: 90d
  take_back: {mode: proportional, deposit: paid, cap: account.credit}
"""
# March ends in Nicosia at 21:00 in UTC, and is booked six hours later.
END = datetime(2026, 3, 31, 21, tzinfo=UTC)
BOOKED = END + timedelta(hours=6)
CLOSED = BOOKED + timedelta(days=30)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NAME = "rule/bonus/2026-03"


def bonus(*changes, **header):
    text = BONUS
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return a_workflow(text, **header)


def a_desk(*workflows, lots="25", **account):
    desk = Desk(*(workflows or (bonus(),)))
    desk.account(**{"type": "real", "currency": "USD", "credit": "0", "balance": "1000"} | account)
    if lots is not None:
        desk.tell("trade.closed", deal=1, lots=lots)
    return desk


def said(intents):
    return [
        (each.verb, msgspec.json.decode(each.params)["amount"], each.key.rpartition("/")[2])
        for each in intents
    ]


def ledger(desk, name=NAME):
    return desk.state.values[(Kind.GRANT, name)]


def restarted(desk):
    stored = Stored()
    stored.write(desk.decisions)
    desk.state = stored.load(desk.state.partition, desk.state.key)


def switched(desk, *workflows, pinned=()):
    """Make other workflows live as the loop does: the versions ledgers were booked by are at hand."""
    desk.program = Program(workflows)
    for old in pinned:
        desk.program.pin(old)
    item = desk._input(InputKind.ACTIVATED, "", b"")
    decision = Decision(desk.state.partition, desk.state.key, item.n, item.at)
    rebuild(Scene(desk.program, desk.state, item, decision))
    apply(desk.state, decision)
    desk._keep(decision)


# --- booking


def test_the_period_is_booked_once_after_its_delay_and_never_before():
    desk = a_desk()

    assert desk.until(BOOKED - timedelta(microseconds=1)) == []
    (intent,) = desk.until(BOOKED)

    assert intent.key == "rule/live-1:7001/bonus/2026-03/1"
    assert (intent.verb, intent.account, intent.step, intent.state.value) == (
        "credit.grant",
        "live-1:7001",
        "bonus",
        "ready",
    )
    assert msgspec.json.decode(intent.params) == {"amount": "50.00"}
    assert desk.outcome(intent) == []
    assert desk.until(BOOKED + 20 * DAY) == []
    assert ledger(desk).booked == 50


@pytest.mark.parametrize("vector", VECTORS["volume_bonus"], ids=lambda each: each["lots"])
@pytest.mark.parametrize(
    ("kind", "amount", "sign"),
    [
        ("all", "params.rate * lots", ">"),
        ("excess", "params.rate * (lots - params.min_lots)", ">"),
        ("all_ge", "params.rate * lots", ">="),
    ],
)
def test_the_bonus_is_what_the_vectors_say(vector, kind, amount, sign):
    workflow = bonus(
        ("params.rate * lots", amount),
        ("lots > params", f"lots {sign} params"),
        ("default: 2.00", f"default: {vector['rate']}"),
        ("default: 20", f"default: {vector['threshold']}"),
    )
    desk = a_desk(workflow, lots=vector["lots"])

    booked = desk.until(BOOKED)

    owed = [("credit.grant", vector[kind], "1")] if vector[kind] != "0.00" else []
    assert said(booked) == owed


def test_a_ledger_that_paid_nothing_is_forgotten_when_its_watch_is_over_and_one_that_paid_is_kept():
    desk = a_desk(lots="5")
    desk.tell("trade.closed", at=END + DAY, deal=2, lots="21")
    desk.until(CLOSED + HOUR)

    names = [name for name, _ in desk.state.of_kind(Kind.GRANT)]
    assert names == ["rule/bonus/2026-04", "rule/bonus/2026-05"]

    desk.outcome(next(i for d in desk.decisions for i in d.intents))
    desk.until(CLOSED + 40 * DAY)

    assert ledger(desk, "rule/bonus/2026-04").stage == "closed"
    assert ledger(desk, "rule/bonus/2026-04").booked == 42


def test_what_is_owed_is_rounded_half_up_to_the_digits_of_the_account():
    desk = a_desk(lots="20.0025")
    assert said(desk.until(BOOKED)) == [("credit.grant", "40.01", "1")]

    yen = a_desk(bonus(("currency: USD", "currency: JPY")), lots="20.25", currency="JPY")
    assert said(yen.until(BOOKED)) == [("credit.grant", "41", "1")]

    told = a_desk(lots="20.00025", digits=3)
    assert said(told.until(BOOKED)) == [("credit.grant", "40.001", "1")]


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        (
            {"currency": None},
            "the amount is in USD and the account's currency is not known (2026-03)",
        ),
    ],
)
def test_without_a_rate_nothing_is_booked_and_that_is_told_once(account, reason):
    desk = a_desk(**account)
    desk.until(BOOKED)
    desk.tell("trade.closed", lots="1", timestamp=END - DAY)

    assert [trace.reason for trace in desk.traces("held_back")] == [reason]
    assert [d.intents for d in desk.decisions if d.intents] == []

    booked = desk.account(currency="USD")  # what it waited for

    assert said(booked) == [("credit.grant", "52.00", "1")]


def test_without_digits_nothing_is_booked():
    plain = bonus(("{type: money, default: 2.00, currency: USD}", "{type: number, default: 2}"))
    desk = a_desk(plain, currency="XBT")
    assert desk.until(BOOKED) == []
    assert "account.digits is missing" in desk.traces("held_back")[0].reason

    assert said(desk.account(digits=8)) == [("credit.grant", "50.00000000", "1")]


def test_what_does_not_hold_when_it_is_booked_is_not_paid_and_leaves_no_trace_among_many():
    desk = a_desk(lots="20")

    assert desk.until(BOOKED) == []
    assert desk.traces() == []
    (march, april) = standing(desk.program, "rule", desk.state, desk.now)
    assert march.trigger == "grant bonus"
    assert march.reason == (
        "lots > params.min_lots is false (20 > 20); 2026-03: 0 is owed; nothing is booked; "
        "followed until 2026-05-01T03:00:00.000Z"
    )
    assert april.reason.startswith(
        "lots > params.min_lots is false (0 > 20): 0 of 20 lots; 2026-04: 0 is owed"
    )


def test_how_far_it_is_and_what_is_booked_can_be_asked_for():
    desk = a_desk(lots="17.4")

    (march,) = standing(desk.program, "rule", desk.state, desk.now)

    assert march.reason == (
        "lots > params.min_lots is false (17.4 > 20): 17.4 of 20 lots; 2026-03: 0 is owed; nothing is booked; "
        "booked at 2026-04-01T03:00:00.000Z"
    )
    assert march.holds is False

    desk.tell("trade.closed", deal=2, lots="3")
    (first,) = desk.until(BOOKED)
    assert "40.80 is owed; nothing" not in standing(desk.program, "rule", desk.state, desk.now)[0].reason
    assert (
        "0 is booked; 40.80 being given is under way"
        in standing(desk.program, "rule", desk.state, desk.now)[0].reason
    )
    desk.outcome(first)
    assert (
        "40.80 is owed; 40.80 is booked; followed"
        in standing(desk.program, "rule", desk.state, desk.now)[0].reason
    )


# --- differences


def test_late_deals_are_paid_and_cancelled_ones_taken_back_by_difference():
    desk = a_desk()
    desk.outcome(*desk.until(BOOKED))

    late = desk.tell("trade.closed", deal=2, lots="1", timestamp=END - HOUR)
    assert said(late) == [("credit.grant", "2.00", "2")]
    desk.outcome(*late)
    less = desk.tell("trade.cancelled", deal=2, lots="1")
    assert said(less) == [("credit.remove", "2.00", "3")]
    desk.outcome(*less)
    all_of_it = desk.tell("trade.cancelled", deal=1, lots="25")
    assert said(all_of_it) == [("credit.remove", "50.00", "4")]
    desk.outcome(*all_of_it)

    assert ledger(desk).booked == 0


def test_a_withdrawal_within_the_month_does_not_matter_and_one_after_it_takes_everything_back():
    desk = a_desk()
    desk.tell("balance.withdrawn", at=END - HOUR, amount="10")
    (first,) = desk.until(BOOKED)
    desk.outcome(first)

    back = desk.tell("balance.withdrawn", at=END + 29 * DAY, amount="10")

    assert said(back) == [("credit.remove", "50.00", "2")]
    assert msgspec.json.decode(back[0].params) == {"amount": "50.00"}


def test_a_withdrawal_between_the_end_and_the_booking_is_in_time():
    desk = a_desk()
    desk.tell("balance.withdrawn", at=END, amount="10")

    assert desk.until(CLOSED) == []


def test_march_is_followed_while_april_adds_up_and_longer_than_april_itself():
    desk = a_desk()
    desk.outcome(*desk.until(BOOKED))
    desk.tell("trade.closed", at=END + DAY, deal=2, lots="30")
    restarted(desk)

    late = desk.tell("trade.closed", at=CLOSED - HOUR, deal=3, lots="1", timestamp=END - DAY)
    assert said(late) == [("credit.grant", "2.00", "2")]
    assert late[0].run.endswith("/2026-03")
    desk.outcome(*late)

    april = desk.until(CLOSED)
    assert said(april) == [("credit.grant", "60.00", "1")]
    assert april[0].run.endswith("/2026-04")


def test_a_withdrawal_counts_in_the_months_after_the_next_as_well():
    desk = a_desk(bonus(("watch: 30d", "watch: 60d")))
    desk.outcome(*desk.until(BOOKED))
    desk.outcome(*desk.tell("balance.withdrawn", at=BOOKED + DAY, amount="10"))
    assert ledger(desk).booked == 0

    desk.until(END + 35 * DAY)  # in May nothing was withdrawn
    assert desk.tell("trade.closed", deal=2, lots="1", timestamp=END - DAY) == []


@pytest.mark.parametrize(
    "kept",
    [
        "distinct: event.symbol, window: {calendar: month, tz: Europe/Nicosia}",
        "distinct_days: true, window: {calendar: month, tz: Europe/Nicosia}",
        "last: event.lots, window: {calendar: month, tz: Europe/Nicosia}",
        "max: event.lots, window: {calendar: month, tz: Europe/Nicosia}",
    ],
)
def test_whatever_is_kept_of_a_month_is_kept_as_long_as_it_is_followed(kept):
    workflow = bonus(
        (
            "sum: event.lots\n    window: {calendar: month, tz: Europe/Nicosia}",
            kept.replace(", window", "\n    window"),
        ),
        ("default: 20", "default: 0"),
        ("watch: 30d", "watch: 60d"),
    )
    desk = a_desk(workflow, lots="3")
    (first,) = desk.until(BOOKED)
    desk.outcome(first)
    worth = ledger(desk).booked
    for day in (5, 15, 35, 40, 50):
        desk.tell("trade.closed", at=END + day * DAY, deal=100 + day, symbol="XAUUSD", lots="9")
        restarted(desk)

    assert worth > 0
    assert ledger(desk).booked == worth
    late = desk.tell("trade.closed", deal=2, symbol="GBPUSD", lots="4", timestamp=END - DAY)
    assert [intent.verb for intent in late if intent.run.endswith("2026-03")] == ["credit.grant"]


def test_a_promise_that_was_paid_is_not_paid_again_when_its_workflow_goes_and_comes_back():
    at_once = bonus(("{at: period_end, delay: 6h}", "{at: once_true}"), ("and withdrawn == 0", ""))
    desk = a_desk(at_once)
    desk.outcome(*[i for d in desk.decisions for i in d.intents])
    assert ledger(desk).booked == 50
    switched(desk, pinned=[at_once])
    switched(desk, at_once)

    assert desk.tell("trade.closed", deal=2, lots="1") == []
    assert desk.until(END) == []
    assert said(desk.tell("trade.closed", deal=3, lots="21")) == [("credit.grant", "42.00", "1")]  # of April


def test_after_the_watch_nothing_changes_any_more():
    desk = a_desk()
    desk.outcome(*desk.until(BOOKED))
    desk.until(CLOSED)

    assert desk.tell("trade.closed", deal=2, lots="1", timestamp=END - DAY) == []
    assert desk.tell("balance.withdrawn", amount="10") == []
    assert ledger(desk).stage == "closed"
    assert [trace.reason for trace in desk.traces("done")] == [
        "the watch is over: 50.00 stays booked (2026-03)"
    ]


def test_mode_none_gives_more_and_never_takes():
    desk = a_desk(bonus(("mode: full", "mode: none")))
    desk.outcome(*desk.until(BOOKED))

    assert desk.tell("balance.withdrawn", amount="10") == []
    assert desk.tell("trade.cancelled", deal=1, lots="25") == []
    assert ledger(desk).booked == 50


def test_who_leaves_the_scope_is_not_followed_until_he_comes_back():
    desk = a_desk()
    desk.outcome(*desk.until(BOOKED))
    desk.account(type="demo")

    assert desk.tell("balance.withdrawn", amount="10") == []
    assert said(desk.account(type="real")) == [("credit.remove", "50.00", "2")]


def test_what_cannot_be_known_changes_nothing():
    workflow = bonus(("withdrawn == 0", "withdrawn == 0 and account.enabled"))
    desk = a_desk(workflow, enabled=True)
    desk.outcome(*desk.until(BOOKED))

    assert desk.account(enabled=None) == []
    assert "account.enabled is missing" in desk.traces("held_back")[0].reason
    assert said(desk.account(enabled=False)) == [("credit.remove", "50.00", "2")]


# --- one at a time


@pytest.mark.parametrize("state", [None, "unknown", "parked"])
def test_while_one_booking_is_in_doubt_nothing_more_is_booked(state):
    desk = a_desk()
    (first,) = desk.until(BOOKED)
    if state is not None:
        desk.outcome(first, state)

    assert desk.tell("trade.closed", deal=2, lots="1", timestamp=END - HOUR) == []
    assert desk.tell("trade.closed", deal=3, lots="1", timestamp=END - HOUR) == []

    assert said(desk.outcome(first)) == [("credit.grant", "4.00", "2")]


def test_a_booking_in_doubt_that_did_not_happen_is_asked_for_as_another():
    desk = a_desk()
    (first,) = desk.until(BOOKED)
    desk.outcome(first, "parked")
    desk.tell("trade.closed", deal=2, lots="1", timestamp=END - HOUR)

    assert said(desk.outcome(first, "rejected", reason="decided by hand")) == [("credit.grant", "52.00", "2")]


def test_what_is_refused_is_asked_for_again_when_something_else_is_owed_and_not_in_a_loop():
    desk = a_desk()
    (first,) = desk.until(BOOKED)

    assert desk.outcome(first, "rejected", reason="no money") == []
    assert desk.tell("balance.deposited", amount="5") == []
    assert desk.tell("trade.closed", deal=9, lots="1") == []  # of April
    assert desk.traces("failed")[0].reason == (
        "credit.grant 50.00 was refused: no money; it is asked for again when something else than 50.00 is owed (2026-03)"
    )
    assert said(desk.tell("trade.closed", deal=2, lots="1", timestamp=END - HOUR)) == [
        ("credit.grant", "52.00", "2")
    ]


def test_an_outcome_told_twice_or_of_an_earlier_booking_counts_once():
    desk = a_desk()
    (first,) = desk.until(BOOKED)
    desk.outcome(first)
    desk.outcome(first)
    (second,) = desk.tell("trade.closed", deal=2, lots="1", timestamp=END - HOUR)
    desk.outcome(first)
    desk.outcome(first, "rejected")

    assert (ledger(desk).booked, ledger(desk).asked) == (50, 2)
    desk.outcome(second)
    assert ledger(desk).booked == 52


def test_a_booking_under_way_when_the_watch_ends_is_waited_for_and_is_the_last():
    desk = a_desk()
    (first,) = desk.until(BOOKED)
    desk.tell("trade.closed", deal=2, lots="1", timestamp=END - HOUR)
    desk.until(CLOSED + HOUR)

    assert ledger(desk).stage == "watched"
    assert desk.outcome(first, "unknown") == []
    assert desk.outcome(first) == []
    assert (ledger(desk).stage, ledger(desk).booked) == ("closed", 50)


def test_what_became_of_a_booking_is_told_as_an_event():
    desk = a_desk()
    (first,) = desk.until(BOOKED)
    desk.outcome(first, ticket=77)

    (told,) = desk.facts
    data = msgspec.json.decode(told.envelope.data)
    assert (told.envelope.type, data["action"], data["params"], data["ticket"]) == (
        "action.applied",
        first.key,
        {"amount": "50.00"},
        77,
    )


# --- what is there to be taken


def test_no_more_is_taken_than_there_is_and_the_rest_is_given_up():
    desk = a_desk(bonus(("mode: full", "mode: full, cap: account.credit")))
    desk.outcome(*desk.until(BOOKED))
    desk.tell("credit.granted", amount="50")
    desk.tell("credit.removed", at=BOOKED + DAY, amount="20.01")

    back = desk.tell("balance.withdrawn", amount="10")
    assert said(back) == [("credit.remove", "29.99", "2")]
    assert (
        "50.00 is to be taken back and account.credit is 29.99: 20.01 cannot be taken"
        in desk.traces("held_back")[0].reason
    )
    desk.outcome(*back)
    desk.tell("credit.removed", amount="29.99")

    assert desk.tell("credit.granted", amount="500") == []  # somebody else's
    assert (ledger(desk).booked, ledger(desk).short) == (Decimal("20.01"), Decimal("20.01"))


def test_what_could_not_be_taken_is_not_paid_a_second_time():
    workflow = bonus(("mode: full", "mode: full, cap: account.credit"), ("withdrawn == 0", "account.enabled"))
    desk = a_desk(workflow, enabled=True)
    desk.outcome(*desk.until(BOOKED))
    desk.until(BOOKED + HOUR)

    assert desk.account(enabled=False) == []  # credit 0: nothing is there
    assert ledger(desk).short == 50
    assert desk.account(enabled=True) == []
    assert (ledger(desk).booked, ledger(desk).short) == (50, 0)
    assert said(desk.tell("trade.closed", deal=2, lots="1", timestamp=END - HOUR)) == [
        ("credit.grant", "2.00", "2")
    ]


def test_with_hold_nothing_is_taken_until_all_of_it_is_there():
    desk = a_desk(bonus(("mode: full", "mode: full, cap: account.credit, if_short: hold")))
    desk.outcome(*desk.until(BOOKED))
    desk.tell("credit.granted", amount="49.99")

    assert desk.tell("balance.withdrawn", at=BOOKED + DAY, amount="10") == []
    assert "it waits until all of it is there" in desk.traces("held_back")[0].reason
    assert said(desk.tell("credit.granted", amount="0.01")) == [("credit.remove", "50.00", "2")]


def test_what_was_just_booked_and_not_told_of_yet_is_not_given_up():
    desk = a_desk(bonus(("mode: full", "mode: full, cap: account.credit")))
    desk.outcome(*desk.until(BOOKED))

    assert desk.tell("balance.withdrawn", amount="10") == []
    assert ledger(desk).short == 0
    assert said(desk.tell("credit.granted", amount="50")) == [("credit.remove", "50.00", "2")]


def test_what_is_not_told_of_for_long_is_given_up_by_a_timer():
    desk = a_desk(bonus(("mode: full", "mode: full, cap: account.credit")))
    desk.outcome(*desk.until(BOOKED))
    desk.tell("balance.withdrawn", amount="10")
    restarted(desk)
    desk.until(BOOKED + HOUR)

    assert (ledger(desk).short, ledger(desk).booked) == (50, 50)
    desk.until(CLOSED)
    assert desk.traces("done")[0].reason == (
        "the watch is over: 50.00 stays booked; 50.00 was not there to be taken back (2026-03)"
    )


# --- once true, and in proportion


@pytest.mark.parametrize("vector", VECTORS["clawback_proportional"], ids=lambda each: each["id"])
def test_a_withdrawal_takes_the_part_the_vectors_say(vector):
    workflow = a_workflow(ONCE.replace("paid * 0.3", f"paid * {vector['credit']} / {vector['deposit']}"))
    desk = a_desk(workflow, lots=None, balance="0")
    given = desk.tell("balance.deposited", amount=vector["deposit"])
    assert said(given) == [("bonus.grant", f"{vector['credit']}.00", "1")]
    desk.outcome(*given)
    desk.tell("bonus.granted", amount=vector["credit"])
    desk.account(balance=vector["balance"])

    back = desk.tell("balance.withdrawn", amount=vector["withdraw"])

    assert said(back) == ([("bonus.remove", vector["deduct"], "2")] if vector["deduct"] != "0.00" else [])


def test_once_true_is_booked_at_once_and_once_over_restarts_and_for_ever():
    desk = a_desk(a_workflow(ONCE), lots=None)
    assert desk.tell("balance.deposited", amount="99") == []
    first = desk.tell("balance.deposited", amount="1")
    assert said(first) == [("bonus.grant", "30.00", "1")]
    assert first[0].key == "rule/live-1:7001/gift/lifetime/1"
    restarted(desk)
    desk.outcome(*first)
    desk.until(desk_time(desk) + 91 * DAY)
    restarted(desk)

    assert desk.tell("balance.deposited", amount="1000") == []
    assert ledger(desk, "rule/gift/lifetime").stage == "closed"


def test_what_held_before_the_workflow_went_live_is_not_paid_for():
    counting = a_workflow(
        ONCE.partition("grant:")[0] + "when: [{becomes: paid > 9999999}]\nsteps: [{stop: never}]", id="other"
    )
    desk = a_desk(counting, lots=None)
    desk.tell("balance.deposited", amount="1000")
    switched(desk, counting, a_workflow(ONCE))

    assert desk.tell("balance.deposited", amount="1") == []
    assert desk.account(type="demo") == []
    (standing_now,) = standing(desk.program, "rule", desk.state, desk.now)
    assert standing_now.reason.startswith("lifetime: it was so before the promise began at ")
    restarted(desk)
    switched(desk, counting, a_workflow(ONCE))
    assert desk.tell("balance.deposited", amount="1") == []


def test_what_held_before_is_paid_for_where_the_file_says_so():
    counting = a_workflow(
        ONCE.partition("grant:")[0] + "when: [{becomes: paid > 9999999}]\nsteps: [{stop: never}]", id="other"
    )
    desk = a_desk(counting, lots=None)
    desk.tell("balance.deposited", amount="1000")
    switched(desk, counting, a_workflow(ONCE.replace("once_true", "once_true, on_first: true")))

    assert said(desk.until(MORNING + HOUR)) == [("bonus.grant", "300.00", "1")]


def test_history_that_is_told_later_is_promised_nothing_and_an_outage_is():
    old = a_desk(a_workflow(ONCE), lots=None)
    assert old.tell("balance.deposited", amount="1000", timestamp=MORNING - 90 * DAY, replayed=True) == []
    assert old.tell("balance.deposited", amount="1000") == []
    assert old.traces("held_back")[0].reason == (
        "paid >= 100 is true (1000 >= 100), which was so before the promise began (lifetime)"
    )

    told_late = a_desk(a_workflow(ONCE), lots=None)
    told_late.until(MORNING + 2 * DAY)
    late = told_late.tell("balance.deposited", amount="1000", timestamp=MORNING + DAY, replayed=True)
    assert said(late) == [("bonus.grant", "300.00", "1")]


def desk_time(desk):
    return datetime.fromtimestamp(desk.now / 1_000_000, UTC)


def test_two_withdrawals_each_take_their_part_of_what_is_left():
    desk = a_desk(a_workflow(ONCE), lots=None, balance="0")
    desk.outcome(*desk.tell("balance.deposited", amount="1000"))
    desk.tell("bonus.granted", amount="300")

    first = desk.tell("balance.withdrawn", amount="500")
    assert said(first) == [("bonus.remove", "150.00", "2")]
    desk.outcome(*first)
    desk.tell("bonus.removed", amount="150")
    assert said(desk.tell("balance.withdrawn", amount="250")) == [("bonus.remove", "75.00", "3")]


def test_a_withdrawal_nobody_can_weigh_takes_nothing_and_is_told():
    desk = a_desk(a_workflow(ONCE), lots=None, balance=None)
    desk.outcome(*desk.tell("balance.deposited", amount="1000"))

    assert desk.tell("balance.withdrawn", amount="500") == []
    assert "account.balance is missing" in desk.traces("failed")[0].reason


# --- the hub was down


def test_periods_that_ended_while_the_hub_was_down_are_booked_late_and_corrected_by_what_comes_after():
    desk = a_desk()
    desk.timers.clear()  # nobody was there
    desk.now = int((BOOKED + 75 * DAY).timestamp() * 1_000_000)

    late = desk.tell("balance.deposited", amount="1")
    assert said(late) == [("credit.grant", "50.00", "1")]
    assert desk.traces("booked")[0].reason.endswith("; late_by 6480000s (2026-03)")
    desk.outcome(*late)

    april = desk.tell("trade.closed", deal=2, lots="40", timestamp=END + DAY, replayed=True)
    assert said(april) == [("credit.grant", "80.00", "1")]
    assert april[0].key.endswith("/2026-04/1")
    march = desk.tell("trade.closed", deal=3, lots="1", timestamp=END - DAY, replayed=True)
    assert said(march) == [("credit.grant", "2.00", "2")]


def test_an_account_the_hub_has_never_heard_of_is_promised_the_present_period_and_not_an_earlier_one():
    desk = Desk(bonus())
    desk.until(END + HOUR)
    desk.account(type="real", currency="USD")
    desk.tell("trade.closed", deal=1, lots="25", timestamp=END - DAY, replayed=True)

    assert desk.until(CLOSED) == []


# --- other workflows


def test_accounts_that_were_there_before_the_workflow_are_promised_the_present_period():
    desk = Desk()
    desk.account(type="real", currency="USD")
    switched(desk, bonus())
    desk.tell("trade.closed", deal=1, lots="25")

    assert said(desk.until(BOOKED)) == [("credit.grant", "50.00", "1")]


def test_an_edit_counts_for_what_is_not_booked_and_not_for_what_is():
    desk = a_desk()
    old = desk.program.workflows["rule"]
    switched(desk, bonus(("default: 2.00", "default: 3.00")), pinned=[old])
    first = desk.until(BOOKED)
    assert said(first) == [("credit.grant", "75.00", "1")]
    desk.outcome(*first)

    second = desk.program.workflows["rule"]
    switched(desk, bonus(("default: 2.00", "default: 9.00")), pinned=[old, second])
    assert desk.until(BOOKED + DAY) == []
    assert said(desk.tell("trade.closed", deal=2, lots="1", timestamp=END - DAY)) == [
        ("credit.grant", "3.00", "2")
    ]


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ((), "the workflow is live no more"),
        ((bonus(mode="off"),), "the workflow is live no more"),
        ((bonus(("sum: event.lots", "sum: event.lots * 2")),), "what it is worked out from was edited"),
    ],
)
def test_an_edit_that_takes_the_numbers_away_ends_the_watch_and_takes_nothing_back(others, reason):
    desk = a_desk()
    old = desk.program.workflows["rule"]
    desk.outcome(*desk.until(BOOKED))
    switched(desk, *others, pinned=[old])

    assert [trace.reason for trace in desk.traces("done")] == [f"{reason}: 50.00 stays booked (2026-03)"]
    assert desk.tell("balance.withdrawn", amount="10") == []
    assert desk.until(BOOKED + 2 * DAY) == []


def test_an_edited_period_begins_anew_unless_something_was_booked_in_it():
    desk = a_desk()
    switched(desk, bonus(("tz: Europe/Nicosia", "tz: Asia/Tokyo")))
    desk.tell("trade.closed", deal=2, lots="25")

    booked = desk.until(END - timedelta(hours=6) + timedelta(hours=6))
    assert said(booked) == [("credit.grant", "50.00", "1")]
    assert booked[0].key.endswith("/2026-03/1")


def test_in_shadow_it_is_recorded_and_nothing_is_sent_and_going_live_pays_nothing_for_it():
    shadow, live = bonus(mode="shadow"), bonus()
    desk = a_desk(shadow)
    (first,) = desk.until(BOOKED)
    assert first.state.value == "shadow"
    assert ledger(desk).booked == 50

    switched(desk, live, pinned=[shadow])
    desk.tell("trade.closed", deal=2, lots="30")
    (more,) = desk.tell("trade.closed", deal=3, lots="1", timestamp=END - DAY)
    assert (more.state.value, more.key[-9:]) == ("shadow", "2026-03/2")
    assert [i.state.value for i in desk.until(CLOSED)] == ["ready"]  # April


def test_a_workflow_put_into_shadow_takes_nothing_back_until_it_is_live_again():
    live, shadow = bonus(), bonus(mode="shadow")
    desk = a_desk(live)
    desk.outcome(*desk.until(BOOKED))
    switched(desk, shadow, pinned=[live])

    assert desk.tell("balance.withdrawn", amount="10") == []
    assert (
        desk.traces("held_back")[0].reason == "50.00 would be taken back: the workflow is in shadow (2026-03)"
    )

    switched(desk, live, pinned=[live])
    assert said(desk.until(BOOKED + DAY)) == [("credit.remove", "50.00", "2")]


def test_a_grant_that_fails_on_our_side_stops_no_other(monkeypatch):
    desk = a_desk(bonus(id="a-broken"), bonus(id="b-sound"))
    from hub.engine import grants

    real = grants.owed
    monkeypatch.setattr(
        grants,
        "owed",
        lambda scene, plan, *rest: 1 / 0 if plan.workflow.id == "a-broken" else real(scene, plan, *rest),
    )

    booked = desk.until(BOOKED)

    assert [intent.workflow for intent in booked] == ["b-sound"]
    assert desk.traces("failed")[0].reason == "ZeroDivisionError: division by zero (2026-03)"


# --- the file

REFUSALS = [
    (
        ("action: credit.grant", "action: credit.remove"),
        "17:11: error: a grant gives credit.grant, bonus.grant, balance.deposit, not `credit.remove`; did you mean credit.grant?",
    ),
    (
        ("amount: params.rate * lots", "amount: account.credit + 1"),
        "18:11: error: credit.grant changes account.credit: an amount made of it would grow with each booking",
    ),
    (("while: lots", "while: lts"), "19:10: error: unknown name lts; did you mean lots?"),
    (
        ("while: lots > params.min_lots and", "while: now > period.start and"),
        "19:10: error: `now` is not known here: the value would have to change without an event",
    ),
    (("delay: 6h", "delay: 31d"), "20:33: error: the next month would be over before this one is booked"),
    (
        ("watch: 30d", "watch: 3000d"),
        "21:10: error: more than 60 periods would be followed at a time: watch for a shorter time",
    ),
    (
        ("mode: full", "mode: proportional"),
        "22:14: error: `mode: proportional` needs `deposit`: the deposit the bonus was given for",
    ),
    (("mode: full", "mode: some"), "22:21: error: `mode` is full, proportional or none, not `some`"),
    (
        ("  id: bonus\n", ""),
        "16:3: error: `id` is missing: Its name for ever: what it pays is counted under it.",
    ),
    (("{calendar: month, tz: Europe/Nicosia}", "{tumbling: 7d}"), None),
    (("  watch: 30d", "  wach: 30d"), "21:3: error: unknown key `wach`; did you mean watch?"),
]


WARNINGS = [
    (
        ("  watch: 30d\n", ""),
        "21:14: warning: without `watch` nobody looks any more once it is booked: nothing is taken back",
    ),
    (("window: {since: period_end}", "window: {sliding: 7d}"), None),
    (
        ('== "USD"', 'in ["USD", "EUR"]'),
        (
            "18:11: warning: the amount is in USD: accounts in another currency are booked at the recorded rate, and "
            'held back while there is none. `account.currency == "USD"` in `scope` leaves them out'
        ),
    ),
]


@pytest.mark.parametrize(("change", "complaint"), WARNINGS)
def test_what_a_writer_may_not_have_thought_of_is_said(change, complaint):
    scope = 'account.currency == "USD"'
    text = "schema: 1\nid: w\ntitle: t" + BONUS.replace('account.type == "real"', scope)
    assert change[0] in text
    report = load_text(text.replace(*change), "w.yaml")

    assert report.workflow is not None
    assert [str(problem) for problem in report.problems] == (
        [f"w.yaml:{complaint}"] if complaint is not None else []
    )


@pytest.mark.parametrize(("change", "complaint"), REFUSALS)
def test_a_grant_that_cannot_be_kept_is_refused_with_its_place_and_the_fix(change, complaint):
    text = "schema: 1\nid: w\ntitle: t" + BONUS
    assert change[0] in text
    report = load_text(text.replace(*change), "w.yaml")

    told = [str(problem) for problem in report.problems if "warning" not in str(problem)]
    assert report.workflow is None
    if complaint is not None:
        assert told == [f"w.yaml:{complaint}"]


# --- what is kept of what is over


def test_a_period_that_is_long_closed_is_forgotten_and_never_begun_again(monkeypatch):
    monkeypatch.setattr("hub.engine.ledgers.KEPT_CLOSED", 100 * 86_400_000_000)
    desk, booked = a_desk(lots=None), []
    for month in range(12):
        at = datetime(2026 + (3 + month - 1) // 12, (3 + month - 1) % 12 + 1, 15, tzinfo=UTC)
        for intent in desk.until(at):
            booked.append(intent.key)
            desk.outcome(intent)
        desk.tell("trade.closed", deal=month + 1, lots="25", at=at)
    restarted(desk)
    switched(desk, bonus(title="edited"), pinned=[bonus()])
    for intent in desk.until(datetime(2027, 3, 20, tzinfo=UTC)):
        booked.append(intent.key)
        desk.outcome(intent)

    assert len(booked) == len(set(booked)) == 12
    closed = [name for name, value in desk.state.of_kind(Kind.GRANT) if value.stage == "closed"]
    assert "rule/bonus/2026-03" not in closed
    assert "rule/bonus/2026-11" in closed
    assert len(closed) <= 6
