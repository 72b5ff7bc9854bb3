"""What a workflow's breaker refuses of a promise stays owed: it is asked for again when that lets it go, and once."""

from dataclasses import replace
from datetime import timedelta

import pytest
from unit.engine.desk import a_workflow
from unit.engine.rated import RatedDesk
from unit.engine.test_grants import (
    BOOKED,
    CLOSED,
    DAY,
    END,
    HOUR,
    NAME,
    ONCE,
    a_desk,
    bonus,
    ledger,
    restarted,
    said,
    switched,
)

from hub.clock import from_us
from hub.engine.program import Mode
from hub.engine.why import standing
from hub.intents.intent import State

MINUTE, MOMENT = timedelta(minutes=1), timedelta(microseconds=2)
REASON = "the breaker of rule tripped at 2026-04-01T03:00:00.000Z: more than 2 within 5m"


def stopped(workflow):
    return replace(workflow, mode=Mode.SHADOW, stopped=True)


def refuse(desk, intent):
    return desk.outcome(intent, "rejected", reason=REASON, stopped=True)


def trip(desk):
    """Have the workflow go on in shadow, as it does within a second."""
    switched(desk, *[stopped(each.workflow) for each in desk.program.plans.values()])


def reset(desk):
    """Have a person let it go on; return what is asked for."""
    live = [replace(each.workflow, mode=Mode.LIVE, stopped=False) for each in desk.program.plans.values()]
    switched(desk, *live)
    return soon(desk)


def soon(desk):
    return desk.until(from_us(desk.now) + MOMENT)


def later(desk, span):
    return desk.until(from_us(desk.now) + span)


def latest(desk):
    return [intent for decision in desk.decisions for intent in decision.intents][-1]


def stands(desk):
    return standing(desk.program, "rule", desk.state, desk.now)[0].reason


@pytest.fixture
def desk():
    """March is over, and its bonus was asked for and refused by the breaker."""
    made = a_desk()
    (first,) = made.until(BOOKED)
    assert refuse(made, first) == []
    return made


# --- asked for again


def test_what_was_refused_is_asked_for_when_the_breaker_is_reset_and_once(desk):
    trip(desk)
    assert later(desk, DAY) == []
    restarted(desk)

    assert said(reset(desk)) == [("credit.grant", "50.00", "2")]
    restarted(desk)
    assert later(desk, DAY) == []
    desk.outcome(latest(desk))

    assert (ledger(desk).booked, ledger(desk).held, ledger(desk).stopped) == (50, "", 0)
    trip(desk)
    assert reset(desk) == []


def test_what_is_owed_then_is_asked_for_and_not_what_was_owed_once(desk):
    trip(desk)
    desk.tell("trade.closed", deal=2, lots="1", timestamp=END - HOUR)

    assert said(reset(desk)) == [("credit.grant", "52.00", "2")]


def test_what_is_owed_no_more_is_not_asked_for(desk):
    trip(desk)
    desk.tell("trade.cancelled", deal=1, lots="25")

    assert reset(desk) == []
    assert "0 is owed; 0 is booked; followed until" in stands(desk)
    assert "breaker" not in stands(desk)


def test_a_breaker_reset_before_the_workflow_was_in_shadow_is_asked_again_by_a_timer(desk):
    assert later(desk, MINUTE - MOMENT) == []

    assert said(later(desk, MOMENT)) == [("credit.grant", "50.00", "2")]


def test_what_becomes_known_after_the_reset_is_asked_for_by_a_timer():
    desk = a_desk()
    (first,) = desk.until(BOOKED)
    trip(desk)
    assert reset(desk) == []

    assert refuse(desk, first) == []
    assert said(later(desk, MINUTE)) == [("credit.grant", "50.00", "2")]


def test_a_look_that_comes_too_early_leaves_the_timer_there_is(desk):
    trip(desk)
    live = [replace(each.workflow, mode=Mode.LIVE, stopped=False) for each in desk.program.plans.values()]
    switched(desk, *live)
    (again,) = desk.tell("trade.closed", deal=2, lots="1")  # before the look the reset asks for
    refuse(desk, again)
    assert soon(desk) == []
    restarted(desk)

    assert said(later(desk, MINUTE)) == [("credit.grant", "50.00", "3")]


EARLY = (("at: period_end, delay: 6h", "at: once_true"), (" and withdrawn == 0", ""))


def test_the_end_of_a_period_leaves_the_timer_there_is():
    desk = a_desk(bonus(*EARLY), lots=None)
    desk.until(END - timedelta(seconds=10))
    (first,) = desk.tell("trade.closed", deal=1, lots="25")
    refuse(desk, first)
    assert later(desk, timedelta(seconds=59)) == []
    restarted(desk)

    assert said(later(desk, MINUTE)) == [("credit.grant", "50.00", "2")]


