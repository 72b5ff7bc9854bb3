"""Branches of a run: side by side, item by item, over restarts; what fails, and what is never lost."""

from datetime import timedelta

import msgspec
import pytest
from unit.engine.desk import MORNING, Desk, a_workflow

from hub.engine.load_text import load_text
from hub.engine.rows import KeyRows
from hub.engine.state import KeyState
from hub.engine.values import Kind, encode_value
from hub.intents.intent import State

HOUR = timedelta(hours=1)
WHEN = "when: [{event: custom.go}]\nlimit: {max: 99, every: forever}\n"


def restarted(desk):
    """Read everything anew from what is stored of it."""
    rows = [(kind, name, encode_value(value)) for (kind, name), value in desk.state.values.items()]
    series = list(desk.state.series)
    assert series == []
    desk.state = KeyState.from_rows(desk.state.partition, desk.state.key, KeyRows(rows, (), ()))


def published(desk):
    return [
        msgspec.json.decode(fact.envelope.data)
        for fact in desk.facts
        if fact.envelope.type.startswith("custom.")
    ]


def left_behind(desk):
    return [slot for slot in desk.state.values if slot[0] in {Kind.RUN, Kind.FORK}]


def a_desk(steps, **header):
    desk = Desk(a_workflow(WHEN + steps, **header))
    desk.account(type="real", group="std", currency="USD")
    return desk


BOTH = """
steps:
  - parallel:
      - {id: lock, do: account.disable_trading}
      - - {id: lower, do: account.set_leverage, with: {leverage: 1}}
        - {do: event.publish, with: {type: custom.lowered, data: {was: = steps.lower.before.leverage}}}
  - {do: event.publish, with: {type: custom.after, data: {ok: = steps.lock.ok, state: = steps.lower.state}}}
"""


def test_branches_begin_together_and_the_run_goes_on_when_the_last_is_home():
    desk = a_desk(BOTH)
    lock, lower = desk.tell("custom.go")
    assert [lock.key, lower.key] == [f"{lock.run}/lock", f"{lock.run}/lower"]
    assert lower.run == lock.run == f"rule/live-1:7001/event/{desk.inputs[-1].ref}"

    told = desk.outcome(lower, before={"leverage": 500})
    assert [msgspec.json.decode(each.params)["type"] for each in told] == ["custom.lowered"]
    assert desk.runs[lock.run] == "running"
    desk.outcome(lock)

    assert published(desk) == [{"was": 500}, {"ok": True, "state": "applied"}]
    assert desk.runs == {lock.run: "done"}
    assert left_behind(desk) == []


def test_branches_survive_a_restart_between_any_two_steps():
    desk = a_desk(BOTH)
    lock, lower = desk.tell("custom.go")
    restarted(desk)
    desk.outcome(lower, before={"leverage": 500})
    restarted(desk)
    desk.outcome(lock)
    restarted(desk)

    assert published(desk) == [{"was": 500}, {"ok": True, "state": "applied"}]
    assert left_behind(desk) == []


def test_what_one_branch_does_is_not_known_to_the_one_beside_it():
    text = BOTH.replace("was: = steps.lower.before.leverage", "was: = steps.lock.ok")
    report = load_text(f"schema: 1\nid: rule\ntitle: t\nowner: t\n{WHEN}{text}", "w.yaml")

    assert [str(problem) for problem in report.problems] == [
        "w.yaml:12:80: error: unknown field steps.lock; known are steps.lower"
    ]


def test_a_branch_that_fails_ends_those_that_only_wait_and_the_run_fails_when_actions_are_known():
    desk = a_desk("""
steps:
  - id: both
    parallel:
      - {id: lock, do: account.disable_trading}
      - [{id: pause, wait: {for: 2h}}, {do: event.publish, with: {type: custom.never}}]
      - [{id: lower, do: account.set_leverage, with: {leverage: 1}}, {do: event.publish, with: {type: custom.never}}]
on_error:
  - {do: event.publish, with: {type: custom.failed, data: {step: = error.step, why: = error.message}}}
""")
    lock, lower = desk.tell("custom.go")
    assert len(desk.timers) == 1

    desk.outcome(lock, "rejected", reason="no rights")
    assert desk.timers == {}, "nobody waits for the time any more"
    assert published(desk) == [], "an action is on its way: what becomes of it is waited for"
    restarted(desk)
    desk.outcome(lower)

    why = "step both: branch 0: step lock: account.disable_trading was rejected: no rights"
    assert published(desk) == [{"step": "lock (account.disable_trading)", "why": why}]
    assert desk.runs[lock.run] == "failed"
    assert left_behind(desk) == []
    desk.until(MORNING + 3 * HOUR)
    assert len(published(desk)) == 1


