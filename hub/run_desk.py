"""Where the API has open runs go over to the live version: it says what would become of each, and orders it in the log."""

from collections.abc import Sequence
from typing import Final, final

from typing_extensions import override

from hub.api.ports import MovedRun, RunMover
from hub.bus.log import InputKind, NewInput
from hub.bus.pages import Page
from hub.clock import Clock
from hub.desks import Inputs, came_of_it
from hub.engine.index import Program
from hub.engine.plans import Plan
from hub.engine.programs import Programs
from hub.engine.rows import EngineStore, KeyRows, RunRow
from hub.engine.run_rows import OpenRun
from hub.engine.run_versions import MIGRATE, Order, encode_order, place_in
from hub.engine.state import KeyState
from hub.engine.values import Kind
from hub.views import Browser

AT_ONCE: Final = 200  # runs that are looked at for one answer


@final
class RunDesk(RunMover):
    def __init__(
        self, store: EngineStore, browser: Browser, programs: Programs, inputs: Inputs, clock: Clock
    ) -> None:
        self._store = store
        self._browser = browser
        self._programs = programs
        self._inputs = inputs
        self._clock = clock

    @override
    async def migrate(
        self, workflow: str, *, run: str = "", after: str = "", dry_run: bool, by: str
    ) -> Page[MovedRun]:
        following: str | None = None
        if run:
            row = await self._store.run(run)
            rows: Sequence[RunRow] = [row] if row is not None and row.workflow == workflow else []
        else:
            page = await self._browser.runs(after=after, limit=AT_ONCE, workflow=workflow, state="running")
            rows, following = page.items, page.next
        found = await self._judge(rows)
        if not dry_run:
            found = await self._order(rows, found, by)
        return Page(found, following)

    async def _judge(self, rows: Sequence[RunRow]) -> list[MovedRun]:
        """Return where each run of another version would go, or why it stays."""
        keys = list(dict.fromkeys((row.partition, row.key) for row in rows))
        known = await self._store.load(keys) if keys else {}
        programs = {
            partition: await self._program(partition) for partition in {row.partition for row in rows}
        }
        found = [await self._judged(row, known[row.key], programs[row.partition]) for row in rows]
        return [each for each in found if each is not None]

    async def _program(self, partition: int) -> Program:
        program, _ = await self._programs.standing(partition)
        return program

    async def _judged(self, row: RunRow, rows: KeyRows, whole: Program) -> MovedRun | None:
        state = KeyState.from_rows(row.partition, row.key, rows)
        run = state.values.get((Kind.RUN.value, row.id))
        version = run.version if isinstance(run, OpenRun) else row.version
        await self._programs.pin(whole, state.kind, version, row.workflow)
        program = whole.of(state.kind)
        new = program.plans.get(row.workflow)
        live = new.workflow.hash if new is not None else ""
        if version == live:
            return None
        if not isinstance(run, OpenRun):
            return _stays(row, version, live, _not_a_run(row, new))
        place = place_in(program.version(version, row.workflow), new, run)
        if isinstance(place, str):
            return _stays(row, version, live, place)
        return MovedRun(row.id, row.key, version, live, "would move", "", place.left_out)

    async def _order(self, rows: Sequence[RunRow], found: Sequence[MovedRun], by: str) -> list[MovedRun]:
        """Have those that can go over do so; return what has become of them."""
        places = {row.id: row for row in rows}
        inputs = [
            NewInput(
                places[each.run].partition,
                InputKind.COMMAND,
                each.key,
                MIGRATE,
                encode_order(Order(each.run, each.live, places[each.run].workflow, by)),
            )
            for each in found
            if each.state == "would move"
        ]
        if inputs:
            await self._inputs.append((), inputs=inputs)
        began = self._clock.monotonic()
        return [await self._became(each, began) if each.state == "would move" else each for each in found]

    async def _became(self, ordered: MovedRun, began: float) -> MovedRun:
        async def decided() -> MovedRun | None:
            row = await self._store.run(ordered.run)
            if row is not None and row.version == ordered.live:
                return ordered._replace(state="moved")
            if row is not None and row.state != "running":
                return ordered._replace(state="stays", reason="it has come to its end", left_out=())
            return None

        unknown = ordered._replace(state="ordered", reason="not decided yet: look at the run again")
        return await came_of_it(self._clock, began, decided) or unknown


def _stays(row: RunRow, version: str, live: str, reason: str) -> MovedRun:
    return MovedRun(row.id, row.key, version, live, "stays", reason)


def _not_a_run(row: RunRow, new: Plan | None) -> str:
    if row.state != "running":
        return "it has come to its end"
    granted = new is not None and new.workflow.grant is not None
    return "it is what a grant has booked, and no run of steps" if granted else "it has come to its end"