def test_while_the_breaker_refuses_everything_it_is_not_asked_all_the_time(desk):
    for _ in range(3 * 24 * 6):
        for intent in later(desk, 10 * MINUTE):
            refuse(desk, intent)
        desk.tell("trade.closed", deal=len(desk.inputs), lots="1", timestamp=END - HOUR)

    assert 8 <= ledger(desk).entries <= 16  # after 1, 2, 4 minutes and so on, and then once a day


def test_a_reset_lets_the_waiting_begin_anew(desk):
    for _ in range(12 * 6):
        for intent in later(desk, 10 * MINUTE):
            refuse(desk, intent)
    trip(desk)

    (again,) = reset(desk)
    refuse(desk, again)
    assert later(desk, MINUTE - MOMENT) == []
    assert len(later(desk, MOMENT)) == 1


def test_another_refusal_is_the_brokers_and_waits_for_something_else_to_be_owed(desk):
    (again,) = later(desk, MINUTE)
    desk.outcome(again, "rejected", reason="no money")
    trip(desk)

    assert reset(desk) == []
    assert later(desk, 2 * DAY) == []
    assert said(desk.tell("trade.closed", deal=2, lots="1", timestamp=END - HOUR)) == [
        ("credit.grant", "52.00", "3")
    ]


def test_something_else_that_was_owed_while_it_was_stopped_counts_though_the_broker_refused_what_is_owed_now(
    desk,
):
    (again,) = later(desk, MINUTE)
    desk.outcome(again, "rejected", reason="no money")
    trip(desk)
    desk.tell("trade.closed", deal=2, lots="1", timestamp=END - HOUR)
    desk.tell("trade.cancelled", deal=2, lots="1")

    assert said(reset(desk)) == [("credit.grant", "50.00", "3")]


@pytest.mark.parametrize("state", ["unknown", "parked"])
def test_of_what_may_have_happened_nothing_is_asked_for_again(state):
    desk = a_desk()
    (first,) = desk.until(BOOKED)
    desk.outcome(first, state)
    trip(desk)

    assert reset(desk) == []
    assert later(desk, 2 * DAY) == []
    desk.outcome(first)
    assert ledger(desk).booked == 50


# --- what was never asked for because the breaker had tripped


def test_a_period_that_ends_while_its_workflow_is_stopped_is_booked_when_it_is_reset_and_not_in_shadow():
    desk = a_desk()
    trip(desk)
    assert desk.until(BOOKED + DAY) == []
    restarted(desk)

    (intent,) = reset(desk)
    assert (said([intent]), intent.state) == ([("credit.grant", "50.00", "1")], State.READY)


def test_a_gift_that_falls_due_while_its_workflow_is_stopped_is_given_when_it_is_reset():
    desk = a_desk(a_workflow(ONCE), lots=None)
    trip(desk)
    assert desk.tell("balance.deposited", ticket=1, amount="1000") == []
    assert "300.00 is owed; nothing is booked; stopped by the workflow's breaker" in stands(desk)
    switched(desk, stopped(a_workflow(ONCE)), stopped(a_workflow(ONCE, id="other")))
    restarted(desk)

    assert said(reset(desk))[0] == ("bonus.grant", "300.00", "1")


def test_what_a_file_has_in_shadow_is_recorded_as_ever_though_a_breaker_had_stopped_it():
    desk = a_desk(a_workflow(ONCE), lots=None)
    trip(desk)
    desk.tell("balance.deposited", ticket=1, amount="1000")

    switched(desk, a_workflow(ONCE, mode="shadow"))
    (intent,) = soon(desk)
    assert intent.state is State.SHADOW


# --- taking back


def test_what_is_to_be_taken_back_is_asked_for_again_within_what_is_there_then():
    desk = a_desk(bonus(("mode: full", "mode: full, cap: account.credit")), credit="50")
    desk.outcome(*desk.until(BOOKED))
    later(desk, HOUR)
    (back,) = desk.tell("balance.withdrawn", amount="5")
    assert said([back]) == [("credit.remove", "50.00", "2")]
    refuse(desk, back)
    trip(desk)
    desk.account(credit="30")

    assert said(reset(desk)) == [("credit.remove", "30.00", "3")]
    desk.outcome(latest(desk))
    assert (ledger(desk).booked, ledger(desk).short) == (20, 20)
    assert later(desk, 2 * DAY) == []


# --- what becomes of it meanwhile


def test_a_watch_that_is_over_meanwhile_is_waited_for_and_closed_after_the_booking(desk):
    trip(desk)
    assert desk.until(CLOSED + 3 * DAY) == []
    assert ledger(desk).stage == "watched"
    restarted(desk)

    (again,) = reset(desk)
    assert said([again]) == [("credit.grant", "50.00", "2")]
    desk.outcome(again)
    assert (ledger(desk).stage, ledger(desk).booked, ledger(desk).held) == ("closed", 50, "")


