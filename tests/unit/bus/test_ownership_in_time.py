"""From when to when a lease counts, and that nothing has two owners whatever happens to processes, lines and store."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from owners_kit import SECOND, Process, world
from typing_extensions import override

from hub.bus.lease import Lease, Leases
from hub.bus.memory import MemoryLeases
from hub.bus.ownership import LEASE_FOR, Ownership
from hub.clock import ManualClock, SystemClock
from hub.errors import ConfigError
from hub.testing import MORNING


@pytest.fixture
async def group() -> AsyncIterator[asyncio.TaskGroup]:
    async with asyncio.TaskGroup() as made:
        yield made


def slow(process: Process, *seconds: float) -> None:
    """Let the next questions and answers take so long, each in its turn, and all later ones no time."""
    left = iter(seconds)
    process.line.latency = lambda: next(left, 0.0) * SECOND


async def test_a_lease_counts_from_before_it_was_asked_for(group: asyncio.TaskGroup) -> None:
    clock = ManualClock(MORNING)
    ann = Process("ann", MemoryLeases(clock), clock, names=lambda: ["0"])
    await ann.ownership.keep()

    slow(ann, 0, 0, 0, 0, 0, 5)  # only the answer to the taking: the store began to count 5 s before it came
    group.create_task(ann.ownership.settle())
    await clock.advance(7.9 * SECOND)

    assert ann.ownership.holds("0")
    await clock.advance(0.1 * SECOND)
    assert not ann.ownership.holds("0")


async def test_a_renewal_counts_from_before_it_was_asked_for(group: asyncio.TaskGroup) -> None:
    clock = ManualClock(MORNING)
    ann = Process("ann", MemoryLeases(clock), clock, names=lambda: ["0"])
    await ann.look()
    await clock.advance(SECOND)

    slow(ann, 0, 5)
    group.create_task(ann.ownership.keep())
    await clock.advance(7.9 * SECOND)

    assert ann.ownership.holds("0")
    await clock.advance(0.1 * SECOND)
    assert not ann.ownership.holds("0")


async def test_a_renewal_that_came_too_late_does_not_bring_back_what_was_refused(
    group: asyncio.TaskGroup,
) -> None:
    clock = ManualClock(MORNING)
    ann = Process("ann", MemoryLeases(clock), clock, names=lambda: ["0"])
    await ann.look()
    await clock.advance(SECOND)

    slow(ann, 0, 7.5)
    group.create_task(ann.ownership.keep())
    await clock.advance(7.6 * SECOND)

    assert not ann.ownership.holds("0")
    ann.line.latency = None
    await ann.look()
    assert ann.told == [("gained", 1), ("lost", 1), ("gained", 1)]
    assert ann.ownership.holds("0")


async def test_what_the_store_says_is_somebody_elses_is_refused_at_once() -> None:
    clock = ManualClock(MORNING)
    leases = MemoryLeases(clock)
    ann = Process("ann", leases, clock, names=lambda: ["0", "1"])
    await ann.look()
    (proof,) = ann.ownership.fence(["0"])

    await leases.release(proof)
    await leases.take("partition:0", "bob", LEASE_FOR)
    await ann.ownership.keep()

    assert not ann.ownership.holds("0")
    assert ann.ownership.held() == ["1"]
    await ann.ownership.drop_lapsed()
    assert ann.work == {"1"}


async def test_what_is_taken_waits_for_the_others_before_it_is_worked_on(group: asyncio.TaskGroup) -> None:
    clock = ManualClock(MORNING)
    ann = Process("ann", MemoryLeases(clock), clock, names=lambda: ["0", "1"])
    await ann.ownership.keep()

    slow(ann, 0, 0, 0, 0, 0, 0, 3)
    group.create_task(ann.ownership.settle())
    await clock.advance(SECOND)

    assert [ann.ownership.holds("0"), ann.ownership.holds("1")].count(True) == 1
    assert ann.ownership.held() == []
    await clock.advance(2 * SECOND)
    assert ann.ownership.held() == ["0", "1"]
    assert ann.told == [("gained", 2)]


async def nothing(names: Sequence[str]) -> None:
    pass


class SilentLeases(Leases):
    """A store behind a connection that died without a word."""

    @override
    async def take(self, name: str, owner: str, duration: timedelta) -> Lease | None:
        return Lease(name, owner, 1, 2**62)

    @override
    async def renew(self, leases: Sequence[Lease], duration: timedelta) -> list[Lease]:
        return await asyncio.Future()

    @override
    async def release(self, lease: Lease) -> None:
        await asyncio.Future()

    @override
    async def held(self, prefix: str) -> list[Lease]:
        return await asyncio.Future()


async def test_a_store_that_says_nothing_is_asked_again_in_time() -> None:
    lease = timedelta(milliseconds=60)
    ann = Ownership(
        SilentLeases(),
        SystemClock(),
        Random(1),
        kind="server",
        member="ann",
        names=lambda: ["mt5"],
        on_gained=nothing,
        on_lost=nothing,
        lease=lease,
        margin=lease / 5,
    )

    async with asyncio.timeout(5):
        kept = await ann.keep()

    assert not kept
    assert ann.problem() == "this process owns no server yet: the store of the leases did not answer in time"


@pytest.mark.parametrize("margin", [timedelta(), LEASE_FOR / 3])
def test_a_margin_must_leave_room_for_renewals(margin: timedelta) -> None:
    with pytest.raises(ConfigError, match="needs a margin above 0"):
        Ownership(
            SilentLeases(),
            SystemClock(),
            Random(1),
            kind="server",
            member="ann",
            names=list,
            on_gained=nothing,
            on_lost=nothing,
            margin=margin,
        )


NAMES = ["0", "1", "2", "3", "4", "5"]
CRASHES = st.tuples(
    st.sampled_from(
        ["pass", "pass", "pass", "pause", "resume", "cut", "deafen", "mend", "slow", "start", "stop", "kill"]
    ),
    st.integers(0, 2),
    st.integers(1, 60),
)


async def live_through(crashes: Sequence[tuple[str, int, int]], seed: int) -> None:
    random = Random(seed)
    async with world(lambda: NAMES) as w:
        live = w.start("p0", "p1", "p2", seed=seed)
        for number, (what, which, quarters) in enumerate(crashes):
            process = live[which]
            match what:
                case "pause":
                    process.pause()
                case "resume":
                    process.resume()
                case "cut":
                    process.line.cut = True
                case "deafen":
                    process.line.deaf = True
                case "mend":
                    process.line.cut = process.line.deaf = False
                case "slow":
                    process.line.latency = lambda: random.choice([0, 0, 0.1, 1, 4]) * SECOND
                case "stop":
                    process.stopping.set()
                case "kill":
                    process.kill()
                case "start" if process.task is not None and process.task.done():
                    (live[which],) = w.start(f"p{which}-{number}", seed=seed)
                case _:
                    await w.pass_time(quarters * SECOND / 4)
        for process in live:
            process.resume()
            process.line.cut = process.line.deaf = False
            process.line.latency = None
        w.start("last", seed=seed)
        await w.pass_time(4 * LEASE_FOR)

        w.owners()  # each has exactly one
        assert sorted(name for process in w.processes for name in process.ownership.held()) == NAMES
        for process in w.processes:
            if process.task is not None and not process.task.done():
                assert process.ownership.problem() is None
                assert process.work == set(process.ownership.held())


@settings(max_examples=40, deadline=None)
@given(st.lists(CRASHES, max_size=25), st.integers(0, 2**32))
def test_nothing_ever_has_two_owners_and_in_the_end_everything_has_one(
    crashes: list[tuple[str, int, int]], seed: int
) -> None:
    asyncio.run(live_through(crashes, seed))