def test_a_fork_goes_on_without_a_failed_branch_where_it_says_so():
    desk = a_desk("""
steps:
  - id: both
    parallel:
      - {id: lock, do: account.disable_trading}
      - [{id: lower, do: account.set_leverage, with: {leverage: 1}}, {do: event.publish, with: {type: custom.lowered}}]
    on_error: continue
  - {do: event.publish, with: {type: custom.after, data: {ok: = steps.both.ok, failed: = steps.both.failed, why: = steps.both.reason}}}
""")
    lock, lower = desk.tell("custom.go")
    desk.outcome(lock, "rejected", reason="no rights")
    desk.outcome(lower)

    assert published(desk) == [
        {},
        {
            "ok": False,
            "failed": 1,
            "why": "branch 0: step lock: account.disable_trading was rejected: no rights",
        },
    ]
    assert desk.runs[lock.run] == "done"


EACH = """
steps:
  - id: each
    for_each:
      in: event.positions
      as: ticket
      concurrency: %d
      steps:
        - {id: close, do: position.close, with: {position: = ticket}}
        - {do: event.publish, with: {type: custom.closed, data: {ticket: = ticket}}}
    on_error: %s
  - {do: event.publish, with: {type: custom.after, data: {ok: = steps.each.ok, count: = steps.each.count, failed: = steps.each.failed}}}
"""


def positions(intents):
    return [msgspec.json.decode(each.params)["position"] for each in intents if each.verb == "position.close"]


def test_items_are_gone_through_one_after_another():
    desk = a_desk(EACH % (1, "fail"))
    (first,) = desk.tell("custom.go", positions=[11, 12])
    assert positions([first]) == [11]
    assert first.key == f"{first.run}/close/0"

    restarted(desk)
    _, second = desk.outcome(first)
    assert (positions([second]), second.key) == ([12], f"{first.run}/close/1")
    restarted(desk)
    desk.outcome(second)

    assert published(desk) == [{"ticket": 11}, {"ticket": 12}, {"ok": True, "count": 2, "failed": 0}]
    assert left_behind(desk) == []


def test_as_many_items_are_under_way_as_it_says_and_never_more():
    desk = a_desk(EACH % (3, "fail"))
    opened = list(desk.tell("custom.go", positions=list(range(1, 8))))
    assert positions(opened) == [1, 2, 3]
    done = 0
    while opened:
        opened += [each for each in desk.outcome(opened.pop(0)) if each.verb == "position.close"]
        done += 1
        assert len(opened) <= 3
        assert len(desk.state.open_runs) <= 4

    assert done == 7
    assert published(desk)[-1] == {"ok": True, "count": 7, "failed": 0}


def test_an_item_that_fails_holds_up_no_other_where_it_says_so():
    desk = a_desk(EACH % (2, "continue"))
    first, second = desk.tell("custom.go", positions=[1, 2, 3])
    third = desk.outcome(first, "rejected", reason="no")[0]
    desk.outcome(second)
    desk.outcome(third)

    assert published(desk) == [{"ticket": 2}, {"ticket": 3}, {"ok": False, "count": 3, "failed": 1}]


def test_an_item_that_fails_lets_no_other_begin_otherwise():
    desk = a_desk(EACH % (2, "fail"))
    first, second = desk.tell("custom.go", positions=[1, 2, 3, 4])

    assert desk.outcome(first, "rejected", reason="no") == []
    assert desk.outcome(second) == []

    assert desk.runs[first.run] == "failed"
    assert desk.traces("failed")[-1].reason.startswith(
        "step each: item 0: step close: position.close was rejected: no"
    )
    assert left_behind(desk) == []


