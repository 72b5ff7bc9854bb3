"""What every keeper of leases promises: one owner at a time, and an epoch that tells a late one from the present one."""

from datetime import timedelta

from conformance.backends import SqliteBackend

MINUTE = timedelta(minutes=1)


async def test_the_first_who_asks_gets_it(leasing: SqliteBackend) -> None:
    lease = await leasing.leases.take("p", "ann", MINUTE)

    assert lease is not None
    assert (lease.name, lease.owner, lease.epoch) == ("p", "ann", 1)
    assert lease.until == leasing.clock.now_us() + 60_000_000


async def test_nobody_else_gets_it_while_it_is_held(leasing: SqliteBackend) -> None:
    await leasing.leases.take("p", "ann", MINUTE)

    assert await leasing.leases.take("p", "bob", MINUTE) is None
    assert await leasing.leases.take("q", "bob", MINUTE) is not None


async def test_its_owner_prolongs_it_without_a_new_epoch(leasing: SqliteBackend) -> None:
    first = await leasing.leases.take("p", "ann", MINUTE)
    await leasing.clock.advance(timedelta(seconds=40))

    second = await leasing.leases.take("p", "ann", MINUTE)

    assert first is not None
    assert second is not None
    assert second.epoch == first.epoch
    assert second.until == first.until + 40_000_000
    await leasing.clock.advance(timedelta(seconds=40))
    assert await leasing.leases.take("p", "bob", MINUTE) is None


async def test_a_lease_that_ran_out_goes_to_another_under_a_higher_epoch(leasing: SqliteBackend) -> None:
    first = await leasing.leases.take("p", "ann", MINUTE)
    await leasing.clock.advance(MINUTE)

    second = await leasing.leases.take("p", "bob", MINUTE)

    assert first is not None
    assert second is not None
    assert second.epoch == first.epoch + 1
    assert await leasing.leases.take("p", "ann", MINUTE) is None


async def test_the_epoch_also_grows_when_an_owner_comes_back(leasing: SqliteBackend) -> None:
    epochs = []
    for owner in ("ann", "bob", "ann"):
        lease = await leasing.leases.take("p", owner, MINUTE)
        assert lease is not None
        epochs.append(lease.epoch)
        await leasing.clock.advance(MINUTE)

    assert epochs == [1, 2, 3]


async def test_a_released_lease_is_free_at_once(leasing: SqliteBackend) -> None:
    first = await leasing.leases.take("p", "ann", MINUTE)
    assert first is not None

    await leasing.leases.release(first)

    second = await leasing.leases.take("p", "bob", MINUTE)
    assert second is not None
    assert second.epoch == first.epoch + 1


async def test_releasing_twice_or_too_late_does_nothing(leasing: SqliteBackend) -> None:
    first = await leasing.leases.take("p", "ann", MINUTE)
    assert first is not None
    await leasing.leases.release(first)
    await leasing.leases.take("p", "bob", MINUTE)

    await leasing.leases.release(first)
    await leasing.leases.release(first)

    assert await leasing.leases.take("p", "cat", MINUTE) is None


async def test_epochs_outlive_a_restart(leasing: SqliteBackend) -> None:
    await leasing.leases.take("p", "ann", MINUTE)
    await leasing.reopen()

    assert await leasing.leases.take("p", "bob", MINUTE) is None
    await leasing.clock.advance(MINUTE)
    lease = await leasing.leases.take("p", "bob", MINUTE)
    assert lease is not None
    assert lease.epoch == 2
