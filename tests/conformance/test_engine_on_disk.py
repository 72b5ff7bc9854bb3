"""The whole engine on the real store: it is stopped and started again, and nobody can tell."""

from datetime import timedelta

import msgspec
import pytest
from unit.engine.desk import a_workflow
from unit.engine.test_loop import BONUS, compile_version

from hub.bus.log import InputKind, NewInput
from hub.engine.loop import EngineLoop
from hub.intents.intent import State
from hub.intents.outcome import Outcome, encode_outcome
from hub.testing import a_trade_closed, an_account

ALERT = """
when: [{crosses: {value: account.equity, below: 50}}]
steps: [{do: event.publish, with: {type: custom.x}}]
"""


class Process:
    """One process after another over one store."""

    def __init__(self, backend):
        self.backend = backend
        self.clock = backend.clock
        self.levels = []

    async def start(self):
        self.store = self.backend.store
        lease = await self.backend.lease(duration=timedelta(days=1))
        self.inbox = self.store.follow(await self.store.engine.positions("engine"))
        self.loop = EngineLoop(
            self.store.engine,
            self.store.log,
            self.inbox,
            self.clock,
            lambda _partitions: [lease],
            compile_version,
            on_levels=self.levels.extend,
        )

    async def restart(self):
        await self.backend.reopen()
        await self.start()

    async def settle(self):
        await self.backend.take_in()
        await self.store.engine.fire_timers(self.clock.now_us(), 1000)
        while self.inbox.backlog() or self.loop.waiting or self.loop.changing:
            await self.loop.step()
            await self.backend.take_in()

    async def trade(self, lots, login=7001):
        await self.store.log.append([a_trade_closed(lots=lots, account=an_account(login=login))])

    async def intents(self):
        return [each for state in State for each in await self.store.intents.in_state(state, 100)]


@pytest.fixture
async def process(store):
    process = Process(store)
    await process.start()
    await process.loop.activate([a_workflow(BONUS, id="bonus"), a_workflow(ALERT, id="alert")])
    await process.settle()
    return process


async def test_a_process_that_follows_another_goes_on_where_it_stopped(process):
    await process.trade("12")
    await process.settle()
    await process.restart()
    await process.trade("13")
    await process.settle()
    await process.restart()
    await process.trade("4")
    await process.settle()

    (intent,) = await process.intents()
    assert intent.key == "bonus/live-1:7001/becomes/1/lock"

    body = encode_outcome(Outcome(intent=intent.key, verb=intent.verb, state="applied"))
    told = NewInput(intent.partition, InputKind.OUTCOME, intent.account, intent.key, body)
    await process.store.log.append([], inputs=[told])
    await process.settle()

    rows = await process.store.log.scan(0, 1000)
    types = [msgspec.json.decode(row.body)["type"] for row in rows if row.kind == InputKind.EVENT]
    run = await process.store.engine.run(intent.run)
    assert types == ["trade.closed"] * 3 + ["action.applied", "custom.done"]
    assert run is not None
    assert run.state == "done"


async def test_timers_and_levels_outlive_the_process(process):
    await process.trade("25")
    await process.settle()
    assert [level.state for level in process.levels] == ["new"]
    await process.restart()
    assert process.store.engine.next_timer() is not None

    await process.clock.advance(timedelta(days=8))
    await process.settle()

    traces = await process.store.engine.traces(workflow="bonus", key="live-1:7001", limit=10)
    assert [trace.outcome for trace in traces] == ["armed", "fired"]
    assert len(await process.store.engine.levels()) == 1


async def test_many_accounts_each_fire_once(process):
    for lots in ("12", "13"):
        for login in range(1, 40):
            await process.trade(lots, login)
    await process.settle()

    assert len({intent.account for intent in await process.intents()}) == 39


BY_GROUP = """
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: lifetime}
when: [{event: trade.closed, where: lots > 30}]
steps: [{do: account.disable_trading}]
"""


async def test_accounts_of_all_partitions_are_counted_for_a_group_whenever_the_process_is_stopped(process):
    async def closes(login, lots):
        account = an_account(login=login, group="real")
        await process.store.log.append([a_trade_closed(lots=lots, account=account)])

    for login in range(1, 11):
        await closes(login, "2")
    await process.settle()
    await process.loop.activate([a_workflow(BY_GROUP, id="group", key="group")])
    await closes(11, "10")
    await process.backend.take_in()
    for steps in (3, 40, 90):
        for _ in range(steps):
            if process.inbox.backlog() or process.loop.waiting or process.loop.changing:
                await process.loop.step()
                await process.backend.take_in()
        await process.restart()
        await process.loop.begin()
    await process.settle()
    assert await process.intents() == []

    await closes(12, "1")
    await process.settle()

    (intent,) = await process.intents()
    assert intent.account == "live-1:12"
