"""What was switched off is kept by every store, and changed by one at a time; and a start asked for anywhere is one run."""

import asyncio
from datetime import timedelta

import pytest
from conformance.backends import PostgresBackend, StoreBackend
from conformance.test_engine_on_disk import Process
from unit.control.test_control import an_intent
from unit.engine.desk import a_workflow

from hub.control.control import Control
from hub.engine.keys import partition_of
from hub.engine.live_files import LiveFiles
from hub.engine.load import LoadedSet
from hub.engine.load_text import load_text
from hub.engine.starting import StartRefused
from hub.engine.values import Kind
from hub.intents.breakers import Rule
from hub.intents.gate import Go, Hold, Refuse
from hub.intents.intent import State
from hub.rounds import Rounds
from hub.start_desk import StartDesk

RULE = Rule(10, "money", timedelta(minutes=5))
REFUND = """
when: [{manual: {inputs: {amount: {type: number}}}}]
run: {mode: queued}
steps: [{wait: {for: 1h}}, {do: event.publish, with: {type: custom.refund, data: {amount: = trigger.inputs.amount}}}]
"""
BONUS = """
when: [{event: trade.closed}]
trip: {more_than: 1, risk: account, within: 5m}
steps: [{do: account.disable}]
"""


def control(backend: StoreBackend) -> Control:
    made = Control(backend.store.switches, backend.clock, backend.store.log)
    made.rules = {"bonus": RULE}
    return made


async def test_a_halt_outlives_the_process(store: StoreBackend) -> None:
    await control(store).halt("key_1", "wrong prices")
    await store.reopen()

    assert await control(store).ask(an_intent()) == Hold("halted by key_1: wrong prices")

    await control(store).resume("key_2", "mended")
    await store.reopen()
    again = control(store)
    assert await again.ask(an_intent()) == Go()
    assert again.stands.resumed is not None
    assert again.stands.resumed.because == "mended"


@pytest.mark.usefixtures("late_answers")
async def test_a_breaker_counts_exactly_however_many_ask_at_once_and_stays_tripped(
    store: StoreBackend,
) -> None:
    desks = [control(store) for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(desks[n % 3].ask(an_intent(n))) for n in range(30)]

    assert sum(task.result() == Go() for task in tasks) == 10
    await store.reopen()
    assert isinstance(await control(store).ask(an_intent(99)), Refuse)


async def test_a_run_somebody_started_waits_its_turn_over_restarts_and_twice_asked_is_once_run(
    store: StoreBackend,
) -> None:
    process = Process(store)
    await process.start()
    await process.loop.activate([a_workflow(REFUND, id="refund")])
    await process.trade("1")
    await process.settle()

    async def asks(amount: str, name: str, key: str = "live-1:7001") -> tuple[str, bool]:
        desk = StartDesk(process.loop.programs, store.store.engine, store.store.log)
        asked = await desk.start(
            "refund",
            key,
            trigger=None,
            inputs={"amount": amount},
            name=name,
            by="me",
            permits=lambda _: False,
        )
        await process.settle()
        assert asked is not None
        return asked.run, asked.duplicate

    first, _ = await asks("1", "a")
    second, new = await asks("2", "b")
    assert await asks("2", "b") == (second, True)
    assert not new
    with pytest.raises(StartRefused, match="used before, with other inputs"):
        await asks("3", "b")
    with pytest.raises(StartRefused, match="nothing was ever heard of"):
        await asks("3", "c", "live-1:9999")

    assert await states(store, first, second) == ["running", "queued"]
    await process.restart()
    assert await states(store, first, second) == ["running", "queued"]
    await process.clock.advance(timedelta(hours=1))
    await process.settle()
    assert await states(store, first, second) == ["done", "running"]
    await process.restart()
    await process.clock.advance(timedelta(hours=1))
    await process.settle()
    assert await states(store, first, second) == ["done", "done"]
    rows = (await store.store.engine.load([(partition_of("live-1:7001"), "live-1:7001")]))["live-1:7001"]
    assert not [kind for kind, _, _ in rows.states if kind in {Kind.QUEUE, Kind.RUN}]


