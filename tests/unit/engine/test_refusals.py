"""A step that does not come about: asked for again where it surely was not done, passed over where it may fail."""

from datetime import timedelta

import pytest
from unit.engine.desk import MORNING, Desk, a_workflow

SECOND = timedelta(seconds=1)
RULE = """
when: [{event: trade.closed}]
limit: {max: 100, every: 1d}
steps:
  - {id: lock, do: account.disable_trading%s}
  - {do: event.publish, with: {type: custom.after, data: {ok: = steps.lock.ok, state: = steps.lock.state}}}
"""
RETRY = ", retry: {max: 3, delay: 1s, factor: 2, up_to: 3s}"


def rule(more="", **header):
    return a_workflow(RULE % more, **header)


def told(desk):
    return [bytes(fact.envelope.data).decode() for fact in desk.facts if fact.envelope.type == "custom.after"]


def locks(desk):
    return [i for decision in desk.decisions for i in decision.intents if i.verb == "account.disable_trading"]


def test_without_a_word_a_refusal_ends_the_run():
    desk = Desk(rule())
    (lock,) = desk.tell("trade.closed")
    desk.outcome(lock, "rejected", reason="no money")

    assert set(desk.runs.values()) == {"failed"}
    assert told(desk) == []


def test_what_was_refused_is_asked_for_again_each_time_later_and_as_another_intent():
    desk = Desk(rule(RETRY))
    desk.tell("trade.closed")
    at = MORNING
    for pause in (1, 2, 3):
        desk.outcome(locks(desk)[-1], "rejected", reason="busy")
        at += pause * SECOND
        desk.until(at - SECOND / 10)
        before = len(locks(desk))
        desk.until(at)
        assert len(locks(desk)) == before + 1

    assert [lock.key.rpartition("/")[2] for lock in locks(desk)] == ["lock", "lock#2", "lock#3", "lock#4"]
    desk.outcome(locks(desk)[-1], "rejected", reason="busy")
    assert set(desk.runs.values()) == {"failed"}
    assert desk.timers == {}


def test_one_that_succeeds_in_the_end_goes_on():
    desk = Desk(rule(RETRY))
    desk.tell("trade.closed")
    desk.outcome(locks(desk)[-1], "rejected")
    desk.until(MORNING + SECOND)
    desk.outcome(locks(desk)[-1], "applied")

    assert told(desk) == ['{"ok":true,"state":"applied"}']
    assert set(desk.runs.values()) == {"done"}


@pytest.mark.parametrize(("delay", "first", "second"), [("6h", 6, 24), ("3d", 72, 72)])
def test_without_up_to_a_pause_grows_to_a_day_and_is_never_shorter_than_the_file_says(delay, first, second):
    desk = Desk(rule(f", retry: {{max: 3, delay: {delay}, factor: 10}}"))
    desk.tell("trade.closed")

    for asked, after in ((1, timedelta()), (2, timedelta(hours=first)), (3, timedelta(hours=first + second))):
        desk.until(MORNING + after - SECOND)
        assert len(locks(desk)) == max(asked - 1, 1)
        desk.until(MORNING + after)
        assert len(locks(desk)) == asked
        desk.outcome(locks(desk)[-1], "rejected")


@pytest.mark.parametrize("state", ["parked", "unknown"])
def test_what_may_have_happened_is_never_asked_for_again(state):
    desk = Desk(rule(RETRY))
    desk.tell("trade.closed")
    desk.outcome(locks(desk)[-1], state)
    desk.until(MORNING + timedelta(days=2))

    assert len(locks(desk)) == 1
    assert told(desk) == []


@pytest.mark.parametrize("state", ["rejected", "parked"])
def test_a_step_that_may_fail_does_not_hold_up_the_others(state):
    desk = Desk(rule(", on_error: continue"))
    desk.tell("trade.closed")
    desk.outcome(locks(desk)[-1], state)

    assert told(desk) == [f'{{"ok":false,"state":"{state}"}}']
    assert set(desk.runs.values()) == {"done"}


def test_it_is_asked_for_again_before_it_is_given_up():
    desk = Desk(rule(", retry: {max: 1, delay: 1s}, on_error: continue"))
    desk.tell("trade.closed")
    desk.outcome(locks(desk)[-1], "rejected")
    assert told(desk) == []
    desk.until(MORNING + SECOND)
    desk.outcome(locks(desk)[-1], "rejected")

    assert told(desk) == ['{"ok":false,"state":"rejected"}']
    assert len(locks(desk)) == 2


