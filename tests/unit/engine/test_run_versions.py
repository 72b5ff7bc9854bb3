"""Open runs go over to the live version: where the place is found again, and nothing is done twice for it."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from unit.engine.desk import MORNING, Desk, a_workflow
from unit.engine.test_loop import Engine
from unit.engine.test_replay import Stored

from hub.bus.log import InputKind, NewInput
from hub.engine.program import Mode
from hub.engine.run_rows import OpenRun
from hub.engine.run_versions import MIGRATE, Order, decode_order, encode_order, place_in
from hub.engine.values import Kind
from hub.errors import RecordMalformed
from hub.intents.intent import State
from hub.testing import a_trade_closed

HOUR = timedelta(hours=1)
HEAD = """
scope: account.currency == "USD"
when: [{id: closed, event: trade.closed}]
limit: {max: 9, every: forever}
steps:
"""
TOLD = "  - {do: event.publish, with: {type: custom.after, data: {said: %s}}}\n"
PAUSE = "  - {id: pause, wait: {for: 2h}}\n"
OLD = HEAD + PAUSE + TOLD % "old"
NEW = HEAD + "  - {id: lever, do: account.set_leverage, with: {leverage: 5}}\n" + PAUSE + TOLD % "new"


class Runs(Desk):
    """A desk whose workflow is edited while one of its runs is open."""

    def __init__(self, text: str, **header: str) -> None:
        super().__init__(a_workflow(text, **header))
        self.account(type="real", group="std", currency="USD", digits=2, leverage=100)

    def go_live(self, text: str, *, mode: Mode | None = None) -> str:
        """Make another version live, as the engine does: the versions of open runs stay at hand."""
        before = self.program.workflows["rule"]
        workflow = a_workflow(text)
        self.switch(workflow if mode is None else replace(workflow, mode=mode))
        self.program.pin(before)
        return workflow.hash

    @property
    def open(self) -> OpenRun:
        (run,) = self.state.open_runs
        return run

    def move(self, version: str, run: str = "", by: str = "Ann") -> None:
        order = Order(run or self.open.id, version, "rule", by)
        self.take(self._input(InputKind.COMMAND, MIGRATE, encode_order(order)))

    def stays(self, text: str) -> str:
        """Order the open run to go over to another text; return why it stays."""
        before = self.open
        version = self.go_live(text)
        self.move(version)
        assert self.open == before
        (trace,) = self.traces("held_back")
        assert self.traces("moved") == []
        return trace.reason

    def restart(self) -> None:
        stored = Stored()
        stored.write(self.decisions)
        self.state = stored.load(self.state.partition, self.state.key)

    @property
    def verbs(self) -> list[str]:
        return [intent.verb for decision in self.decisions for intent in decision.intents]

    @property
    def told(self) -> list[str]:
        return [
            bytes(fact.envelope.data).decode() for fact in self.facts if fact.envelope.type == "custom.after"
        ]


def waiting(text: str = OLD, **header: str) -> Runs:
    desk = Runs(text, **header)
    desk.tell("trade.closed", lots="2")
    return desk


@pytest.mark.parametrize("killed", [False, True])
def test_a_run_that_waits_goes_on_in_the_live_version_and_says_what_is_left_out(killed):
    desk = waiting()
    due = desk.open.wait
    version = desk.go_live(NEW)

    desk.move(version)
    if killed:
        desk.restart()

    assert (desk.open.version, desk.open.position, desk.open.wait) == (version, 1, due)
    (trace,) = desk.traces("moved")
    assert "as Ann ordered; left out: lever (account.set_leverage)" in trace.reason
    row = [run for decision in desk.decisions for run in decision.runs][-1]
    assert (row.version, row.state) == (version, "running")
    desk.until(MORNING + 2 * HOUR)
    assert desk.verbs == ["event.publish"]
    assert desk.told == ['{"said":"new"}']
    assert set(desk.runs.values()) == {"done"}
    assert desk.timers == {}


def test_a_run_that_is_left_alone_keeps_its_version_to_the_end():
    desk = waiting()
    desk.go_live(NEW)

    desk.until(MORNING + 2 * HOUR)

    assert desk.told == ['{"said":"old"}']


ACT = "  - {id: lock, do: account.disable_trading}\n"


def test_a_run_that_waits_for_an_action_takes_its_outcome_in_the_live_version():
    desk = Runs(HEAD + ACT + TOLD % "old")
    (intent,) = desk.tell("trade.closed", lots="2")
    version = desk.go_live(HEAD + "  - {set: {x: 1}, id: values}\n" + ACT + TOLD % "= steps.lock.state")
    desk.move(version)
    desk.restart()

    desk.outcome(intent)

    assert desk.told == ['{"said":"applied"}']
    assert set(desk.runs) == {intent.run}
    assert "left out: values" in desk.traces("moved")[0].reason


def test_results_and_kept_values_keep_their_names():
    first = "  - {id: values, set: {lots: = event.lots}}\n"
    desk = waiting(HEAD + first + PAUSE + TOLD % "old")
    version = desk.go_live(HEAD + first + PAUSE + TOLD % "= steps.values.lots")
    desk.move(version)

    desk.until(MORNING + 2 * HOUR)

    assert desk.told == ['{"said":"2"}']


def test_a_run_in_shadow_stays_in_shadow_under_a_live_version():
    desk = waiting(OLD + ACT, mode="shadow")
    version = desk.go_live(OLD.replace('"old"', '"new"') + ACT)
    desk.move(version)

    intents = desk.until(MORNING + 2 * HOUR)

    assert [(intent.verb, intent.state) for intent in intents] == [
        ("event.publish", State.SHADOW),
        ("account.disable_trading", State.SHADOW),
    ]
    assert desk.told == []


CONDITION = "  - {id: pause, wait: {if: account.leverage > %s, timeout: 1d}}\n"


def test_a_condition_that_holds_in_the_live_version_is_asked_at_once():
    desk = waiting(HEAD + CONDITION % 500 + TOLD % "old")
    version = desk.go_live(HEAD + CONDITION % 50 + TOLD % "new")

    desk.move(version)

    assert desk.told == ['{"said":"new"}']
    assert desk.timers == {}
    assert set(desk.runs.values()) == {"done"}


def test_a_place_inside_a_condition_is_found_there():
    desk = waiting()
    inside = "  - if: event.lots > 100\n    then:\n      - {id: pause, wait: {for: 9h}}\n"
    version = desk.go_live(HEAD + inside + TOLD % "new")
    desk.move(version)

    desk.until(MORNING + 2 * HOUR)  # as long as it began to wait

    assert desk.told == ['{"said":"new"}']


PAY = "  - {id: pay, do: credit.grant, with: {amount: 5}}\n"
NAMELESS = "  - {do: account.set_leverage, with: {leverage: 7}}\n"
BRANCHES = "  - parallel:\n      - [{id: pause, wait: {for: 2h}}]\n      - [{id: other, wait: {for: 3h}}]\n"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (OLD, HEAD + TOLD % "new", "step pause is not in the live version"),
        (OLD, HEAD + "  - {id: pause, do: account.disable}\n", "step pause is wait: for in its version and account.disable"),
        (OLD, HEAD + CONDITION % 1, "step pause is wait: for in its version and wait: if in the live one"),
        (OLD, HEAD + "  - {id: pause, wait: {event: trade.opened, timeout: 1d}}\n", "wait: event trade.opened"),
        (OLD, HEAD + BRANCHES, "step pause stands in branches (parallel, for_each) in the live version"),
        (OLD, HEAD + ACT + "on_error:\n" + PAUSE, "under `on_error` in only one of the two versions"),
        (OLD, NEW.replace("id: closed", "id: other"), "trigger closed, which it began by, is not in the live version"),
        (OLD, NEW.replace("event: trade.closed", "event: trade.opened"), "trigger closed, which it began by, is another"),
    ],
)  # fmt: skip
def test_a_run_whose_place_is_not_there_or_is_another_stays_on_its_version(old, new, why):
    desk = waiting(old)

    assert why in desk.stays(new)

    desk.until(MORNING + 2 * HOUR)
    assert desk.told == ['{"said":"old"}']


@pytest.mark.parametrize(
    ("done", "new", "why"),
    [
        (PAY, PAUSE + PAY, "step pay (credit.grant) is behind it, and ahead of it in the live version"),
        (
            NAMELESS,
            "  - {set: {x: 1}, id: values}\n" + PAUSE + NAMELESS,
            "has no id, and is not in its place",
        ),
        (NAMELESS, "  - {do: account.disable}\n" + PAUSE, "has no id, and is not in its place"),
    ],
)
def test_a_run_is_not_brought_before_a_step_it_has_been_past(done, new, why):
    desk = Runs(HEAD + done + PAUSE)
    (intent,) = desk.tell("trade.closed", lots="2")
    desk.outcome(intent)

    assert why in desk.stays(HEAD + new)


def test_a_nameless_step_that_is_where_it_was_holds_up_nothing():
    desk = Runs(HEAD + NAMELESS + PAUSE)
    (intent,) = desk.tell("trade.closed", lots="2")
    desk.outcome(intent)
    desk.move(desk.go_live(HEAD + NAMELESS + PAUSE + TOLD % "new"))

    desk.until(MORNING + 2 * HOUR)

    assert desk.verbs == ["account.set_leverage", "event.publish"]
    assert desk.told == ['{"said":"new"}']


def test_a_run_in_branches_stays():
    desk = Runs(HEAD + BRANCHES)
    desk.tell("trade.closed", lots="2")
    version = desk.go_live(HEAD + BRANCHES + TOLD % "new")
    for run in list(desk.state.open_runs):
        desk.move(version, run.id)

    assert {trace.reason.partition(": ")[2] for trace in desk.traces("held_back")} == {
        "it stands in branches (parallel, for_each), which end as they began"
    }
    assert all(run.version != version for run in desk.state.open_runs)


ASKS = "  - {id: sign_off, approve: {permission: money.approve, within: 24h}}\n"


def test_a_run_that_waits_for_an_approval_stays():
    desk = waiting(HEAD + ASKS + PAY)

    assert "it waits for an approval (step sign_off)" in desk.stays(HEAD + ASKS + PAY + TOLD % "new")


def test_what_people_have_approved_is_done_as_they_saw_it():
    desk = waiting(HEAD + PAUSE + PAY)
    run = replace_run(desk, approved={"pay": {}})
    version = desk.go_live(HEAD + PAUSE + PAY + TOLD % "new")
    old, new = desk.program.version(run.version, "rule"), desk.program.plans["rule"]

    assert place_in(old, new, run) == "people have approved step pay as its own version has it"
    assert new.workflow.hash == version


def test_a_run_that_takes_back_what_it_did_stays():
    desk = waiting()
    run = replace_run(desk, undoing={"step": "a", "message": "b"})
    desk.go_live(NEW)
    old, new = desk.program.version(run.version, "rule"), desk.program.plans["rule"]

    assert place_in(old, new, run) == "it is taking back what it did"


def replace_run(desk: Runs, **changes: object) -> OpenRun:
    return msgspec.structs.replace(desk.open, **changes)


def test_a_version_that_is_not_live_any_more_is_gone_over_to_by_nobody():
    desk = waiting()
    version = desk.go_live(NEW)
    desk.go_live(NEW + ACT)
    desk.program.pin(a_workflow(OLD))

    desk.move(version)

    (trace,) = desk.traces("held_back")
    assert "is not the live one any more" in trace.reason
    assert desk.open.version == a_workflow(OLD).hash


@pytest.mark.parametrize("is_off", [True, False])
def test_a_run_whose_version_or_workflow_is_gone_stays_with_the_reason(is_off):
    desk = waiting()
    version = desk.go_live(NEW, mode=Mode.OFF if is_off else None)
    if not is_off:
        desk.switch(a_workflow(NEW))  # nobody has its version at hand

    desk.move(version)

    (trace,) = desk.traces("held_back")
    assert ("has no live version" if is_off else "cannot be loaded any more") in trace.reason


def test_an_order_for_a_run_that_has_ended_says_so_and_one_given_twice_changes_nothing():
    desk = waiting()
    version = desk.go_live(NEW)
    name = desk.open.id
    desk.move(version)
    before = desk.open
    desk.move(version)
    assert desk.open == before
    assert len(desk.traces("moved")) == 1

    desk.until(MORNING + 2 * HOUR)
    desk.move(version, name)

    assert [trace.reason for trace in desk.traces("held_back")] == [
        "stays on its version, as Ann ordered: it is not open: it has come to its end"
    ]


@pytest.mark.parametrize("body", [b"{", b'{"run": "a"}', b'{"run":"a","version":"b","workflow":"c","x":1}'])
def test_what_is_no_order_is_refused(body):
    with pytest.raises(RecordMalformed, match="not an order"):
        decode_order(body)


def test_an_order_beyond_all_bounds_is_not_read():
    with pytest.raises(RecordMalformed, match="at most"):
        decode_order(encode_order(Order("r" * 20_000, "v", "w")))


def test_a_run_that_breaks_where_it_arrives_ends_alone(monkeypatch):
    desk = waiting(HEAD + CONDITION % 500 + TOLD % "old")
    version = desk.go_live(HEAD + CONDITION % 50 + TOLD % "new")
    monkeypatch.setattr("hub.engine.waits._pass", lambda *_, **__: 1 / 0)

    desk.move(version)

    assert desk.state.open_runs == ()
    assert set(desk.runs.values()) == {"failed"}


def moved() -> str:
    desk = Runs(HEAD + PAY + "  - {id: values, set: {b: 1, a: 2, c: 3}}\n" + PAUSE)
    (intent,) = desk.tell("trade.closed", lots="2")
    desk.outcome(intent)
    version = desk.go_live(NEW.replace("steps:\n", "steps:\n" + PAY))
    desk.move(version)
    desk.until(MORNING + 2 * HOUR)
    assert desk.traces("moved")
    return repr([rows[:-1] for rows in desk.written()])


def test_two_hash_seeds_move_runs_alike():
    tests = Path(__file__).parents[2]

    def under(seed):
        return subprocess.run(
            [sys.executable, "-c", "from unit.engine.test_run_versions import moved; print(moved())"],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    assert under("1") == under("4711") == f"{moved()}\n"


async def test_an_engine_that_is_killed_between_order_and_end_goes_on_in_the_live_version():
    engine = Engine()
    await engine.loop.activate([a_workflow(OLD)])
    await engine.settle()
    await engine.log.append([a_trade_closed(lots="2")])
    await engine.settle()
    live = a_workflow(NEW)
    await engine.loop.activate([live])
    await engine.settle()
    (row,) = engine.store.runs.values()
    order = encode_order(Order(row.id, live.hash, "rule"))
    await engine.log.append((), inputs=[NewInput(row.partition, InputKind.COMMAND, row.key, MIGRATE, order)])
    await engine.restart()
    await engine.settle()
    await engine.restart()

    await engine.clock.advance(2 * HOUR)
    for _ in range(5):
        await engine.store.fire_timers(engine.clock.now_us(), 100)
        await engine.settle()

    (row,) = engine.store.runs.values()
    assert (row.version, row.state) == (live.hash, "done")
    assert len(engine.traces("moved")) == 1
    assert (Kind.RUN.value, row.id) not in {where[2:] for where in engine.store._states}
