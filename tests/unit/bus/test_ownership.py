"""Processes share what there is, hand over in good order, and follow one another."""

import asyncio
from collections.abc import Sequence

import pytest
from owners_kit import ALL, SECOND, Process, world

from hub.bus.lease import Lease
from hub.bus.memory import MemoryLeases
from hub.bus.ownership import LEASE_FOR, MARGIN
from hub.clock import ManualClock
from hub.errors import LeaseLost, StoreUnavailable
from hub.scaled.owned import ShiftPartitions
from hub.testing import MORNING

TICK = (
    LEASE_FOR / 3 * 1.1 + MARGIN / 4
)  # the longest wait between two looks, and the shortest way to the next


async def test_three_share_everything_evenly() -> None:
    async with world() as w:
        ann, bob, cat = w.start("ann", "bob", "cat")

        await w.pass_time(3 * TICK)

        assert [len(process.ownership.held()) <= 22 for process in (ann, bob, cat)] == [True] * 3
        assert set(w.owners()) == set(ALL)
        assert all(process.work == set(process.ownership.held()) for process in (ann, bob, cat))
        assert all(process.ownership.problem() is None for process in (ann, bob, cat))


async def test_what_a_dead_process_had_moves_within_a_lease_and_a_tick() -> None:
    async with world() as w:
        ann, bob, cat = w.start("ann", "bob", "cat")
        await w.pass_time(3 * TICK)
        bereft = set(cat.ownership.held())

        cat.kill()
        await w.pass_time(LEASE_FOR + TICK)

        assert not any(map(cat.ownership.holds, ALL))
        assert bereft <= ann.work | bob.work
        assert (len(ann.work), len(bob.work)) == (32, 32)


async def test_a_graceful_stop_hands_over_within_a_tick() -> None:
    async with world() as w:
        ann, bob = w.start("ann", "bob")
        await w.pass_time(3 * TICK)

        bob.stopping.set()
        await w.pass_time(TICK)

        assert bob.task is not None
        assert bob.task.done()
        assert bob.work == set()
        assert bob.told[-1] == ("lost", 32)
        assert ann.work == set(ALL)


async def test_a_stopping_process_keeps_its_leases_until_its_work_is_written() -> None:
    async with world() as w:
        ann, bob = w.start("ann", "bob")
        await w.pass_time(3 * TICK)
        proofs: list[Sequence[Lease]] = []

        async def write(names: Sequence[str]) -> None:
            await w.clock.sleep(2 * LEASE_FOR)
            proofs.append(bob.ownership.fence(names))

        bob.losing = write
        bob.stopping.set()
        await w.pass_time(2 * LEASE_FOR - SECOND)

        assert len(ann.ownership.held()) == 32
        assert bob.ownership.held() == []
        await w.pass_time(TICK + 2 * SECOND)
        assert [len(proof) for proof in proofs] == [32]
        assert ann.work == set(ALL)


async def test_a_newcomer_gets_its_share_and_little_else_moves() -> None:
    async with world() as w:
        w.start("ann", "bob", "cat")
        await w.pass_time(3 * TICK)
        before = w.owners()

        (dan,) = w.start("dan")
        await w.pass_time(2 * TICK)

        after = w.owners()
        assert len(dan.work) == 16
        assert sum(before[name] != after[name] for name in ALL) <= 16 + 6


async def test_each_change_is_told_once_for_all_it_is_about() -> None:
    async with world() as w:
        (ann,) = w.start("ann")
        await w.pass_time(2 * TICK)
        w.start("bob")
        await w.pass_time(2 * TICK)

        assert ann.told == [("gained", 64), ("lost", 32)]


async def test_things_come_and_go() -> None:
    names = ["ep1", "ep2"]
    async with world(lambda: names) as w:
        (ann,) = w.start("ann")
        await w.pass_time(TICK)

        names[:] = ["ep2", "ep3"]
        await w.pass_time(TICK)

        assert ann.ownership.held() == ["ep2", "ep3"]
        assert ann.told == [("gained", 2), ("gained", 1), ("lost", 1)]


async def test_a_process_that_was_stopped_wakes_owning_nothing() -> None:
    async with world() as w:
        ann, bob = w.start("ann", "bob")
        await w.pass_time(3 * TICK)
        epochs = {lease.name: lease.epoch for lease in ann.ownership.fence(ann.ownership.held())}

        ann.pause()
        await w.pass_time(LEASE_FOR - MARGIN)

        # It has not run a single step, and finds out all the same.
        assert ann.told == [("gained", 64), ("lost", 32)]
        assert not any(map(ann.ownership.holds, ALL))
        assert ann.ownership.held() == []
        with pytest.raises(LeaseLost, match="partition:7 is not held by this process"):
            ann.ownership.fence(["7"])
        await w.pass_time(2 * LEASE_FOR)
        assert bob.work == set(ALL)
        ann.resume()
        await w.pass_time(2 * TICK)
        assert ann.told[2:] == [("lost", 32), ("gained", 32)]
        assert all(lease.epoch > epochs[lease.name] for lease in ann.ownership.fence(ann.ownership.held()))


