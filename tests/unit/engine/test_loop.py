"""The loop on a store in memory: one transaction a batch, nothing lost or doubled by a crash, nothing stopped by poison."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import final

import msgspec
import pytest
from unit.engine.desk import MORNING, a_workflow

from hub.bus.lease import Lease
from hub.bus.log import InputKind, NewInput
from hub.clock import Clock, ManualClock, to_us
from hub.engine.decision import Verdict, decode_trace
from hub.engine.load_text import load_text
from hub.engine.loop import (
    CROWD,
    LOOK_AT_THE_CLOCK_EVERY,
    MAX_INPUTS,
    MAX_SECONDS,
    PACE_SECONDS,
    EngineLoop,
)
from hub.engine.memory import MemoryEngineStore, MemoryInbox, MemoryLog
from hub.engine.program import Mode
from hub.errors import ConfigError, LeaseLost, StoreRefused, StoreUnavailable
from hub.intents.intent import State
from hub.intents.outcome import Outcome, encode_outcome
from hub.testing import a_deposit, a_trade_closed, an_account

LEASE = Lease("partitions", "this process", 1, 2**62)
BONUS = """
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: {sliding: 7d}}
when: [{becomes: lots > 20}]
limit: {max: 9, every: forever}
steps:
  - {id: lock, do: account.disable_trading}
  - {do: event.publish, with: {type: custom.done, data: {lots: = lots}}}
