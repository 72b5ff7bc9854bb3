"""`since: trigger_time`: what was awaited may have come before the run that waits for it."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_grants import restarted

from hub.engine.load_text import load_text
from hub.engine.rehearsal import Rehearsal
from hub.engine.remembering import MOST
from hub.engine.values import Kind
from hub.ids import account_key

MINUTE = timedelta(minutes=1)
TEXT = """
when: [{event: custom.asked}]
limit: {max: 99, every: 1d}
run: {mode: parallel, max: 20}
steps:
  - id: paper
    wait: {event: custom.paper, where: event.number == trigger.event.number, since: trigger_time, timeout: 1h}
  - do: event.publish
    with: {type: custom.done, data: {in_vain: = steps.paper.timed_out}}
"""


def a_desk(text=TEXT, **header):
    desk = Desk(a_workflow(text, **header))
    desk.account(type="real")
    return desk


def done(desk):
    return [msgspec.json.decode(fact.content)["in_vain"] for fact in desk.facts]


def minutes(number):
    return MORNING + number * MINUTE


def test_an_event_counts_that_came_between_what_started_the_run_and_the_run():
    desk = a_desk()
    desk.until(minutes(10))
    desk.tell("custom.paper", number=7)  # came at once
    desk.until(minutes(15))
    desk.tell("custom.asked", number=7, timestamp=minutes(5))  # told late

    assert done(desk) == [False]


def test_an_event_from_before_what_started_the_run_does_not_count():
    desk = a_desk()
    desk.until(minutes(4))
    desk.tell("custom.paper", number=7)
    desk.until(minutes(15))
    desk.tell("custom.asked", number=7, timestamp=minutes(5))

    assert done(desk) == []
    desk.until(minutes(80))
    assert done(desk) == [True]


def test_an_event_of_that_very_moment_counts_and_another_one_does_not():
    desk = a_desk()
    desk.until(minutes(5))
    desk.tell("custom.paper", number=7)
    desk.tell("custom.paper", number=8)
    desk.until(minutes(15))

    desk.tell("custom.asked", number=7, timestamp=minutes(5))
    desk.tell("custom.asked", number=9, timestamp=minutes(5))

    assert done(desk) == [False]


@pytest.mark.parametrize("since", ["", "since: run_start, ", "since: now, "])
def test_without_it_what_came_before_the_run_does_not_count(since):
    desk = a_desk(TEXT.replace("since: trigger_time, ", since))
    desk.until(minutes(10))
    desk.tell("custom.paper", number=7)
    desk.until(minutes(15))
    desk.tell("custom.asked", number=7, timestamp=minutes(5))

    assert done(desk) == []
    assert not [slot for slot in desk.state.values if slot[0] == Kind.REMEMBERED]


def test_what_is_remembered_outlives_a_restart():
    desk = a_desk()
    desk.until(minutes(10))
    desk.tell("custom.paper", number=7)
    restarted(desk)
    desk.until(minutes(15))
    desk.tell("custom.asked", number=7, timestamp=minutes(5))

    assert done(desk) == [False]


def test_the_event_that_starts_a_run_does_not_answer_it():
    text = TEXT.replace("custom.asked", "custom.paper")
    desk = a_desk(text)
    desk.tell("custom.paper", number=7)

    assert done(desk) == []
    desk.until(minutes(1))
    desk.tell("custom.paper", number=7)
    assert done(desk) == [False]  # the first run by the second event, and the second not by its own


def test_a_condition_that_had_to_hold_counts_from_when_it_turned_true():
    text = """
when: [{becomes: account.balance < 100, for: 10m}]
steps:
  - id: paper
    wait: {event: balance.deposited, since: trigger_time, timeout: 1h}
  - do: event.publish
    with: {type: custom.done, data: {in_vain: = steps.paper.timed_out}}
