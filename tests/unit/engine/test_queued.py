"""`run: {mode: queued}`: one run of a key is open, the others wait their turn in order, over restarts and failures."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_waits import Killed

from hub.engine import queued as waiting
from hub.engine.runs import begin
from hub.engine.state import KeyState
from hub.engine.values import Kind, decode_value, encode_value
from hub.testing import a_trade_closed, an_account

HOUR = timedelta(hours=1)
QUEUED = """
when: [{event: trade.closed}]
run: {mode: queued%s}
%s
steps:
  - {wait: {for: 1h}}
  - {do: event.publish, with: {type: custom.after, data: {lots: = event.lots}}}
"""


def queued(more="", rest="", **header):
    return a_workflow(QUEUED % (more, rest), **header)


def trades(desk, *lots):
    for each in lots:
        desk.tell("trade.closed", lots=each)


def told(desk):
    return [
        bytes(intent.params).split(b'"lots":"')[1].split(b'"')[0].decode()
        for decision in desk.decisions
        for intent in decision.intents
    ]


def test_what_waits_begins_when_the_one_before_ends_with_the_event_it_was_asked_for_by():
    desk = Desk(queued())
    trades(desk, "1", "2", "3")
    assert list(desk.runs.values()) == ["running", "queued", "queued"]

    desk.until(MORNING + HOUR)
    assert told(desk) == ["1"]
    assert list(desk.runs.values()) == ["done", "running", "queued"]

    desk.until(MORNING + 3 * HOUR)
    assert told(desk) == ["1", "2", "3"]
    assert list(desk.runs.values()) == ["done", "done", "done"]
    assert not any(kind == Kind.QUEUE for kind, _ in desk.state.values)


def test_a_full_queue_holds_back_and_says_who_is_next():
    desk = Desk(queued(", max: 1"))

    trades(desk, "1", "2", "3")

    (held,) = desk.traces("held_back")
    assert held.reason.startswith("run: 1 wait already, and 1 may: rule/live-1:7001/event/")
    desk.until(MORNING + 9 * HOUR)
    assert told(desk) == ["1", "2"]


def test_what_a_full_queue_holds_back_uses_up_no_limit():
    desk = Desk(queued(", max: 1", "limit: {max: 3, every: 1d}"))
    trades(desk, "1", "2", "3")
    desk.until(MORNING + 3 * HOUR)

    trades(desk, "4", "5")
    desk.until(MORNING + 9 * HOUR)

    assert told(desk) == ["1", "2", "4"]
    assert desk.traces("held_back")[-1].reason.startswith("limit: 3 run(s)")


def test_the_limit_is_the_reason_that_is_told_where_the_queue_is_full_as_well():
    desk = Desk(queued(", max: 1", "limit: {max: 2, every: 1d}"))

    trades(desk, "1", "2", "3")

    (held,) = desk.traces("held_back")
    assert held.reason.startswith("limit: 2 run(s)")


def test_the_limit_is_told_before_the_run_mode():
    desk = Desk(
        a_workflow(
            "when: [{event: trade.closed}]\nrun: {mode: single}\nlimit: {max: 1, every: 1d}\nsteps: [{wait: {for: 1h}}]"
        )
    )

    trades(desk, "1", "2")

    (held,) = desk.traces("held_back")
    assert held.reason.startswith("limit: 1 run(s)")


def test_two_triggers_of_one_event_open_one_run_of_a_single_workflow():
    text = (
        "when: [{id: a, event: trade.closed}, {id: b, event: trade.closed}]\n"
        "run: {mode: single}\nsteps: [{wait: {for: 1h}}]"
    )
    desk = Desk(a_workflow(text))

    trades(desk, "1")

    assert list(desk.runs.values()) == ["running"]
    assert len(desk.traces("held_back")) == 1


def test_a_run_that_fails_frees_the_next():
    desk = Desk(
        a_workflow(
            "when: [{event: trade.closed}]\nrun: {mode: queued}\nlimit: {max: 9, every: 1d}\n"
            "steps: [{id: off, do: account.disable}]"
        )
    )
    trades(desk, "1", "2")
    (first,) = [intent for decision in desk.decisions for intent in decision.intents]

    desk.outcome(first, "rejected", reason="no")

    assert list(desk.runs.values()) == ["failed", "running"]


def test_one_that_breaks_as_it_begins_is_failed_and_the_next_begins(monkeypatch):
    desk = Desk(queued())
    trades(desk, "1", "2", "3")
    second = list(desk.runs)[1]

    def begins(scene, plan, run_id, *args, **named):
        if run_id == second:
            raise RuntimeError("on our side")
        begin(scene, plan, run_id, *args, **named)

    monkeypatch.setattr(waiting, "begin", begins)
    desk.until(MORNING + HOUR)

    assert list(desk.runs.values()) == ["done", "failed", "running"]
    assert [trace.reason for trace in desk.traces("failed")] == ["RuntimeError: on our side"]


def test_it_is_kept_when_it_is_stored_and_read():
    desk = Desk(queued())
    trades(desk, "1", "2")
    stored = [(kind, name, encode_value(value)) for (kind, name), value in desk.state.values.items()]
    desk.state = KeyState(desk.state.partition, desk.state.key)
    for kind, name, value in stored:
        desk.state.values[(kind, name)] = decode_value(kind, value)
    desk.state.note_rows()
    desk.state.note_runs()
    desk.state.set_alarm()

    desk.until(MORNING + 3 * HOUR)

    assert told(desk) == ["1", "2"]


def test_a_run_whose_version_is_lost_holds_up_no_other_and_what_waits_begins_with_the_text_that_is_live():
    desk = Desk(queued())
    trades(desk, "1", "2")
    desk.switch(queued(title="edited"))  # this desk has no older versions at hand

    desk.until(MORNING + 3 * HOUR)

    assert told(desk) == ["2"]
    assert list(desk.runs.values()) == ["running", "done"]
    assert "cannot be loaded any more" in desk.traces("failed")[0].reason


def test_nothing_waits_for_a_workflow_that_is_gone():
    desk = Desk(queued())
    trades(desk, "1", "2")

    desk.switch()

    assert [trace.reason for trace in desk.traces("held_back")] == [
        "never begun: its workflow is not live any more, or no longer queues its runs"
    ]
    assert list(desk.runs.values())[1] == "done"
    assert not any(kind == Kind.QUEUE for kind, _ in desk.state.values)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3), st.booleans()), min_size=1, max_size=6))
async def test_no_queued_run_is_lost_doubled_or_out_of_order_whatever_is_killed(told):
    engine = Killed()
    await engine.loop.activate([queued(", max: 100")])
    await engine.settle()
    deal = 0
    for trades, hours, killed in told:
        for _ in range(trades):
            deal += 1
            await engine.log.append([a_trade_closed(an_account(), lots=str(deal), deal=deal)])
        await engine.settle()
        await engine.clock.advance(timedelta(minutes=40) * hours)
        if killed:
            await engine.restart()
    for _ in range(deal + 1):
        await engine.settle()
        await engine.clock.advance(HOUR)
    await engine.settle()

    said = [
        int(bytes(intent.params).split(b'"lots":"')[1].split(b'"')[0].split(b".")[0])
        for intent in engine.store.intents.values()
    ]
    assert said == list(range(1, deal + 1))
    assert {run.state for run in engine.store.runs.values()} == {"done"}