def test_of_no_items_nothing_is_done():
    desk = a_desk(EACH % (1, "fail"))
    desk.tell("custom.go", positions=[])

    assert published(desk) == [{"ok": True, "count": 0, "failed": 0}]
    assert left_behind(desk) == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"positions": list(range(1, 1002))}, "1001 items, and at most 1000 may be"),
        ({"positions": 5}, "a number where a list is needed"),
        ({}, "event.positions is missing"),
        ({"positions": ["x" * 5000]}, "item 0 takes more than 4096 bytes"),
    ],
)
def test_a_list_that_is_none_or_too_long_fails_the_step(given, reason):
    desk = a_desk(EACH % (1, "fail"))

    assert desk.tell("custom.go", **given) == []

    (trace,) = desk.traces("failed")
    assert "step each: in:" in trace.reason
    assert reason in trace.reason


def test_a_thousand_items_fit_into_one_decision_and_leave_nothing_behind():
    desk = a_desk(
        EACH.replace("        - {id: close, do: position.close, with: {position: = ticket}}\n", "")
        % (1, "fail")
    )
    desk.tell("custom.go", positions=list(range(1000)))

    assert len(published(desk)) == 1001
    assert published(desk)[-1]["count"] == 1000
    assert left_behind(desk) == []
    assert not [row for row in desk.written()[-1][0] if row.kind in {Kind.RUN, Kind.FORK}]


NESTED = """
steps:
  - for_each:
      in: event.desks
      as: row
      max: 20
      concurrency: 2
      steps:
        - for_each:
            in: row
            as: ticket
            max: 50
            concurrency: 2
            steps: [{id: close, do: position.close, with: {position: = ticket}}]
"""


def test_items_of_items_have_identities_of_their_own():
    desk = a_desk(NESTED)
    opened = list(desk.tell("custom.go", desks=[[1, 2, 3], [4]]))
    keys = []
    while opened:
        restarted(desk)
        keys.append(opened[0].key)
        opened += desk.outcome(opened.pop(0))

    run = keys[0].rpartition("/close/")[0]
    assert sorted(key.removeprefix(run) for key in keys) == [
        "/close/0.0",
        "/close/0.1",
        "/close/0.2",
        "/close/1.0",
    ]
    assert desk.runs == {run: "done"}
    assert left_behind(desk) == []


def test_a_failure_deep_inside_ends_everything_around_it_that_only_waits():
    desk = a_desk("""
steps:
  - parallel:
      - [{id: pause, wait: {for: 1h}}]
      - - parallel:
            - [{id: rest, wait: {event: trade.closed, timeout: 1h}}]
            - {id: lock, do: account.disable_trading}
            - {id: lower, do: account.set_leverage, with: {leverage: 1}}
""")
    lock, lower = desk.tell("custom.go")
    assert len(desk.timers) == 2

    desk.outcome(lock, "rejected")
    assert len(desk.timers) == 1, (
        "the inner fork waits for its other action, and the outer one goes on meanwhile"
    )
    desk.outcome(lower)

    assert desk.timers == {}
    assert set(desk.runs.values()) == {"failed"}
    assert left_behind(desk) == []


def test_stop_in_a_branch_is_the_end_of_the_run():
    desk = a_desk("""
steps:
  - parallel:
      - [{id: pause, wait: {for: 1h}}]
      - [{id: lock, do: account.disable_trading}, {stop: that will do}]
  - {do: event.publish, with: {type: custom.after}}
""")
    (lock,) = desk.tell("custom.go")
    desk.outcome(lock)

    assert published(desk) == []
    assert set(desk.runs.values()) == {"done"}
    assert desk.timers == {}
    assert left_behind(desk) == []


