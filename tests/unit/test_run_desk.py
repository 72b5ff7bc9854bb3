"""The desk that has runs go over: the same answer before and after, and nothing is sent by a dry run."""

import asyncio
from datetime import timedelta

import pytest
from unit.engine.desk import a_workflow
from unit.engine.test_loop import Engine
from unit.engine.test_run_versions import ASKS, BRANCHES, HEAD, NEW, OLD, PAUSE, TOLD

from hub.bus.pages import Page
from hub.run_desk import RunDesk
from hub.testing import a_trade_closed, an_account
from hub.views import Browser


class Pages(Browser):
    """Runs by twos, the newest first."""

    def __init__(self, store):
        self.store = store

    async def runs(self, *, after, limit, workflow="", key="", state=""):
        found = [
            run
            for run in self.store.runs.values()
            if (run.workflow, run.state) == (workflow, state) and key in {"", run.key}
        ]
        start = int(after or 0)
        return Page(found[start : start + 2], str(start + 2) if len(found) > start + 2 else None)

    async def sequence(self, account):
        return 0


class Desk:
    def __init__(self):
        self.engine = Engine()
        self.runs = self._desk()

    def _desk(self):
        engine = self.engine
        return RunDesk(engine.store, Pages(engine.store), engine.loop.programs, engine.log, engine.clock)

    async def go_live(self, text):
        await self.engine.loop.activate([a_workflow(text)])
        await self.engine.settle()

    async def begin(self, *logins):
        await self.engine.log.append([a_trade_closed(an_account(login=login), lots="2") for login in logins])
        await self.engine.settle()

    async def migrate(self, *, dry_run=False, run="", after=""):
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(
                self.runs.migrate("rule", run=run, after=after, dry_run=dry_run, by="Ann")
            )
            while not asked.done():
                await asyncio.sleep(0)
                await self.engine.settle()
                await self.engine.clock.advance(timedelta(milliseconds=25))
        return await asked

    @property
    def inputs(self):
        return sum(self.engine.log.heads())


@pytest.fixture
async def desk():
    desk = Desk()
    await desk.go_live(OLD)
    await desk.begin(7001, 7002, 7003)
    await desk.go_live(NEW)
    return desk


async def test_a_dry_run_says_what_would_become_of_each_and_sends_nothing(desk):
    before = desk.inputs

    page = await desk.migrate(dry_run=True)

    assert [(each.state, each.live, each.left_out) for each in page.items] == [
        ("would move", a_workflow(NEW).hash, ("lever (account.set_leverage)",))
    ] * 2
    assert page.next
    assert desk.inputs == before


async def test_runs_go_over_page_by_page_and_are_not_told_again(desk):
    first = await desk.migrate()
    rest = await desk.migrate(after=first.next)

    assert [each.state for each in (*first.items, *rest.items)] == ["moved"] * 3
    assert {run.version for run in desk.engine.store.runs.values()} == {a_workflow(NEW).hash}
    assert (await desk.migrate()).items == []


async def test_one_run_goes_over_alone(desk):
    name = sorted(desk.engine.store.runs)[1]

    page = await desk.migrate(run=name)

    assert [(each.run, each.state) for each in page.items] == [(name, "moved")]
    moved = [run.id for run in desk.engine.store.runs.values() if run.version == a_workflow(NEW).hash]
    assert moved == [name]
    assert (await desk.migrate(run="another")).items == []


async def test_what_nobody_decides_yet_is_said_to_be_ordered(desk):
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(desk.runs.migrate("rule", dry_run=False, by="Ann"))
        while not asked.done():
            await asyncio.sleep(0)
            await desk.engine.clock.advance(timedelta(seconds=1))

    assert {each.state for each in (await asked).items} == {"ordered"}
    await desk.engine.settle()
    assert (await desk.migrate()).items == []


@pytest.mark.parametrize(
    ("steps", "why"), [(ASKS + PAUSE, "waits for an approval"), (BRANCHES, "stands in branches")]
)
async def test_what_stays_says_why_before_and_after(steps, why):
    desk = Desk()
    await desk.go_live(HEAD + steps)
    await desk.begin(7001)
    await desk.go_live(HEAD + steps + TOLD % "new")

    dry, real = await desk.migrate(dry_run=True), await desk.migrate()

    assert dry.items == real.items
    (only,) = real.items
    assert only.state == "stays"
    assert why in only.reason