async def test_a_workflow_that_tripped_goes_on_in_shadow_until_it_is_reset_over_restarts_too(
    store: StoreBackend,
) -> None:
    process = Process(store)
    await process.start()
    workflow = a_workflow(BONUS, id="bonus")
    files = LiveFiles.fixed(LoadedSet((workflow,), ()))

    async def begin() -> tuple[Control, Rounds]:
        made = Control(store.store.switches, store.clock, store.store.log)
        await made.look()
        rounds = Rounds(made, store.clock, process.loop.programs, files, process.loop.activate)
        await rounds.make_live([workflow])
        await rounds.look()
        await process.settle()
        return made, rounds

    async def asked_for(login: int) -> State:
        await process.trade("1", login=login)
        await process.settle()
        (intent,) = [each for each in await process.intents() if each.account == f"live-1:{login}"]
        return intent.state

    gate, rounds = await begin()
    assert await asked_for(7001) is State.READY
    answers = [await gate.ask(an_intent(n, verb="account.disable")) for n in range(2)]
    assert [type(answer) for answer in answers] == [Go, Refuse]
    await rounds.look()
    await process.settle()
    assert await asked_for(7002) is State.SHADOW

    await process.restart()
    gate, rounds = await begin()
    assert await asked_for(7003) is State.SHADOW

    await gate.reset("bonus", "me", "looked")
    await rounds.look()
    await process.settle()
    assert await asked_for(7004) is State.READY


async def test_a_workflow_whose_file_was_broken_meanwhile_is_stopped_and_let_go_on_as_any_other(
    store: StoreBackend,
) -> None:
    process = Process(store)
    await process.start()
    workflow = a_workflow(BONUS, id="bonus")
    gate = Control(store.store.switches, store.clock, store.store.log)
    broken = LiveFiles.fixed(LoadedSet((), (load_text("schema: 1\nid: bonus\n", "bonus.yaml"),)))
    assert broken.loaded.unread == (("bonus.yaml", "bonus"),)
    rounds = Rounds(gate, store.clock, process.loop.programs, broken, process.loop.activate)
    await rounds.make_live([workflow])
    await rounds.make_live((), broken.loaded.unread)
    await rounds.look()
    await process.settle()

    async def asked_for(login: int) -> State:
        await process.trade("1", login=login)
        await process.settle()
        (intent,) = [each for each in await process.intents() if each.account == f"live-1:{login}"]
        return intent.state

    assert await asked_for(7001) is State.READY
    for n in range(2):
        await gate.ask(an_intent(n, verb="account.disable"))
    await rounds.look()
    await process.settle()
    assert await asked_for(7002) is State.SHADOW

    await gate.reset("bonus", "me", "looked")
    await rounds.look()
    await process.settle()
    assert await asked_for(7003) is State.READY


async def test_a_start_reaches_the_owner_from_a_process_that_owns_nothing(postgres: PostgresBackend) -> None:
    from hub.scaled.owned import Nothing
    from hub.store.postgres.log import PostgresLog

    process = Process(postgres)
    await process.start()
    await process.loop.activate([a_workflow(REFUND, id="refund")])
    await process.trade("1")
    await process.settle()
    far = PostgresLog(postgres.store.database, postgres.clock, Nothing())
    desk = StartDesk(process.loop.programs, postgres.store.engine, far)

    asked = await desk.start(
        "refund",
        "live-1:7001",
        trigger=None,
        inputs={"amount": "1"},
        name="n",
        by="me",
        permits=lambda _: False,
    )
    await process.settle()

    assert asked is not None
    assert await states(postgres, asked.run) == ["running"]


async def states(backend: StoreBackend, *runs: str) -> list[str]:
    found = [await backend.store.engine.run(run) for run in runs]
    return [run.state if run is not None else "none" for run in found]