def test_waits_of_branches_end_by_time_and_by_events_each_by_itself():
    desk = a_desk("""
steps:
  - parallel:
      - [{id: pause, wait: {for: 2h}}, {do: event.publish, with: {type: custom.rested}}]
      - - {id: heard, wait: {event: trade.closed, where: event.lots > 1, timeout: 5h}}
        - {do: event.publish, with: {type: custom.heard, data: {lots: = steps.heard.event.lots}}}
  - {do: event.publish, with: {type: custom.after, data: {lots: = steps.heard.event.lots}}}
""")
    desk.tell("custom.go")
    desk.tell("trade.closed", at=MORNING + HOUR, lots="0.5")
    desk.tell("trade.closed", lots="3")
    restarted(desk)
    desk.until(MORNING + 2 * HOUR)

    assert published(desk) == [{"lots": "3"}, {}, {"lots": "3"}]
    assert left_behind(desk) == []


def test_an_event_before_the_fork_answers_the_wait_of_a_branch():
    desk = a_desk("""
steps:
  - {id: lock, do: account.disable_trading}
  - parallel:
      - [{id: heard, wait: {event: trade.closed, timeout: 5h}}, {do: event.publish, with: {type: custom.heard, data: {late: = steps.heard.timed_out}}}]
""")
    (lock,) = desk.tell("custom.go")
    desk.tell("trade.closed", lots="3")
    desk.outcome(lock)

    assert published(desk) == [{"late": False}]


def test_branches_whose_time_is_up_at_once_and_too_late_all_come_home():
    desk = a_desk("""
steps:
  - for_each: {in: "[1, 2, 3]", as: count, concurrency: 3, steps: [{wait: {for: 1h}}, {do: event.publish, with: {type: custom.rested, data: {n: = count}}}]}
  - {do: event.publish, with: {type: custom.after}}
""")
    desk.tell("custom.go")
    desk.timers.clear()  # nobody looked at the clock
    restarted(desk)
    desk.tell("account.updated", at=MORNING + 3 * HOUR, changed={})

    assert sorted(map(str, published(desk)[:3])) == [str({"n": n}) for n in "123"]
    assert published(desk)[3:] == [{}]
    assert left_behind(desk) == []


def test_branches_count_among_the_open_runs_of_a_key_and_one_is_let_through():
    desk = a_desk(
        "steps:\n  - for_each: {in: event.list, as: x, concurrency: 100, steps: [{wait: {for: 1h}}]}"
    )
    for _ in range(3):
        desk.tell("custom.go", list=list(range(90)))
    # two whole forks with their runs are 182; the third finds room for 17 more
    assert len(desk.state.open_runs) == 200
    desk.tell("custom.go", list=[1])
    assert "200 runs of this key are open" in desk.traces("held_back")[-1].reason

    desk.until(MORNING + 40 * HOUR)

    assert left_behind(desk) == []
    assert set(desk.runs.values()) == {"done"}


def test_single_means_one_run_however_many_branches_it_has():
    desk = a_desk(BOTH, run="{mode: parallel, max: 2}")
    for _ in range(3):
        desk.tell("custom.go")

    assert len([run for run in desk.state.open_runs if run.branch is None]) == 2


def test_an_amount_of_nothing_ends_its_item_and_no_other():
    desk = a_desk("""
scope: account.currency == "USD"
steps:
  - for_each: {in: event.amounts, as: x, steps: [{id: pay, do: credit.grant, with: {amount: = x}}]}
  - {do: event.publish, with: {type: custom.after}}
""")
    (second,) = desk.tell("custom.go", amounts=[0, 5])
    assert second.key.endswith("/pay/1")
    desk.outcome(second)

    assert len(published(desk)) == 1


def test_a_branch_that_breaks_on_our_side_ends_its_run_and_no_other(monkeypatch):
    desk = a_desk("""
steps:
  - parallel:
      - [{id: a, wait: {event: trade.closed, timeout: 1h}}, {do: event.publish, with: {type: custom.a}}]
      - [{id: b, wait: {for: 2h}}]
""")
    other = a_workflow(
        "when: [{event: custom.go}]\nsteps: [{wait: {event: trade.closed, timeout: 1h}}, {do: event.publish, with: {type: custom.other}}]",
        id="other",
    )
    desk.switch(*desk.program.workflows.values(), other)
    desk.tell("custom.go")
    whole = type(desk).tell
    publish = "hub.engine.run.Run._publish"
    original = __import__("hub.engine.run", fromlist=["Run"]).Run._publish

    def breaks(self, do, params, key, *, send):
        if params.type == "custom.a":
            raise RuntimeError("a bug")
        original(self, do, params, key, send=send)

    monkeypatch.setattr(publish, breaks)
    whole(desk, "trade.closed")

    assert [fact.envelope.type for fact in desk.facts] == ["custom.other"]
    assert "RuntimeError: a bug" in desk.traces("failed")[-1].reason
    assert sorted(desk.runs.values()) == ["done", "failed"]
    assert left_behind(desk) == []
    assert desk.timers == {}


