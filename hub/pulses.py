"""Whether the work really goes on: each role shows a mark that changes while it does, and is looked at from outside.

A loop that waits for something that never comes raises nothing, and nothing it does tells of it. So it is not asked
how it feels: its mark either moves on, or there is nothing to do, or it stands still.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, final

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric

from hub.clock import Clock, iso
from hub.ending import GiveUp, only_tell
from hub.stages import run_until

EVERY: Final = timedelta(seconds=5)
STANDS_AFTER: Final = timedelta(seconds=30)
ACTIONS_STAND_AFTER: Final = timedelta(
    minutes=2
)  # their attempts have long deadlines, and may take all places

log = structlog.get_logger(__name__)

# Counts of what was done, say; None while there is nothing to do. Asked on the event loop, so it must be cheap.
Mark = Callable[[], tuple[object, ...] | None]


@dataclass(slots=True, eq=False)
class _Pulse:
    what: str
    mark: Mark
    after: timedelta
    ends_after: timedelta | None
    last: tuple[object, ...] | None = None
    stood: timedelta = timedelta()
    since_us: int = 0
    told: bool = False


@final
class Pulses:
    """What stands still makes the process not ready; what must not stand at all is given up with it."""

    def __init__(self, clock: Clock, give_up: GiveUp = only_tell) -> None:
        self._clock = clock
        self._give_up = give_up
        self._pulses: list[_Pulse] = []
        self._looked = clock.monotonic()

    def watch(
        self, what: str, mark: Mark, *, after: timedelta = STANDS_AFTER, ends_after: timedelta | None = None
    ) -> None:
        """Watch something for good. One that stands for `ends_after` ends the process: its supervisor starts it anew."""
        self._add(what, mark, after, ends_after)

    @contextmanager
    def watching(self, what: str, mark: Mark, *, after: timedelta = STANDS_AFTER) -> Iterator[None]:
        """Watch something for as long as it is there."""
        pulse = self._add(what, mark, after, None)
        try:
            yield
        finally:
            self._pulses.remove(pulse)

    def _add(self, what: str, mark: Mark, after: timedelta, ends_after: timedelta | None) -> _Pulse:
        pulse = _Pulse(what, mark, after, ends_after, since_us=self._clock.now_us())
        self._pulses.append(pulse)
        return pulse

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep_looking)

    async def _keep_looking(self) -> None:
        while True:
            self.look()
            await self._clock.sleep(EVERY)

    def look(self) -> None:
        now = self._clock.monotonic()
        # A process that was stopped, or a machine that slept, is no fault of its loops.
        passed = min(timedelta(seconds=now - self._looked), 2 * EVERY)
        self._looked = now
        for pulse in self._pulses:
            self._feel(pulse, passed)

    def _feel(self, pulse: _Pulse, passed: timedelta) -> None:
        mark = pulse.mark()
        if mark is None or mark != pulse.last:
            if pulse.told:
                log.info("work.goes_on", what=pulse.what, stood_seconds=pulse.stood.total_seconds())
            pulse.last, pulse.stood, pulse.told = mark, timedelta(), False
            pulse.since_us = self._clock.now_us()
            return
        pulse.stood += passed
        if pulse.stood >= pulse.after and not pulse.told:
            pulse.told = True
            log.error("work.stands_still", what=pulse.what, since=iso(pulse.since_us))
        if pulse.ends_after is not None and pulse.stood >= pulse.ends_after:
            self._give_up(_said(pulse))

    def problems(self) -> Sequence[str]:
        """Return what stands still and since when, in a sentence each."""
        return [_said(pulse) for pulse in self._pulses if pulse.stood >= pulse.after]

    def metrics(self) -> Iterator[Metric]:
        standing = GaugeMetricFamily(
            "hub_standing_still_seconds",
            "How long a part of the hub has had work and not got on with it.",
            labels=["what"],
        )
        for pulse in self._pulses:
            standing.add_metric([pulse.what], pulse.stood.total_seconds())
        yield standing


def _said(pulse: _Pulse) -> str:
    return (
        f"{pulse.what} has work to do and stands still since {iso(pulse.since_us)}, "
        f"for {pulse.stood.total_seconds():.0f} s"
    )
