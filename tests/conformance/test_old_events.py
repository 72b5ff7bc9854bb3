"""Events whose keys are forgotten before they are themselves: they are delivered, and replayed, as any other."""

from datetime import timedelta

from conformance.backends import StoreBackend

from hub.testing import a_delivery, a_deposit, a_trade_closed

KEYS_FORGOTTEN = timedelta(days=36)


async def test_what_is_sent_is_found_after_its_key_was_forgotten(store: StoreBackend) -> None:
    hashed = [await store.add_event(a_deposit(ticket=None)) for _ in range(3)]
    numbered = await store.add_event(a_trade_closed())
    kept = [*hashed, numbered]
    owed = [a_delivery(partition=item.partition, n=item.n)._replace(event_id=item.ref) for item in kept]

    await store.clock.advance(KEYS_FORGOTTEN)
    await store.store.pruner.prune()

    found = await store.deliveries.bodies([*owed, a_delivery(partition=hashed[0].partition, n=4_711)])
    assert found == {(item.partition, item.n): item for item in kept}
