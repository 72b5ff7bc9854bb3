"""Steps that choose, keep values, stop and wait: durable, answered by events and conditions, ended by time."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_loop import LEASE, Engine, compile_version

from hub.engine.kept import keep, recall
from hub.engine.loop import EngineLoop
from hub.engine.memory import MemoryInbox
from hub.engine.run import Run
from hub.intents.intent import State
from hub.testing import a_trade_closed, an_account

AFTER = "  - {do: event.publish, with: {type: custom.after, data: {%s}}}"
HOUR = timedelta(hours=1)


def waiting(wait, data="lots: = event.lots", **header):
    steps = f"steps:\n  - {{id: pause, wait: {{{wait}}}}}\n" + AFTER % data
    return a_workflow(f"when: [{{event: trade.closed, where: event.lots > 1}}]\n{steps}", **header)


def data_of(desk):
    return [bytes(fact.envelope.data).decode() for fact in desk.facts if fact.envelope.type == "custom.after"]


def test_a_run_waits_for_a_span_and_goes_on_with_the_event_it_began_with():
    desk = Desk(waiting("for: 2h"))
    desk.tell("trade.closed", lots="2")
    desk.until(MORNING + HOUR)
    desk.tell("trade.closed", lots="0.5")
    assert data_of(desk) == []

    desk.until(MORNING + 2 * HOUR)

    assert data_of(desk) == ['{"lots":"2"}']
    assert set(desk.runs.values()) == {"done"}
    assert [trace.reason for trace in desk.traces("done")] == ["waited until 2026-03-02T10:00:00.000Z"]


def test_a_wait_that_is_over_late_says_how_late():
    desk = Desk(waiting("for: 2h"))
    desk.tell("trade.closed", lots="2")
    desk.timers.clear()  # nobody looked at the clock

    desk.tell("account.updated", at=MORNING + 3 * HOUR, changed={})

    assert [trace.reason for trace in desk.traces("done")] == [
        "waited until 2026-03-02T10:00:00.000Z, late_by 1h"
    ]
    assert len(data_of(desk)) == 1


def test_a_run_waits_until_a_moment_and_one_that_is_past_holds_up_nothing():
    ahead = Desk(
        waiting("until: event.timestamp + params.rest", params="{rest: {type: duration, default: 90m}}")
    )
    past = Desk(waiting("until: event.timestamp"))
    for desk in (ahead, past):
        desk.tell("trade.closed", lots="2")

    assert len(data_of(past)) == 1
    assert data_of(ahead) == []
    ahead.until(MORNING + timedelta(minutes=90))
    assert len(data_of(ahead)) == 1


def test_an_event_answers_a_wait_that_asks_for_it_by_the_event_the_run_began_with():
    desk = Desk(
        waiting(
            "event: trade.opened, where: event.symbol == trigger.event.symbol, timeout: 1d",
            data="lots: = steps.pause.event.lots, ok: = steps.pause.ok",
        )
    )
    desk.tell("trade.closed", lots="2", symbol="EURUSD")
    desk.tell("trade.opened", symbol="GBPUSD", lots="3")
    desk.tell("trade.closed", symbol="EURUSD", lots="0.1")
    assert data_of(desk) == []

    desk.tell("trade.opened", symbol="EURUSD", lots="4")

    assert data_of(desk) == ['{"lots":"4","ok":true}']
    assert desk.timers == {}
    desk.tell("trade.opened", symbol="EURUSD", lots="5")
    assert len(data_of(desk)) == 1


@pytest.mark.parametrize(
    ("then", "runs", "told"),
    [
        ("continue", "done", ['{"late":true}']),
        ("stop", "done", []),
        ("fail", "failed", []),
    ],
)
def test_a_wait_in_vain_goes_on_stops_or_fails(then, runs, told):
    desk = Desk(
        waiting(f"event: trade.opened, timeout: 1d, on_timeout: {then}", data="late: = steps.pause.timed_out")
    )
    desk.tell("trade.closed", lots="2")

    desk.until(MORNING + timedelta(days=1))

    assert set(desk.runs.values()) == {runs}
    assert data_of(desk) == told


CHECKED = """
when: [{event: trade.closed}]
steps:
  - {id: lock, do: account.disable_trading}
  - {id: pause, wait: {event: trade.opened, since: %s, timeout: 1h}}
  - {do: event.publish, with: {type: custom.after, data: {late: = steps.pause.timed_out}}}
"""


@pytest.mark.parametrize(("since", "late"), [("run_start", "false"), ("now", "true")])
def test_an_event_that_came_while_the_run_was_busy_counts_since_its_start(since, late):
    desk = Desk(a_workflow(CHECKED % since))
    (lock,) = desk.tell("trade.closed")
    desk.tell("trade.opened")
    desk.outcome(lock)

    desk.until(MORNING + 2 * HOUR)

    assert data_of(desk) == [f'{{"late":{late}}}']


def test_a_condition_that_holds_is_not_waited_for_and_another_until_it_does():
    text = """