def test_in_shadow_every_branch_is_recorded_and_nothing_is_sent():
    desk = a_desk(EACH % (2, "fail"), mode="shadow")
    intents = desk.tell("custom.go", positions=[1, 2, 3])

    assert {intent.state for intent in intents} == {State.SHADOW}
    assert positions(intents) == [1, 2, 3]
    assert left_behind(desk) == []


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ("{for_each: {in: 5, as: x, steps: [{stop: a}]}}", "this is a number, but a list is needed here"),
        ("{for_each: {in: event.l, as: event, steps: [{stop: a}]}}", "`event` has a meaning of its own"),
        (
            "{for_each: {in: event.l, as: x, steps: [{for_each: {in: event.l, as: x, max: 1, steps: [{stop: a}]}}]}}",
            "`x` is the name of something else here",
        ),
        (
            "{for_each: {in: event.l, as: x, steps: [{for_each: {in: x, as: y, steps: [{stop: a}]}}]}}",
            "up to 1000000 items",
        ),
        (
            "{parallel: [{for_each: {in: event.l, as: x, steps: [{stop: a}]}}, {for_each: {in: event.l, as: y, max: 1, steps: [{stop: a}]}}]}",
            "up to 1001 items",
        ),
        ("{for_each: {in: event.l, as: x, steps: []}}", "`steps` is empty"),
        (
            "{for_each: {in: event.l, as: x, concurrency: 0, steps: [{stop: a}]}}",
            "at least 1",
        ),
        ("{parallel: []}", "`parallel` is empty"),
        ("{parallel: [[]]}", "is empty"),
        ("{for_each: {in: event.l, as: x, steps: [{set: {a: = y.z}, id: s}]}}", "unknown name y"),
    ],
)
def test_forks_that_make_no_sense_are_refused(steps, complaint):
    report = load_text(f"schema: 1\nid: rule\ntitle: t\nowner: t\n{WHEN}steps: [{steps}]\n", "w.yaml")

    assert any(complaint in str(problem) for problem in report.problems), [str(p) for p in report.problems]
    assert report.workflow is None


AT_ONCE = """
steps:
  - parallel:
      - [{wait: {for: 1h}}, {do: event.publish, with: {type: custom.never}}]
      - [%s]
      - [{wait: {for: 2h}}, {do: event.publish, with: {type: custom.never}}]
on_error: [{do: event.publish, with: {type: custom.failed, data: {why: = error.message}}}]
"""


@pytest.mark.parametrize(
    ("step", "state", "told"),
    [
        ("{stop: enough}", "done", []),
        (
            "{wait: {until: account.registered_at}}",
            "failed",
            [
                {
                    "why": "step 0: branch 1: step 0.1.0: until: account.registered_at is missing",
                }
            ],
        ),
    ],
)
def test_a_branch_that_ends_the_run_at_once_ends_one_that_has_only_just_begun_to_wait(step, state, told):
    desk = a_desk(AT_ONCE % step)
    desk.tell("custom.go")

    assert list(desk.runs.values()) == [state]
    assert published(desk) == told
    assert left_behind(desk) == []
    assert desk.timers == {}
    desk.until(MORNING + 3 * HOUR)
    assert published(desk) == told


def test_a_fork_in_a_branch_that_ends_at_once_ends_with_all_that_is_in_it():
    inner = "{parallel: [[{wait: {for: 3h}}], [{parallel: [[{wait: {for: 4h}}], [{stop: enough}]]}]]}"
    desk = a_desk(AT_ONCE % inner)
    desk.tell("custom.go")

    assert list(desk.runs.values()) == ["done"]
    assert left_behind(desk) == []
    assert desk.timers == {}