"""


def compile_version(text, name):
    workflow = load_text(text, name).workflow
    if workflow is None:
        raise ConfigError(f"{name} does not load")
    return workflow


class Engine:
    """An engine that can be killed and started again over what it stored."""

    def __init__(self):
        self.clock = ManualClock(MORNING)
        self.log = MemoryLog(self.clock)
        self.store = MemoryEngineStore(self.log)
        self.levels = []
        self.batches = []
        self.start([0] * 64)

    def start(self, positions):
        self.inbox = MemoryInbox(self.log, positions)
        self.loop = EngineLoop(
            self.store,
            self.log,
            self.inbox,
            self.clock,
            lambda _partitions: [LEASE],
            compile_version,
            on_levels=self.levels.extend,
            on_committed=self.batches.append,
        )

    async def restart(self):
        self.start(await self.store.positions("engine"))
        await self.loop.begin()

    async def settle(self):
        while self.inbox.backlog() or self.loop.waiting or self.loop.changing:
            await self.loop.step()

    async def trade(self, lots, **fields):
        await self.log.append([a_trade_closed(lots=lots, **fields)])

    def traces(self, verdict):
        return [decode_trace(row.body) for row in self.store.trace_rows.values() if row.outcome == verdict]


@pytest.fixture
async def engine():
    engine = Engine()
    await engine.loop.activate([a_workflow(BONUS, id="bonus")])
    await engine.settle()
    return engine


async def test_inputs_are_decided_in_order_and_each_sees_the_one_before(engine):
    await engine.trade("12")
    await engine.trade("13")

    assert await engine.loop.step() == 2

    (intent,) = engine.store.intents.values()
    assert intent.verb == "account.disable_trading"
    (batch,) = [batch for batch in engine.batches if batch.intents]
    assert batch.positions
    assert batch.runs[0].state == "running"


@final
class HurriedClock(Clock):
    """A clock by which every look is too late for a batch; it counts how often others were given their turn."""

    def __init__(self):
        self.looks = self.turns = 0

    def now(self):
        return MORNING

    def now_us(self):
        return to_us(MORNING)

    def monotonic(self):
        self.looks += 1
        return self.looks * MAX_SECONDS * 2

    async def sleep(self, duration):
        assert not duration
        self.turns += 1


async def test_a_batch_that_takes_long_is_cut_short_unless_much_more_is_waiting_behind_it(engine):
    engine.loop._clock = clock = HurriedClock()
    for deal in range(1, 3 * MAX_INPUTS + 1):
        await engine.trade("0.01", deal=deal)

    far_behind = await engine.loop.step()
    turns = clock.turns
    await engine.loop.step()
    nearly_there = await engine.loop.step()

    assert far_behind == MAX_INPUTS
    assert turns == MAX_INPUTS // LOOK_AT_THE_CLOCK_EVERY
    assert nearly_there == LOOK_AT_THE_CLOCK_EVERY


async def test_a_restart_forgets_nothing(engine):
    await engine.trade("12")
    await engine.settle()
    await engine.restart()
    await engine.trade("13")
    await engine.settle()
    await engine.restart()
    await engine.trade("1")
    await engine.settle()

    assert len(engine.store.intents) == 1


async def test_deciding_again_from_any_point_asks_for_nothing_twice(engine):
    for lots in ("12", "13", "5"):
        await engine.trade(lots)
    await engine.settle()
    intents = dict(engine.store.intents)
    facts = engine.log.heads()

    engine.start([0] * 64)
    engine.store._positions = [0] * 64
    engine.store._states.clear()
    engine.store._series.clear()
    engine.loop.programs.forget()
    await engine.settle()

    assert engine.store.intents == intents
    assert engine.log.heads() == facts


class Unsafe(Exception):
    pass


@pytest.mark.parametrize("problem", [StoreUnavailable("disk full"), Unsafe("killed")])
async def test_a_commit_that_fails_leaves_nothing_and_is_decided_again(engine, monkeypatch, problem):
    await engine.trade("12")
    await engine.settle()
    await engine.trade("13")
    commit = engine.store.commit

    async def fails(batch, lease):
        raise problem

    monkeypatch.setattr(engine.store, "commit", fails)
    with pytest.raises(type(problem)):
        await engine.loop.step()
    assert engine.store.intents == {}
    monkeypatch.setattr(engine.store, "commit", commit)
    await engine.settle()

    (intent,) = engine.store.intents.values()
    assert intent.key.endswith("/becomes/1/lock")


async def test_another_owner_stops_us_and_nothing_of_ours_is_written(engine):
    engine.store.epoch = 2
    await engine.trade("25")

    with pytest.raises(LeaseLost):
        await engine.loop.step()

    assert engine.store.intents == {}


async def test_an_input_that_cannot_be_decided_is_set_aside_and_said(engine):
    fact = a_trade_closed(lots="1")
    await engine.log.append([], inputs=[NewInput(fact.partition, InputKind.OUTCOME, fact.account, "x", b"{")])
    await engine.trade("25")

    await engine.settle()

    assert len(engine.store.intents) == 1
    (trace,) = engine.traces(Verdict.FAILED)
    assert trace.reason.startswith("could not be decided and was set aside: RecordMalformed: not an outcome")
    assert engine.loop.counters.quarantined == 1


async def test_what_can_never_be_stored_is_found_and_set_aside(engine, monkeypatch):
    commit = engine.store.commit

    async def picky(batch, lease):
        if batch.intents:
            raise StoreRefused("too big")
        await commit(batch, lease)

    monkeypatch.setattr(engine.store, "commit", picky)
    await engine.trade("12")
    await engine.trade("13")
    await engine.trade("1", account=an_account(login=9))

    await engine.settle()

    assert not engine.inbox.backlog()
    assert engine.loop.counters.quarantined == 1
    assert await engine.store.keys(a_trade_closed(account=an_account(login=9)).partition, "", 10)


async def test_an_outcome_after_a_restart_goes_on_with_the_version_it_began_with(engine):
    await engine.trade("25")
    await engine.settle()
    (intent,) = engine.store.intents.values()
    edited = BONUS.replace("custom.done", "custom.edited")
    await engine.loop.activate([a_workflow(edited, id="bonus")])
    await engine.settle()
    await engine.restart()

    body = encode_outcome(Outcome(intent=intent.key, verb=intent.verb, state=State.APPLIED.value))
    await engine.log.append(
        [], inputs=[NewInput(intent.partition, InputKind.OUTCOME, intent.account, intent.key, body)]
    )
    await engine.settle()

    last = list(engine.store.intents.values())[-1]
    assert msgspec.json.decode(last.params)["type"] == "custom.done"
    assert engine.store.runs[intent.run].state == "done"


async def test_published_events_and_outcomes_are_in_the_log(engine):
    await engine.trade("25")
    await engine.settle()
    (intent,) = engine.store.intents.values()
    body = encode_outcome(Outcome(intent=intent.key, verb=intent.verb, state=State.APPLIED.value))
    await engine.log.append(
        [], inputs=[NewInput(intent.partition, InputKind.OUTCOME, intent.account, intent.key, body)]
    )

    await engine.settle()

    rows = [row for row in engine.log.ranked(0, 1000) if row.kind == InputKind.EVENT]
    types = [msgspec.json.decode(row.body)["type"] for row in rows]
    assert types == ["trade.closed", "action.applied", "custom.done"]
    assert [row.sequence for row in rows] == [1, 2, 3]


async def test_a_due_timer_becomes_an_input_of_its_own(engine):
    await engine.trade("25")
    await engine.settle()
    await engine.clock.advance(timedelta(days=8))

    await engine.loop.step()

    assert [trace.reason for trace in engine.traces(Verdict.ARMED)] == ["lots > 20 is false (0 > 20)"]
    assert engine.store.timers == {}


async def test_levels_are_handed_out_after_the_commit_and_go_with_the_workflow(engine):
    await engine.log.append([a_deposit(amount="100")])
    alert = "when: [{crosses: {value: account.equity, below: 50}}]\nsteps: [{do: event.publish, with: {type: custom.x}}]"
    await engine.loop.activate([a_workflow(alert, id="alert")])
    await engine.settle()
    assert [(level.threshold, level.state) for level in engine.levels] == [("50", "new")]
    assert engine.levels == await engine.store.levels()

    await engine.loop.activate([])
    await engine.settle()

    assert await engine.store.levels() == []
    assert engine.levels[-1].state == "gone"


async def test_activating_the_same_workflows_again_changes_nothing(engine):
    assert await engine.loop.activate([a_workflow(BONUS, id="bonus")]) is False
    assert await engine.loop.activate([a_workflow(BONUS, id="bonus", mode="shadow")]) is True


async def test_a_mode_set_apart_from_the_file_outlives_a_restart():
    engine = Engine()
    await engine.loop.activate([replace(a_workflow(BONUS, id="bonus"), mode=Mode.SHADOW)])
    await engine.settle()
    await engine.restart()

    await engine.trade("25")
    await engine.settle()

    assert {intent.state for intent in engine.store.intents.values()} == {State.SHADOW}


async def test_a_small_cache_gives_the_same_answers():
    engine = Engine()
    engine.loop._cache._most = 1
    await engine.loop.activate([a_workflow(BONUS, id="bonus")])
    for lots in ("12", "13"):
        for login in range(1, 6):
            await engine.trade(lots, account=an_account(login=login))
            await engine.settle()

    assert len(engine.loop._cache) == 1
    assert len(engine.store.intents) == 5


async def test_the_loop_runs_until_it_is_told_to_stop(engine):
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.loop.run(stopping))
        await engine.trade("25")
        for _ in range(200):
            if engine.store.intents:
                break
            await asyncio.sleep(0)
        stopping.set()
        engine.inbox.stop()

    assert len(engine.store.intents) == 1


async def test_what_is_decided_in_a_partition_whose_clock_ran_ahead_is_due_by_now(engine):
    await engine.trade("12")
    await engine.settle()
    engine.clock.__init__(MORNING - timedelta(days=1))
    await engine.trade("13")
    await engine.settle()

    (intent,) = engine.store.intents.values()

    assert intent.at > to_us(engine.clock.now())
    assert intent.due <= to_us(engine.clock.now())


async def decided_at_once(engine, first, behind):
    """Have `first` inputs decided in one batch, bring `behind` more; return how many batches there are before time moves."""
    stopping = asyncio.Event()
    engine.batches.clear()
    for deal in range(1, first + 1):
        await engine.trade("0.01", deal=deal)
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.loop.run(stopping))
        await engine.clock.advance(timedelta())
        assert len(engine.batches) == 1
        for deal in range(first + 1, first + behind + 1):
            await engine.trade("0.01", deal=deal)
        await engine.clock.advance(timedelta())
        found = len(engine.batches)
        await engine.clock.advance(timedelta(seconds=PACE_SECONDS))
        assert not engine.inbox.backlog()
        stopping.set()
        engine.inbox.stop()
        await engine.clock.advance(timedelta(seconds=PACE_SECONDS))
    return found


async def test_after_a_crowd_the_next_batch_gathers_for_a_moment(engine):
    assert await decided_at_once(engine, first=CROWD, behind=3) == 1


async def test_what_comes_by_a_few_is_decided_as_it_comes(engine):
    assert await decided_at_once(engine, first=CROWD - 1, behind=3) == 2


async def test_after_a_crowd_nobody_waits_where_as_many_are_there_already(engine):
    engine.batches.clear()
    for deal in range(1, 2 * MAX_INPUTS + 1):
        await engine.trade("0.01", deal=deal)
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.loop.run(stopping))
        await engine.clock.advance(timedelta())
        decided = engine.loop.counters.decided - 64  # workflows went live in every partition
        stopping.set()
        engine.inbox.stop()
        await engine.clock.advance(timedelta(seconds=PACE_SECONDS))

    assert decided == 2 * MAX_INPUTS