async def test_work_is_told_of_the_loss_before_the_lease_ends() -> None:
    async with world() as w:
        (ann,) = w.start("ann")
        await w.pass_time(2 * TICK)
        until = min(lease.until for lease in ann.ownership.fence(ALL))

        ann.line.cut = True
        while ann.work:
            await w.pass_time(SECOND / 4)

        assert w.clock.now_us() < until
        assert ann.told[-1] == ("lost", 64)
        assert not any(map(ann.ownership.holds, ALL))


async def test_a_short_outage_of_the_store_costs_nothing() -> None:
    async with world() as w:
        (ann,) = w.start("ann")
        await w.pass_time(2 * TICK)

        ann.line.cut = True
        await w.pass_time(4 * SECOND)
        ann.line.cut = False
        await w.pass_time(2 * LEASE_FOR)

        assert ann.told == [("gained", 64)]


async def test_after_a_long_outage_everything_is_taken_anew_under_higher_epochs() -> None:
    async with world() as w:
        (ann,) = w.start("ann")
        await w.pass_time(2 * TICK)

        ann.line.cut = True
        await w.pass_time(6 * SECOND)
        problem = ann.ownership.problem()
        await w.pass_time(LEASE_FOR)
        late_problem = ann.ownership.problem()
        ann.line.cut = False
        await w.pass_time(SECOND)

        assert problem is None  # it may pass
        assert late_problem is not None
        assert late_problem.endswith("ago: the line is cut")
        assert ann.told == [("gained", 64), ("lost", 64), ("gained", 64)]
        assert {lease.epoch for lease in ann.ownership.fence(ALL)} == {2}
        assert ann.ownership.problem() is None


async def test_answers_that_get_lost_never_make_an_owner() -> None:
    async with world() as w:
        (ann,) = w.start("ann")
        ann.line.deaf = True
        await w.pass_time(LEASE_FOR)

        assert ann.told == []
        assert "the answer was lost" in str(ann.ownership.problem())
        ann.line.deaf = False
        await w.pass_time(2 * SECOND)
        assert ann.work == set(ALL)


async def test_who_cannot_begin_gives_back_and_tries_again() -> None:
    async with world() as w:
        (ann,) = w.start("ann")

        async def fail(names: Sequence[str]) -> None:
            raise StoreUnavailable("the state cannot be read")

        ann.gaining = fail
        await w.pass_time(2 * LEASE_FOR)

        assert ann.told[:2] == [("gained", 64), ("lost", 64)]
        assert "is free, and could not be taken for" in str(ann.ownership.problem())
        ann.gaining = None
        await w.pass_time(TICK)
        assert ann.work == set(ALL)
        assert ann.ownership.problem() is None


async def test_work_that_cannot_be_ended_in_order_is_handed_over_all_the_same() -> None:
    async with world() as w:
        ann, bob = w.start("ann", "bob")
        await w.pass_time(3 * TICK)

        async def fail(names: Sequence[str]) -> None:
            raise StoreUnavailable("what was in flight cannot be written")

        bob.losing = fail
        bob.stopping.set()
        await w.pass_time(TICK)

        assert ann.work == set(ALL)


async def test_what_is_lost_is_not_taken_again_before_its_work_has_ended() -> None:
    async with world() as w:
        (ann,) = w.start("ann")
        await w.pass_time(2 * TICK)
        ending = asyncio.Event()

        async def end_slowly(names: Sequence[str]) -> None:
            await ending.wait()

        ann.losing = end_slowly
        ann.line.cut = True
        await w.pass_time(LEASE_FOR)
        ann.line.cut = False
        await w.pass_time(3 * LEASE_FOR)

        with pytest.raises(LeaseLost):  # the old work must not find a new lease to write under
            ann.ownership.fence(["0"])
        ending.set()
        await w.pass_time(TICK)
        assert ann.ownership.held() == sorted(ALL)


async def test_nothing_is_worked_on_before_it_was_told() -> None:
    async with world() as w:
        (ann,) = w.start("ann")
        seen: list[tuple[int, int]] = []

        async def begin(names: Sequence[str]) -> None:
            seen.append((len(ann.ownership.held()), len(ann.ownership.fence(names))))

        ann.gaining = begin
        await w.pass_time(TICK)

        assert seen == [(64, 64)]


async def test_one_that_cannot_be_taken_is_in_nobody_elses_way() -> None:
    async with world() as w:
        (ann,) = w.start("ann")
        ann.line.refused = {"partition:7"}
        await w.pass_time(4 * LEASE_FOR)

        assert ann.work == set(ALL) - {"7"}
        assert "partition:7 cannot be written" in str(ann.ownership.problem())


async def test_partitions_are_owned_by_number() -> None:
    async with world() as w:
        (ann,) = w.start("ann")
        assert ann.ownership.held() == []
        await w.pass_time(TICK)
        owned = ShiftPartitions(ann.ownership, ann.ownership.held())

        assert owned.partitions() == list(range(64))
        assert [lease.name for lease in owned.fence([3, 11])] == ["partition:3", "partition:11"]
        with pytest.raises(LeaseLost):
            owned.fence([64])


async def test_a_process_owns_nothing_under_the_name_of_another() -> None:
    clock = ManualClock(MORNING)
    leases = MemoryLeases(clock)
    await leases.take("member:partition:ann", "somebody else", LEASE_FOR)
    ann = Process("ann", leases, clock)

    await ann.look()

    assert ann.told == []
    assert "member:partition:ann is held by another process: give each its own name" in str(
        ann.ownership.problem()
    )
