"""What ownership needs of every keeper of leases, and that over each of them nothing has two owners."""

from datetime import timedelta

import pytest
from conformance.backends import SqliteBackend
from owners_kit import ALL, Process

from hub.bus.lease import Lease
from hub.bus.ownership import LEASE_FOR
from hub.errors import LeaseLost

MINUTE = timedelta(minutes=1)


async def taken(leasing: SqliteBackend, name: str, owner: str) -> Lease:
    lease = await leasing.leases.take(name, owner, MINUTE)
    assert lease is not None
    return lease


async def test_the_leases_of_a_prefix_are_those_that_are_not_over(leasing: SqliteBackend) -> None:
    over = await taken(leasing, "p:3", "ann")
    await leasing.clock.advance(MINUTE)
    first, second = await taken(leasing, "p:2", "bob"), await taken(leasing, "p:10", "ann")
    released = await taken(leasing, "p:4", "ann")
    await leasing.leases.release(released)
    await taken(leasing, "px", "ann")

    assert over.until == leasing.clock.now_us()
    assert await leasing.leases.held("p:") == [second, first]
    assert await leasing.leases.held("q") == []


async def test_a_prefix_is_text_and_no_pattern(leasing: SqliteBackend) -> None:
    for name in ("a_b:1", "axb:1", "a%:1", "A_B:1", "ä_b:1"):
        await taken(leasing, name, "ann")

    assert [lease.name for lease in await leasing.leases.held("a_b:")] == ["a_b:1"]
    assert [lease.name for lease in await leasing.leases.held("a%")] == ["a%:1"]
    assert [lease.name for lease in await leasing.leases.held("ä")] == ["ä_b:1"]
    assert {"a_b:1", "axb:1", "a%:1", "A_B:1", "ä_b:1"} <= {
        lease.name for lease in await leasing.leases.held("")
    }


async def test_leases_are_renewed_together_without_a_new_epoch(leasing: SqliteBackend) -> None:
    first, second = await taken(leasing, "x:p", "ann"), await taken(leasing, "x:q", "ann")
    await leasing.clock.advance(MINUTE / 2)

    renewed = await leasing.leases.renew([second, first], MINUTE)

    later = first.until + 30_000_000
    assert sorted(renewed) == [first._replace(until=later), second._replace(until=later)]
    assert sorted(renewed) == await leasing.leases.held("x:")


async def test_only_what_still_stands_is_renewed(leasing: SqliteBackend) -> None:
    kept, gone = await taken(leasing, "x:kept", "ann"), await taken(leasing, "x:gone", "ann")
    released, theirs = await taken(leasing, "x:released", "ann"), await taken(leasing, "x:theirs", "bob")
    await leasing.leases.release(released)
    await leasing.clock.advance(MINUTE)
    await taken(leasing, "x:gone", "bob")
    asked = [kept, gone, released, theirs._replace(owner="ann"), Lease("x:never", "ann", 1, 0)]

    renewed = await leasing.leases.renew(asked, MINUTE)

    # `kept` had run out, and nobody wanted it: it has been ann's all along.
    assert [lease[:3] for lease in renewed] == [("x:kept", "ann", 1)]
    assert [(lease.name, lease.owner) for lease in await leasing.leases.held("x:")] == [
        ("x:gone", "bob"),
        ("x:kept", "ann"),
    ]
    assert await leasing.leases.take("x:released", "bob", MINUTE) is not None


async def test_renewing_nothing_is_nothing(leasing: SqliteBackend) -> None:
    assert await leasing.leases.renew([], MINUTE) == []


def processes(leasing: SqliteBackend, *names: str) -> list[Process]:
    return [Process(name, leasing.leases, leasing.clock) for name in names]


async def settle(leasing: SqliteBackend, *processes: Process, rounds: int = 3) -> None:
    for _ in range(rounds):
        for process in processes:
            await process.look()
            for name in ALL:
                assert sum(other.ownership.holds(name) for other in processes) <= 1
        await leasing.clock.advance(timedelta(seconds=1))


async def test_three_processes_share_the_partitions(leasing: SqliteBackend) -> None:
    ann, bob, cat = processes(leasing, "ann", "bob", "cat")

    await settle(leasing, ann, bob, cat)

    assert ann.work | bob.work | cat.work == set(ALL)
    assert sorted(map(len, (ann.work, bob.work, cat.work))) in ([20, 22, 22], [21, 21, 22])
    proof = bob.ownership.fence(bob.ownership.held())
    assert {lease[:3] for lease in proof} <= {lease[:3] for lease in await leasing.leases.held("partition:")}


async def test_a_process_that_leaves_is_followed_at_once(leasing: SqliteBackend) -> None:
    ann, bob = processes(leasing, "ann", "bob")
    await settle(leasing, ann, bob)

    await bob.ownership.leave()
    await ann.look()

    assert bob.work == set()
    assert ann.work == set(ALL)
    await bob.look()
    assert bob.work == set()
    assert [lease.name for lease in await leasing.leases.held("member:")] == ["member:partition:ann"]


async def test_a_dead_process_is_followed_when_its_leases_are_over(leasing: SqliteBackend) -> None:
    ann, bob = processes(leasing, "ann", "bob")
    await settle(leasing, ann, bob)
    late = bob.ownership.fence(bob.ownership.held())

    await settle(leasing, ann, rounds=round(LEASE_FOR.total_seconds()) - 3)
    assert len(ann.work) == 32
    await settle(leasing, ann, rounds=5)

    assert ann.work == set(ALL)
    with pytest.raises(LeaseLost):
        bob.ownership.fence(["0"])
    assert await leasing.leases.renew(late, LEASE_FOR) == []
    await settle(leasing, bob, ann)
    assert (len(ann.work), len(bob.work)) == (32, 32)
