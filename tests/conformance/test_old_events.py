"""Events whose keys are forgotten before they are themselves: they are delivered, and replayed, as any other."""

from datetime import timedelta

from conformance.backends import StoreBackend

from hub.dispatch.subscriptions import DISABLED
from hub.testing import a_delivery, a_deposit, a_trade_closed, an_endpoint

KEYS_FORGOTTEN = timedelta(days=36)
EVENTS_KEPT = timedelta(days=400)


async def test_what_is_sent_is_found_after_its_key_was_forgotten(store: StoreBackend) -> None:
    hashed = [await store.add_event(a_deposit(ticket=None)) for _ in range(3)]
    numbered = await store.add_event(a_trade_closed())
    kept = [*hashed, numbered]
    owed = [a_delivery(partition=item.partition, n=item.n)._replace(event_id=item.ref) for item in kept]

    await store.clock.advance(KEYS_FORGOTTEN)
    await store.store.pruner.prune()

    found = await store.deliveries.bodies([*owed, a_delivery(partition=hashed[0].partition, n=4_711)])
    assert found == {(item.partition, item.n): item for item in kept}


async def test_what_can_never_be_sent_waits_for_no_longer_than_its_event_is_kept(store: StoreBackend) -> None:
    old = [await store.add_event(a_trade_closed()) for _ in range(2)]
    owed = [
        a_delivery(name, partition=item.partition, n=item.n, due=store.clock.now_us())
        for item in old
        for name in ("ep_1", "ep_2", "ep_3")
    ]
    for name in ("ep_1", "ep_2", "ep_3"):
        await store.endpoints.create(an_endpoint(name)._replace(state=DISABLED))
    await store.deliveries.fan_out({}, owed)
    await store.clock.advance(EVENTS_KEPT)
    fresh = a_delivery("ep_2", partition=1, n=99, due=store.clock.now_us())
    await store.deliveries.fan_out({}, [fresh])

    await store.clock.advance(timedelta(minutes=1))
    await store.store.pruner.prune()

    left = [await store.deliveries.waiting(f"ep_{n}", after=(0, -1, -1), limit=9) for n in (1, 2, 3)]
    assert left == [[], [fresh], []]


async def test_what_was_written_for_an_endpoint_after_it_was_deleted_goes(store: StoreBackend) -> None:
    await store.endpoints.create(an_endpoint("ep_1"))
    now = store.clock.now_us()
    theirs, mine = a_delivery("ep_0", n=1, due=now), a_delivery("ep_1", n=1, due=now)
    await store.deliveries.fan_out({}, [theirs, mine, a_delivery("ep_2", n=1, due=now)])

    await store.store.pruner.prune()

    left = [await store.deliveries.waiting(f"ep_{n}", after=(0, -1, -1), limit=9) for n in (0, 1, 2)]
    assert left == [[], [mine], []]