def test_a_watch_that_is_over_waits_for_its_breaker_and_hears_of_nothing_else(desk):
    trip(desk)
    desk.until(CLOSED + HOUR)
    number = len(desk.traces())
    desk.tell("trade.closed", deal=2, lots="1", timestamp=END - HOUR)
    assert len(desk.traces()) == number

    later(desk, 400 * DAY)
    assert len(desk.traces()) < number + 30  # a look a day says nothing
    assert len([timer for timer in desk.timers.values() if NAME in timer.body.decode()]) == 1


def test_a_promise_without_a_watch_is_asked_for_again_as_well():
    desk = a_desk(bonus(("  watch: 30d\n", "")))
    (first,) = desk.until(BOOKED)
    later(desk, HOUR)  # the watch is over before anybody knows what became of it
    refuse(desk, first)
    trip(desk)
    later(desk, DAY)

    (again,) = reset(desk)
    assert said([again]) == [("credit.grant", "50.00", "2")]
    desk.outcome(again)
    assert (ledger(desk).stage, ledger(desk).booked) == ("closed", 50)


def test_without_a_watch_and_a_shadow_it_is_asked_for_by_a_timer():
    desk = a_desk(bonus(("  watch: 30d\n", "")))
    (first,) = desk.until(BOOKED)
    later(desk, HOUR)
    refuse(desk, first)

    assert said(later(desk, MINUTE)) == [("credit.grant", "50.00", "2")]


def test_a_workflow_that_is_gone_asks_for_nothing_more(desk):
    trip(desk)
    switched(desk)
    assert ledger(desk).stage == "closed"

    switched(desk, bonus())
    assert soon(desk) == []
    assert later(desk, DAY) == []


def test_one_refused_while_its_workflow_was_taken_away_is_the_last():
    desk = a_desk()
    (first,) = desk.until(BOOKED)
    switched(desk)
    refuse(desk, first)

    assert ledger(desk).stage == "closed"
    assert desk.timers == {}


def test_after_an_edit_it_is_asked_for_by_the_text_it_was_promised_by(desk):
    before = next(iter(desk.program.plans.values())).workflow
    trip(desk)
    switched(desk, stopped(bonus(("default: 2.00", "default: 9.00"))), pinned=[before])
    live = bonus(("default: 2.00", "default: 9.00"))
    switched(desk, live, pinned=[before])

    assert said(soon(desk)) == [("credit.grant", "50.00", "2")]


def test_a_file_put_into_shadow_meanwhile_holds_it_back_until_it_is_live(desk):
    trip(desk)
    later(desk, HOUR)
    shadow = bonus(mode="shadow")
    switched(desk, shadow, pinned=[bonus()])
    assert soon(desk) == []
    assert ledger(desk).held == "shadow"

    switched(desk, bonus())
    assert said(soon(desk)) == [("credit.grant", "50.00", "2")]


def test_a_promise_in_another_currency_goes_at_the_rate_there_is_when_it_is_asked_for_again():
    desk = RatedDesk(bonus())
    desk.rates(fixed=True, EUR="1.25")
    desk.account(type="real", currency="EUR", credit="0", balance="1000")
    desk.tell("trade.closed", deal=1, lots="25")
    (first,) = desk.until(BOOKED)
    assert said([first]) == [("credit.grant", "40.00", "1")]
    refuse(desk, first)
    trip(desk)
    later(desk, HOUR)
    desk.rates(fixed=True, EUR="1.00")

    (again,) = reset(desk)
    assert said([again]) == [("credit.grant", "50.00", "2")]
    desk.outcome(again)
    assert (ledger(desk).booked, ledger(desk).foreign.worth) == (50, 50)


# --- what is said of it


def test_why_says_that_it_waits_for_the_breaker_and_until_when(desk):
    held = desk.traces("held_back")[-1].reason
    assert held == (
        f"credit.grant 50.00 was refused: {REASON}; what is owed is asked for again when the breaker is reset (2026-03)"
    )
    again = "stopped by the workflow's breaker: asked for again when that is reset"
    assert f"{again}, or at 2026-04-01T03:01:00.000Z; followed" in stands(desk)

    trip(desk)
    later(desk, HOUR)
    assert f"{again}; followed" in stands(desk)
    assert len(desk.traces("held_back")) == 1  # the same is not said with every look

    reset(desk)
    assert "50.00 being given is under way" in stands(desk)


def test_what_falls_due_while_it_is_stopped_says_so():
    desk = a_desk()
    trip(desk)
    desk.until(BOOKED + HOUR)

    assert desk.traces("held_back")[-1].reason == (
        "50.00 would be given: the workflow is in shadow until its breaker is reset, and it is asked for then (2026-03)"
    )
