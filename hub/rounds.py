"""Looks every second at what was halted, tripped and reset, and has the workflows that were stopped go on in shadow."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final, final

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric

from hub.clock import Clock
from hub.control.control import Control
from hub.engine.live_files import LiveFiles
from hub.engine.program import Mode, Unread, Workflow
from hub.engine.program_timed import Trip
from hub.engine.programs import Programs
from hub.intents.breakers import Rule
from hub.stages import run_until

EVERY: Final = timedelta(seconds=1)

log = structlog.get_logger(__name__)

Activate = Callable[[Sequence[Workflow], Sequence[Unread], Collection[str]], Awaitable[bool]]


def stopped_in_shadow(workflows: Iterable[Workflow], tripped: Collection[str]) -> list[Workflow]:
    """Return the workflows, those that were stopped in shadow: they decide, and nothing is sent."""
    return [
        replace(workflow, mode=Mode.SHADOW, stopped=True)
        if workflow.id in tripped and workflow.mode is Mode.LIVE
        else workflow
        for workflow in workflows
    ]


def _rule(trip: Trip) -> Rule:
    return Rule(trip.more_than, trip.risk, trip.within)


@final
class Rounds:
    """`activate` None: another process says which workflows are live. Call `make_live` in its place, then `look`, then run."""

    def __init__(
        self,
        control: Control,
        clock: Clock,
        programs: Programs,
        files: LiveFiles,
        activate: Activate | None = None,
    ) -> None:
        self._control = control
        self._clock = clock
        self._programs = programs
        self._files = files
        self._activate = activate
        self._in_force: frozenset[str] = frozenset()
        self._making_live = asyncio.Lock()  # whoever comes later knows more, and must not be overtaken

    async def make_live(self, workflows: Sequence[Workflow], unread: Sequence[Unread] = ()) -> bool:
        """Make these the live workflows, those that were stopped in shadow."""
        async with self._making_live:
            return await self._make_live(workflows, unread)

    async def _make_live(self, workflows: Sequence[Workflow], unread: Sequence[Unread]) -> bool:
        assert self._activate is not None
        stopped = frozenset(self._control.stands.tripped)
        if self._control.rules is not None:  # before any action of theirs asks whether it may go
            rules = {each.id: _rule(each.trip) for each in workflows if each.trip is not None}
            self._control.rules = {**self._control.rules, **rules}
        made = await self._activate(stopped_in_shadow(workflows, stopped), unread, stopped)
        self._in_force = stopped
        return made

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep_looking)

    async def look(self) -> None:
        await self._control.count_published()
        rows = await self._control.look()
        async with self._making_live:
            stopped = frozenset(self._control.stands.tripped)
            if self._activate is not None and self._in_force != stopped:
                await self._make_live(self._files.loaded.workflows, self._files.loaded.unread)
            # Of what is live, and not of the files: one that was broken meanwhile keeps its breaker.
            trips = await self._programs.trips()
            self._control.rules = {name: _rule(trip) for name, trip in trips.items()}
        await self._control.tell(rows)  # last, for it may have to wait for others

    def metrics(self) -> Iterator[Metric]:
        yield switched(self._control)

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as problem:  # the hub goes on: whoever sends asks by himself
                log.warning("control.not_looked_at", reason=str(problem))
            await self._clock.sleep(EVERY)


def switched(control: Control) -> GaugeMetricFamily:
    """Return what is switched off, as of the last look."""
    family = GaugeMetricFamily(
        "hub_switched_off", "1 for what was halted by a person or stopped by a breaker.", labels=["what"]
    )
    family.add_metric(["actions"], 0.0 if control.stands.halted is None else 1.0)
    for workflow in control.stands.tripped:
        family.add_metric([f"workflow {workflow}"], 1.0)
    return family
