"""A run that has waited long enough goes on without knowing, asks for nothing twice, and what comes late is told."""

from datetime import timedelta

import msgspec
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_forks import left_behind, published, restarted

from hub.engine.values import Kind
from hub.intents.intent import State

SECONDS = timedelta(seconds=1)
STEPS = """
when: [{event: custom.go}]
limit: {max: 99, every: forever}
steps:
  - {id: lock, do: account.disable_trading, timeout: 5s%s}
  - {do: event.publish, with: {type: custom.after, data: {ok: = steps.lock.ok, state: = steps.lock.state}}}
on_error:
  - {do: event.publish, with: {type: custom.failed, data: {why: = error.message}}}
"""


def a_desk(more=""):
    desk = Desk(a_workflow(STEPS % more))
    desk.account(type="real", group="std")
    return desk


def late(desk):
    return [name for kind, name in desk.state.values if kind == Kind.LATE]


def told(desk):
    return [fact for fact in desk.facts if fact.envelope.type.startswith("action.")]


def test_an_outcome_in_time_is_an_outcome_and_takes_the_timer_away():
    desk = a_desk()
    (lock,) = desk.tell("custom.go")
    assert len(desk.timers) == 1
    desk.outcome(lock, "unknown")
    assert len(desk.timers) == 1
    desk.until(MORNING + 4 * SECONDS)
    desk.outcome(lock)

    assert desk.timers == {}
    assert published(desk) == [{"ok": True, "state": "applied"}]


def test_an_action_that_is_not_known_in_time_fails_the_step_and_is_not_asked_for_again():
    desk = a_desk(", retry: {max: 5, delay: 1s}")
    (lock,) = desk.tell("custom.go")
    restarted(desk)
    (publish,) = desk.until(MORNING + 5 * SECONDS)

    assert publish.verb == "event.publish"
    assert "nothing was heard of it until" in published(desk)[0]["why"]
    assert "it may happen yet, and is not asked for again" in published(desk)[0]["why"]
    assert desk.runs == {lock.run: "failed"}
    assert left_behind(desk) == []
    assert desk.until(MORNING + 600 * SECONDS) == []


def test_what_becomes_of_it_later_is_told_with_what_was_asked_for():
    desk = a_desk()
    (lock,) = desk.tell("custom.go")
    desk.until(MORNING + 5 * SECONDS)
    assert late(desk) == [lock.key]
    restarted(desk)

    desk.outcome(lock, "unknown")
    assert late(desk) == [lock.key]
    assert desk.outcome(lock, ticket=7) == []

    assert late(desk) == []
    assert [fact.envelope.type for fact in told(desk)] == ["action.unknown", "action.applied"]
    assert told(desk)[-1].envelope.source == "engine/1"
    assert msgspec.json.decode(told(desk)[-1].envelope.data)["ticket"] == 7
    assert (
        "account.disable_trading was applied after the run had stopped waiting"
        in desk.traces("done")[-1].reason
    )


def test_a_run_may_go_on_without_it():
    desk = a_desk(", on_error: continue")
    desk.tell("custom.go")
    desk.until(MORNING + 5 * SECONDS)

    assert published(desk) == [{"ok": False, "state": "timed_out"}]
    assert set(desk.runs.values()) == {"done"}


def test_a_time_that_is_up_while_the_hub_is_away_ends_the_wait_when_it_is_back():
    desk = a_desk()
    (lock,) = desk.tell("custom.go")
    desk.timers.clear()
    restarted(desk)
    desk.now += 3_600_000_000
    desk.outcome(lock)  # the outcome waited as well, and time comes first: what is told of it is told late

    assert "nothing was heard of it" in published(desk)[0]["why"]
    assert late(desk) == []
    assert [fact.envelope.type for fact in told(desk)] == ["action.applied"]


def test_a_message_with_a_timeout_is_waited_for():
    text = """
when: [{event: custom.go}]
limit: {max: 99, every: forever}
steps:
  - {id: tell, do: notify.email, with: {to: a@b.example, subject: x, text: y}, timeout: 1m, on_error: continue}
  - {do: event.publish, with: {type: custom.after, data: {ok: = steps.tell.ok, state: = steps.tell.state}}}
"""
    sent, refused, silent = (Desk(a_workflow(text)) for _ in range(3))
    desks = (sent, refused, silent)
    mails = [desk.tell("custom.go")[0] for desk in desks]
    assert [mail.state for mail in mails] == [State.READY] * 3
    sent.outcome(mails[0], "delivered")
    refused.outcome(mails[1], "exhausted", reason="no such address")
    silent.until(MORNING + 60 * SECONDS)

    assert [published(desk) for desk in desks] == [
        [{"ok": True, "state": "delivered"}],
        [{"ok": False, "state": "exhausted"}],
        [{"ok": False, "state": "timed_out"}],
    ]
    assert late(silent) == []
    assert silent.outcome(mails[2], "delivered") == []