aggregates: {lots: {from: trade.closed, sum: event.lots, window: {sliding: 1h}}}
when: [{event: trade.closed, where: event.lots > 1}]
steps:
  - {id: pause, wait: {if: "lots %s", timeout: 1d}}
  - {do: event.publish, with: {type: custom.after, data: {late: = steps.pause.timed_out}}}
"""
    now, more, less = (Desk(a_workflow(text % sign)) for sign in ("> 1", "> 5", "< 1"))
    for desk in (now, more, less):
        desk.tell("trade.closed", lots="2")
    assert [len(data_of(desk)) for desk in (now, more, less)] == [1, 0, 0]

    more.tell("trade.closed", lots="0.9")
    assert data_of(more) == []
    more.tell("trade.closed", lots="3")  # begins a run of its own, whose condition holds already
    assert len(data_of(more)) == 2
    less.until(MORNING + 2 * HOUR)  # the window lets go, without any event
    assert data_of(less) == ['{"late":false}']


CHOOSE = """
when: [{event: trade.closed}]
steps:
  - id: size
    choose:
      - {if: event.lots > 10, steps: [{id: kind, set: {name: large}}]}
      - {if: event.lots > 5, steps: [{id: kind, set: {name: middle, double: = event.lots * 2}}]}
      - else: [{stop: too small to matter}]
  - {do: event.publish, with: {type: custom.after, data: {kind: = steps.kind.name, double: "= default(steps.kind.double, 0)"}}}
"""


@pytest.mark.parametrize(
    ("lots", "told"),
    [("11", ['{"kind":"large","double":"0"}']), ("6", ['{"kind":"middle","double":"12"}']), ("5", [])],
)
def test_the_first_way_that_holds_is_taken_and_no_other(lots, told):
    desk = Desk(a_workflow(CHOOSE))
    desk.tell("trade.closed", lots=lots)

    assert data_of(desk) == told
    assert set(desk.runs.values()) == {"done"}
    if not told:
        assert [trace.reason.rpartition("; ")[2] for trace in desk.traces()] == [
            "stopped: too small to matter"
        ]


def test_a_run_that_breaks_when_it_goes_on_fails_alone(monkeypatch):
    desk = Desk(waiting("for: 1h", id="a"), waiting("for: 1h", id="b"))
    desk.tell("trade.closed", lots="2")
    real = Run.carry_on

    def carry_on(run):
        if run.plan.workflow.id == "a":
            raise ArithmeticError("boom")
        return real(run)

    monkeypatch.setattr(Run, "carry_on", carry_on)
    desk.until(MORNING + HOUR)

    assert sorted(desk.runs.values()) == ["done", "failed"]
    assert [trace.reason for trace in desk.traces("failed")] == ["ArithmeticError: boom"]


TWICE = """
when: [{event: trade.closed}]
steps:
  - {id: lock, do: account.disable_trading}
  - {id: one, wait: {event: trade.opened, where: event.lots > 5, timeout: 1h}}
  - {id: two, wait: {event: trade.opened, where: event.lots > 5, timeout: 1h}}
  - {do: event.publish, with: {type: custom.after, data: {one: "= default(steps.one.event.lots, 0)", two: "= default(steps.two.event.lots, 0)"}}}
