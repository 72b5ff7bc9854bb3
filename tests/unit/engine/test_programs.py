"""What decides a partition, asked by those who do not decide: beside the loop, and in processes that have none."""

import asyncio

import pytest
from unit.engine.desk import a_workflow
from unit.engine.test_loop import Engine, compile_version

from hub.engine.programs import Programs

HERE = 7


def larger_than(lots):
    return a_workflow(
        f"when: [{{event: trade.closed, where: event.lots > {lots}}}]\nsteps: [{{do: account.disable}}]"
    )


OLD, NEW = larger_than(1), larger_than(2)


@pytest.fixture
async def engine():
    engine = Engine()
    await engine.loop.activate([OLD])
    await engine.settle()
    return engine


def versions(program):
    return [plan.workflow.hash for each in program.all_kinds for plan in each.plans.values()]


async def deciding(programs):
    program, _ = await programs.standing(HERE)
    return set(versions(program))


async def test_where_no_loop_runs_it_is_asked_for_each_time(engine):
    elsewhere = Programs(engine.store, compile_version)
    assert await deciding(elsewhere) == {OLD.hash}

    await engine.loop.activate([NEW])
    await engine.settle()

    assert await deciding(elsewhere) == {NEW.hash}


async def test_whoever_asked_before_it_changed_does_not_have_the_loop_go_on_with_what_was(engine):
    loop, load, let = engine.loop, engine.store.load, asyncio.Event()

    async def late(keys):
        found = await load(keys)
        await let.wait()
        return found

    loop.forget()
    engine.store.load = late
    asked = asyncio.create_task(deciding(loop.programs))
    await asyncio.sleep(0)
    engine.store.load = load
    await loop.activate([NEW])
    await engine.settle()

    loop.forget()  # as where a commit fails
    let.set()
    assert await asked == {OLD.hash}
    await loop.begin()

    assert set(versions(loop.programs.of(HERE))) == {NEW.hash}