def test_a_value_that_is_missing_is_a_failure_like_any_other():
    text = """
when: [{event: trade.closed}]
steps:
  - {id: mail, do: notify.email, with: {to: = client.email, subject: s, text: t}, on_error: continue}
  - {do: event.publish, with: {type: custom.after, data: {why: = steps.mail.reason}}}
"""
    desk = Desk(a_workflow(text))
    desk.tell("trade.closed")

    assert told(desk) == ['{"why":"step mail (notify.email): to: client.email is missing"}']


def test_money_is_asked_for_again_under_another_key_only_after_a_refusal():
    text = """
scope: account.currency == "USD"
when: [{event: trade.closed}]
limit: {max: 100, every: 1d}
steps: [{id: pay, do: credit.grant, with: {amount: 5}, retry: {max: 2, delay: 1s}}]
"""
    desk = Desk(a_workflow(text))
    desk.account(currency="USD")
    (first,) = desk.tell("trade.closed")
    desk.outcome(first, "rejected")
    (second,) = desk.until(MORNING + SECOND)
    desk.outcome(second, "applied")
    desk.until(MORNING + timedelta(days=1))

    assert first.key != second.key
    assert set(desk.runs.values()) == {"done"}


HANDLED = """
when: [{event: trade.closed}]
limit: {max: 100, every: 1d}
steps:
  - {id: lock, do: account.disable_trading}
  - {do: event.publish, with: {type: custom.after, data: {locked: true}}}
on_error:
  - {do: event.publish, with: {type: custom.after, data: {step: = error.step, why: = error.message, lots: = event.lots}}}
  - {id: again, do: account.disable}
  - {do: event.publish, with: {type: custom.after, data: {disabled: = steps.again.ok}}}
"""
WHY = "step lock: account.disable_trading was rejected: busy"


def test_a_run_that_fails_takes_the_steps_for_that_and_has_failed_all_the_same():
    desk = Desk(a_workflow(HANDLED))
    (lock,) = desk.tell("trade.closed", lots="2")
    _, disable = desk.outcome(lock, "rejected", reason="busy")
    assert told(desk) == [f'{{"step":"lock (account.disable_trading)","why":"{WHY}","lots":"2"}}']
    desk.outcome(disable, "applied")

    assert told(desk)[1:] == ['{"disabled":true}']
    assert set(desk.runs.values()) == {"failed"}
    assert disable.key.endswith("/again")


def test_steps_that_fail_when_something_has_failed_are_not_begun_again():
    desk = Desk(a_workflow(HANDLED))
    (lock,) = desk.tell("trade.closed")
    _, disable = desk.outcome(lock, "rejected", reason="busy")
    desk.outcome(disable, "parked")

    assert len(told(desk)) == 1
    assert set(desk.runs.values()) == {"failed"}


def test_a_run_that_has_failed_stays_so_where_there_is_nothing_to_do_about_it():
    text = """
scope: account.currency == "USD"
when: [{event: trade.closed}]
limit: {max: 100, every: 1d}
steps: [{id: lock, do: account.disable_trading}]
on_error: [{id: sorry, do: credit.grant, with: {amount: = event.lots * 0}}]
"""
    desk = Desk(a_workflow(text))
    desk.account(currency="USD", digits=2)
    (lock,) = desk.tell("trade.closed", lots="2")

    assert desk.outcome(lock, "rejected", reason="busy") == []
    assert set(desk.runs.values()) == {"failed"}
    assert "not above 0" in desk.traces("failed")[0].reason


def test_a_run_that_comes_about_takes_none_of_them():
    desk = Desk(a_workflow(HANDLED))
    (lock,) = desk.tell("trade.closed")
    desk.outcome(lock, "applied")

    assert told(desk) == ['{"locked":true}']
    assert set(desk.runs.values()) == {"done"}


def test_a_wait_that_fails_takes_them_too():
    text = """
when: [{event: trade.closed}]
steps: [{wait: {event: trade.opened, timeout: 1h, on_timeout: fail}}]
on_error: [{do: event.publish, with: {type: custom.after, data: {why: = error.message}}}]
"""
    desk = Desk(a_workflow(text))
    desk.tell("trade.closed")
    desk.until(MORNING + timedelta(hours=1))

    assert told(desk) == ['{"why":"waited until 2026-03-02T09:00:00.000Z, in vain"}']
    assert set(desk.runs.values()) == {"failed"}


@pytest.mark.parametrize(("itself", "runs"), [("", 1), ("self: true\n", 2)])
def test_a_workflow_starts_itself_only_where_it_says_so(itself, runs):
    text = (
        itself
        + """
when: [{event: custom.ping}]
steps: [{do: event.publish, with: {type: custom.ping}}]
"""
    )
    desk = Desk(a_workflow(text))
    desk.tell("custom.ping")
    (fact,) = desk.facts
    desk.take(desk.event_of(fact))

    assert len(desk.runs) == runs
    assert len(desk.traces("held_back")) == 2 - runs