"""


@pytest.mark.parametrize(
    ("came", "told"), [(("6",), '{"one":"6","two":"0"}'), (("6", "7"), '{"one":"6","two":"7"}')]
)
def test_an_event_that_came_early_answers_one_wait(came, told):
    desk = Desk(a_workflow(TWICE))
    (lock,) = desk.tell("trade.closed")
    for lots in came:
        desk.tell("trade.opened", lots=lots)
    desk.outcome(lock)
    desk.until(MORNING + timedelta(hours=3))

    assert data_of(desk) == [told]


def test_events_that_cannot_answer_a_wait_take_no_room_from_one_that_can():
    desk = Desk(a_workflow(TWICE))
    (lock,) = desk.tell("trade.closed")
    for _ in range(30):
        desk.tell("trade.opened", lots="1")
    desk.tell("trade.opened", lots="6")
    desk.outcome(lock)
    desk.until(MORNING + timedelta(hours=3))

    assert data_of(desk) == ['{"one":"6","two":"0"}']


@pytest.mark.parametrize(
    ("wait", "broken"),
    [
        ("event: trade.opened, where: event.lots > 1, timeout: 1h", "answered_by"),
        ('if: "account.balance > 5", timeout: 1h', "env"),
        ("event: kyc.started, timeout: 1h, on_timeout: fail", "fail"),
    ],
)
def test_a_wait_that_cannot_be_looked_at_ends_its_own_run_and_nothing_else(monkeypatch, wait, broken):
    desk = Desk(waiting(wait, data="a: 1", id="a"), waiting("for: 2h", data="b: 1", id="b"))
    desk.tell("trade.closed", lots="2")
    real = getattr(Run, broken)

    def breaks(run, *given):
        if run.plan.workflow.id == "a":
            raise ArithmeticError("boom")
        return real(run, *given)

    monkeypatch.setattr(Run, broken, breaks)
    desk.tell("trade.opened", lots="2")
    desk.account(balance="9")
    desk.until(MORNING + timedelta(hours=3))

    assert data_of(desk) == ['{"b":1}']
    assert sorted(desk.runs.values()) == ["done", "failed"]
    assert desk.timers == {}


@pytest.mark.parametrize(
    "value",
    [True, False, 7, "x", None, MORNING, timedelta(minutes=3), [1, "a", {"b": MORNING}], {"a": [None, 2]}],
)
def test_a_value_comes_back_as_what_it_was(value):
    assert recall(keep(value)) == value
    assert type(recall(keep(value))) is type(value)


def test_a_key_has_so_many_open_runs_and_no_more():
    desk = Desk(waiting("for: 1d"))
    for _ in range(201):
        desk.tell("trade.closed", lots="2")

    assert list(desk.runs.values()) == ["running"] * 200
    assert [trace.reason for trace in desk.traces("held_back")] == [
        "200 runs of this key are open: the limit, for each is looked at with every event"
    ]


# --- over restarts


class Killed(Engine):
    async def restart(self):
        self.inbox = MemoryInbox(self.log, await self.store.positions("engine"))
        self.loop = EngineLoop(
            self.store, self.log, self.inbox, self.clock, lambda _: [LEASE], compile_version
        )

    async def settle(self):
        await self.loop._store.fire_timers(self.clock.now_us(), 1000)
        await super().settle()


async def test_a_run_keeps_the_version_it_began_with_while_it_waits():
    engine = Killed()
    await engine.loop.activate([waiting("for: 1h", data="version: 1", id="rule")])
    await engine.settle()
    await engine.trade("2")
    await engine.settle()
    await engine.loop.activate([waiting("for: 1h", data="version: 2", id="rule")])
    await engine.settle()
    await engine.restart()
    await engine.clock.advance(HOUR)
    await engine.settle()

    told = [row.body for row in engine.log.ranked(0, 999) if b"custom.after" in row.body]
    assert len(told) == 1
    assert b'"version":1' in told[0]


@pytest.mark.parametrize(("began", "edited"), [("shadow", "live"), ("live", "shadow")])
async def test_a_run_stays_in_the_mode_it_began_in_while_its_file_is_edited(began, edited):
    engine = Killed()
    lock = waiting("for: 1h", data="version: 1", id="rule", mode=began)
    await engine.loop.activate([lock])
    await engine.settle()
    await engine.trade("2")
    await engine.settle()
    await engine.loop.activate([waiting("for: 1h", data="version: 2", id="rule", mode=edited)])
    await engine.settle()
    await engine.restart()
    await engine.clock.advance(HOUR)
    await engine.settle()

    (intent,) = engine.store.intents.values()
    assert (intent.state is State.SHADOW) is (began == "shadow")
    assert any(b"custom.after" in row.body for row in engine.log.ranked(0, 999)) is (began == "live")


KEPT = """
when: [{event: trade.closed, where: event.lots > 0}]
steps:
  - {id: kept, set: {lots: = event.lots, at: = now, half: = event.lots / 2}}
  - {wait: {for: 1h}}
  - {id: pause, wait: {event: trade.opened, where: event.lots == trigger.event.lots, timeout: 1d}}
  - {do: event.publish, with: {type: custom.after, data: {whole: = steps.kept.half + steps.kept.half, opened: "= default(steps.pause.event.lots, 0)"}}}
"""


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 30), st.booleans()), min_size=1, max_size=15))
async def test_no_wait_is_lost_or_doubled_whatever_is_killed(told):
    engine = Killed()
    await engine.loop.activate([a_workflow(KEPT)])
    await engine.settle()
    for deal, (account, lots, killed) in enumerate(told, 1):
        await engine.log.append([a_trade_closed(an_account(login=7000 + account), lots=str(lots), deal=deal)])
        await engine.loop.step()
        await engine.clock.advance(timedelta(minutes=20))
        if killed:
            await engine.restart()
    for _ in range(4):
        await engine.settle()
        await engine.restart()
        await engine.clock.advance(timedelta(hours=13))
    await engine.settle()

    said = [intent for intent in engine.store.intents.values() if intent.verb == "event.publish"]
    assert sorted(run.state for run in engine.store.runs.values()) == ["done"] * len(told)
    wanted = sorted(f"{lots}" for _, lots, _ in told)
    assert (
        sorted(
            bytes(intent.params).decode().split('"whole":"')[1].split('"')[0].split(".")[0] for intent in said
        )
        == wanted
    )
    assert engine.store.timers == {}