"""
    desk = a_desk(text)
    desk.account(balance="500")
    desk.until(minutes(1))
    desk.tell("balance.deposited", amount="1")
    desk.until(minutes(2))
    desk.account(balance="50")
    desk.until(minutes(3))
    desk.tell("balance.deposited", amount="1")
    desk.until(minutes(12))

    assert done(desk) == [False]
    assert desk.facts[0].envelope.timestamp == minutes(12)


def test_a_run_that_waited_in_line_counts_from_when_it_was_asked_for():
    text = TEXT.replace("run: {mode: parallel, max: 20}", "run: {mode: queued, max: 5}")
    desk = a_desk(text)
    desk.tell("custom.asked", number=1)
    desk.until(minutes(1))
    desk.tell("custom.asked", number=2)
    desk.until(minutes(2))
    desk.tell("custom.paper", number=2)
    desk.until(minutes(3))
    desk.tell("custom.paper", number=1)

    assert done(desk) == [False, False]


def test_only_the_latest_are_remembered_and_what_is_lost_is_said():
    desk = a_desk()
    desk.until(minutes(10))
    for number in range(MOST + 1):
        desk.tell("custom.paper", number=number)
    desk.tell("custom.asked", number=MOST, timestamp=minutes(5))
    desk.tell("custom.asked", number=0, timestamp=minutes(5))

    assert done(desk) == [False]
    (row,) = [value for (kind, _), value in desk.state.values.items() if kind == Kind.REMEMBERED]
    assert len(row.events) == MOST
    assert f"of custom.paper only the last {MOST} are remembered" in desk.traces("fired")[-1].reason


def test_a_pattern_is_refused_when_the_file_is_loaded():
    text = TEXT.replace(
        "event: custom.paper, where: event.number == trigger.event.number", 'event: "custom.*"'
    )
    report = load_text(f"schema: 1\nid: w\ntitle: t\n{text}", "w.yaml")

    (problem,) = [each.message for each in report.problems]
    assert problem.startswith(
        "`custom.*` is a pattern, and what came before a run is kept of types that are named"
    )


def test_nothing_is_remembered_any_more_once_no_live_workflow_asks_for_it():
    desk = a_desk()
    desk.tell("custom.paper", number=7)
    assert [slot for slot in desk.state.values if slot[0] == Kind.REMEMBERED]

    desk.switch(a_workflow(TEXT.replace("since: trigger_time, ", "")))

    assert not [slot for slot in desk.state.values if slot[0] == Kind.REMEMBERED]


def test_a_rehearsal_remembers_as_the_hub_does():
    desk = a_desk()
    desk.until(minutes(10))
    desk.tell("custom.paper", number=7)
    desk.until(minutes(15))
    desk.tell("custom.asked", number=7, timestamp=minutes(5))
    heard = []

    class Listener:
        def asked(self, intent, _currency, _amount):
            heard.append(intent.verb)

        def traced(self, _row):
            pass

    rehearsal = Rehearsal([a_workflow(TEXT)], Listener())
    rehearsal.tell(desk.inputs)

    assert heard == ["event.publish"]
    assert desk.state.key == account_key("live-1", 7001)


moves = st.tuples(st.sampled_from(["paper", "asked", "restart"]), st.integers(0, 3), st.integers(0, 30))


@given(st.lists(moves, max_size=12))
def test_every_run_is_answered_by_the_first_that_came_since_its_trigger(script):
    desk = a_desk()
    papers, asked, number = [], [], 0
    for at, (what, subject, back) in enumerate(script, start=1):
        desk.until(minutes(at))
        if what == "restart":
            restarted(desk)
        elif what == "paper":
            desk.tell("custom.paper", number=subject)
            papers.append((subject, minutes(at), at))
        else:
            number += 1
            desk.tell("custom.asked", number=subject, timestamp=minutes(at - back))
            asked.append((subject, minutes(at - back), at))
    answered = sum(
        any(subject == one and (when >= since or order > at) for one, when, order in papers)
        for subject, since, at in asked
    )

    assert done(desk) == [False] * answered

    again = Desk(a_workflow(TEXT))
    for item in desk.inputs:
        again.take(item)
    assert again.written() == desk.written()


QUEUED = TEXT.replace("run: {mode: parallel, max: 20}", "run: {mode: queued, max: 5}")


def test_a_run_that_waited_in_line_is_not_answered_by_its_own_event():
    desk = a_desk(QUEUED.replace("custom.asked", "custom.paper"))
    for minute, number in enumerate((7, 8, 7), start=1):
        desk.until(minutes(minute))
        desk.tell("custom.paper", number=number)

    assert done(desk) == [False]


def test_the_event_that_ends_the_run_before_counts_for_the_next_in_line():
    desk = a_desk(QUEUED.replace(", where: event.number == trigger.event.number", ""))
    for minute, name in enumerate(("custom.asked", "custom.asked", "custom.paper"), start=1):
        desk.until(minutes(minute))
        desk.tell(name, number=1)

    assert done(desk) == [False, False]
