"""What dispatch relies on: deliveries are written once and settled in order, an intent moves for one mover only."""

import asyncio

import pytest
from conformance.backends import Dispatch, SqliteBackend, error_of

from hub.bus.pages import BadCursor
from hub.clock import to_us
from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import Delivery, DeliveryState, PutOff
from hub.dispatch.sealed import SealedEndpoints
from hub.dispatch.set_back import longest_of, put_right
from hub.sealing import SealRing, new_key
from hub.testing import MORNING, a_delivery, a_trade_closed, an_endpoint, settled

NOW = to_us(MORNING)
START = (0, -1, -1)


async def waiting(dispatch: Dispatch, endpoint: str = "ep_1") -> list[Delivery]:
    return await dispatch.deliveries.waiting(endpoint, after=START, limit=1_000)


# --- deliveries


async def test_new_deliveries_and_the_position_are_both_there_afterwards(dispatch: Dispatch) -> None:
    deliveries = [a_delivery(n=1), a_delivery(n=2), a_delivery("ep_2", n=2)]

    await dispatch.deliveries.fan_out({0: 2, 7: 9}, deliveries)
    await dispatch.reopen()

    positions = await dispatch.deliveries.fanned_out()
    assert (positions[0], positions[7], sum(positions)) == (2, 9, 11)
    assert await waiting(dispatch) == deliveries[:2]
    assert await waiting(dispatch, "ep_2") == deliveries[2:]
    assert await waiting(dispatch, "ep_3") == []


async def test_fanning_out_again_leaves_what_is_there_alone(dispatch: Dispatch) -> None:
    delivery = a_delivery(n=1)
    await dispatch.deliveries.fan_out({0: 1}, [delivery])

    await dispatch.deliveries.fan_out({0: 2}, [delivery, a_delivery(n=2)])

    assert await waiting(dispatch) == [delivery, a_delivery(n=2)]


async def test_what_was_tried_before_it_is_written_stands_as_the_attempt_left_it(dispatch: Dispatch) -> None:
    delivered = settled(a_delivery(n=1), DeliveryState.DELIVERED)
    again = settled(a_delivery(n=2), DeliveryState.WAITING, due=NOW + 5_000_000)

    await dispatch.deliveries.fan_out({0: 3}, [a_delivery(n=3)], [delivered, again])
    await dispatch.reopen()

    assert await waiting(dispatch) == [a_delivery(n=3), again.delivery]
    assert await dispatch.deliveries.attempts("ep_1", 0, 1) == [delivered.attempt]
    assert await dispatch.deliveries.attempts("ep_1", 0, 2) == [again.attempt]
    assert sum(await dispatch.deliveries.fanned_out()) == 3

    over = settled(again.delivery, DeliveryState.DELIVERED)
    await dispatch.deliveries.settle([over])
    assert await waiting(dispatch) == [a_delivery(n=3)]
    assert await dispatch.deliveries.attempts("ep_1", 0, 2) == [again.attempt, over.attempt]


async def test_a_fan_out_that_fails_moves_no_position(sqlite: SqliteBackend) -> None:
    await sqlite.store.writer.submit(
        lambda connection: connection.execute(
            "CREATE TRIGGER fault BEFORE INSERT ON position BEGIN SELECT RAISE(ABORT, 'fault'); END"
        ).fetchall()
    )

    tried = settled(a_delivery(n=2), DeliveryState.DELIVERED)
    failed = await asyncio.wait_for(
        error_of(sqlite.deliveries.fan_out({0: 1}, [a_delivery(n=1)], [tried])), 10
    )

    assert "fault" in str(failed)
    assert await waiting(sqlite) == []
    assert await sqlite.deliveries.attempts("ep_1", 0, 2) == []
    assert sum(await sqlite.deliveries.fanned_out()) == 0


async def test_what_waits_is_listed_by_due_partition_and_n_and_pages_on(dispatch: Dispatch) -> None:
    places = [(30, 1, 1), (10, 2, 5), (10, 2, 4), (10, 1, 9), (20, 0, 1)]
    await dispatch.deliveries.fan_out({}, [a_delivery(partition=p, n=n, due=due) for due, p, n in places])

    seen: list[tuple[int, int, int]] = []
    while page := await dispatch.deliveries.waiting("ep_1", after=seen[-1] if seen else START, limit=2):
        assert len(page) <= 2
        seen += [(d.due, d.partition, d.n) for d in page]

    assert seen == sorted(places)


async def test_a_delivered_one_waits_no_more_and_its_attempt_is_kept(dispatch: Dispatch) -> None:
    delivery = a_delivery(n=1)
    await dispatch.deliveries.fan_out({0: 1}, [delivery])
    result = settled(delivery, DeliveryState.DELIVERED)

    await dispatch.deliveries.settle([result])
    await dispatch.reopen()

    assert await waiting(dispatch) == []
    assert await dispatch.deliveries.attempts("ep_1", 0, 1) == [result.attempt]
    assert await dispatch.deliveries.attempts("ep_1", 0, 2) == []


async def test_one_to_be_tried_again_waits_at_its_new_time_until_it_is_exhausted(dispatch: Dispatch) -> None:
    delivery = a_delivery(n=1)
    await dispatch.deliveries.fan_out({0: 1}, [delivery])

    again = settled(delivery, DeliveryState.WAITING, due=NOW + 5_000_000)
    await dispatch.deliveries.settle([again])
    assert await waiting(dispatch) == [again.delivery]

    over = settled(again.delivery, DeliveryState.EXHAUSTED)
    await dispatch.deliveries.settle([over])
    assert await waiting(dispatch) == []
    attempts = await dispatch.deliveries.attempts("ep_1", 0, 1)
    assert attempts == [again.attempt, over.attempt]
    assert [attempt.number for attempt in attempts] == [1, 2]


async def test_many_results_settle_at_once_and_touch_nothing_else(dispatch: Dispatch) -> None:
    deliveries = [a_delivery(n=n) for n in range(1, 301)]
    await dispatch.deliveries.fan_out({0: 300}, deliveries)
    results = [settled(delivery, DeliveryState.DELIVERED) for delivery in deliveries[:150]]
    results += [settled(delivery, DeliveryState.WAITING, due=NOW + 1) for delivery in deliveries[150:299]]

    await dispatch.deliveries.settle(results)

    left = await waiting(dispatch)
    assert [(d.n, d.due) for d in left] == [(300, NOW)] + [(n, NOW + 1) for n in range(151, 300)]


async def test_a_late_retry_does_not_bring_back_what_was_cancelled(dispatch: Dispatch) -> None:
    await dispatch.endpoints.create(an_endpoint("ep_1"))
    delivery = a_delivery("ep_1", n=1)
    await dispatch.deliveries.fan_out({0: 1}, [delivery])
    await dispatch.endpoints.delete("ep_1")

    await dispatch.deliveries.settle([settled(delivery, DeliveryState.WAITING, due=NOW + 1)])

    assert await waiting(dispatch) == []


async def test_the_body_of_a_delivery_is_its_event_in_the_log(dispatch: Dispatch) -> None:
    rows = [await dispatch.add_event(a_trade_closed()) for _ in range(2)]
    deliveries = [a_delivery(partition=row.partition, n=row.n, event_id=row.ref) for row in rows]
    unknown = a_delivery(partition=63, n=999, event_id="evt_nonsense")

    bodies = await dispatch.deliveries.bodies([*deliveries, unknown])

    assert bodies == {(row.partition, row.n): row for row in rows}


# --- endpoints


async def test_an_endpoint_is_kept_as_it_was_written(dispatch: Dispatch) -> None:
    options = EndpointOptions(where="data.profit > 0", rate=12.5, headers=(("X-Desk", "Zürich"),))
    endpoints = [
        an_endpoint("ep_b", created_at=1, schedule=(1.5, 60.0)),
        an_endpoint(
            "ep_a", created_at=2, events=("trade.*", "balance.deposited"), schedule=(), options=options
        ),
    ]
    for endpoint in endpoints:
        await dispatch.endpoints.create(endpoint)
    await dispatch.reopen()

    assert await dispatch.endpoints.get("ep_a") == endpoints[1]
    assert await dispatch.endpoints.all() == endpoints
    assert await dispatch.endpoints.get("ep_c") is None


async def test_endpoints_are_read_page_by_page_in_the_order_they_were_made(dispatch: Dispatch) -> None:
    made = [an_endpoint(f"ep_{name}", created_at=at) for at, name in ((1, "d"), (2, "b"), (2, "c"), (3, "a"))]
    for endpoint in reversed(made):
        await dispatch.endpoints.create(endpoint)
    sealed = SealedEndpoints(dispatch.endpoints, SealRing([new_key()]))

    for endpoints in (dispatch.endpoints, sealed):
        first = await endpoints.page(after="", limit=2)
        assert (list(first.items), first.next is None) == (made[:2], False)
        last = await endpoints.page(after=first.next or "", limit=2)
        assert (list(last.items), last.next) == (made[2:], None)

    # One made or deleted meanwhile moves nobody from one page to another.
    await dispatch.endpoints.delete("ep_b")
    await dispatch.endpoints.create(an_endpoint("ep_0", created_at=4))
    rest = await sealed.page(after=first.next or "", limit=9)
    assert [endpoint.id for endpoint in rest.items] == ["ep_c", "ep_a", "ep_0"]
    for cursor in ("x", "1", ",ep_b", "9" * 30 + ",ep_b"):
        with pytest.raises(BadCursor):
            await dispatch.endpoints.page(after=cursor, limit=2)


async def test_a_change_concerns_one_endpoint_and_says_whether_it_was_there(dispatch: Dispatch) -> None:
    one, other = an_endpoint("ep_1", created_at=1), an_endpoint("ep_2", created_at=2)
    await dispatch.endpoints.create(one)
    await dispatch.endpoints.create(other)
    changed = one._replace(
        state="disabled",
        reason="410 Gone",
        options=EndpointOptions(order="account"),
        events=("*",),
        schedule=(5.0,),
    )

    assert await dispatch.endpoints.replace(one, changed)
    assert not await dispatch.endpoints.replace(an_endpoint("ep_3"), an_endpoint("ep_3"))

    assert await dispatch.endpoints.all() == [changed, other]


async def test_of_two_who_change_an_endpoint_at_once_one_has_to_look_again(dispatch: Dispatch) -> None:
    one = an_endpoint(
        "ep_1", schedule=(0.1, 5), options=EndpointOptions(rate=0.1, headers=(("X-Desk", "7"),))
    )
    await dispatch.endpoints.create(one)
    off = one._replace(state="disabled", reason="410 Gone")

    assert await dispatch.endpoints.replace(one, off)
    # He read it when it was enabled, and would have it so again without knowing.
    assert not await dispatch.endpoints.replace(one, one._replace(description="changed"))
    assert await dispatch.endpoints.replace(off, off._replace(description="changed"))

    assert await dispatch.endpoints.all() == [off._replace(description="changed")]


async def test_a_change_leaves_the_secret_alone(dispatch: Dispatch) -> None:
    one = an_endpoint("ep_1")
    await dispatch.endpoints.create(one)
    await dispatch.endpoints.replace_secret("ep_1", one.secret, "another")

    # Whoever changes the rest read it before: his old secret must not come back with it.
    await dispatch.endpoints.replace(one, one._replace(description="changed"))

    assert await dispatch.endpoints.get("ep_1") == one._replace(description="changed", secret="another")


async def test_of_two_who_change_a_secret_at_once_one_has_to_look_again(dispatch: Dispatch) -> None:
    one = an_endpoint("ep_1")
    await dispatch.endpoints.create(one)

    assert await dispatch.endpoints.replace_secret("ep_1", one.secret, "first")
    assert not await dispatch.endpoints.replace_secret("ep_1", one.secret, "second")
    assert not await dispatch.endpoints.replace_secret("ep_2", one.secret, "second")
    await dispatch.reopen()

    assert await dispatch.endpoints.get("ep_1") == one._replace(secret="first")


async def test_deleting_an_endpoint_cancels_what_waits_for_it_and_nothing_else(dispatch: Dispatch) -> None:
    await dispatch.endpoints.create(an_endpoint("ep_1"))
    await dispatch.endpoints.create(an_endpoint("ep_2"))
    await dispatch.deliveries.fan_out({}, [a_delivery(n=1), a_delivery("ep_2", n=1)])

    assert await dispatch.endpoints.delete("ep_1")
    assert not await dispatch.endpoints.delete("ep_1")

    assert await dispatch.endpoints.get("ep_1") is None
    assert await waiting(dispatch) == []
    assert await waiting(dispatch, "ep_2") == [a_delivery("ep_2", n=1)]


async def test_those_who_asked_hear_of_every_change_of_endpoints(sqlite: SqliteBackend) -> None:
    seen: list[int] = []
    sqlite.store.endpoints.changed = lambda: seen.append(1)

    await sqlite.endpoints.create(an_endpoint("ep_1"))
    await sqlite.endpoints.replace(an_endpoint("ep_1"), an_endpoint("ep_1", state="disabled"))
    await sqlite.endpoints.delete("ep_1")

    assert len(seen) == 3


async def test_what_a_clock_wrote_that_ran_ahead_is_due_by_its_schedule_and_what_a_receiver_asked_for_holds(
    dispatch: Dispatch,
) -> None:
    day, asked = 86_400_000_000, 3_600_000_000
    rows = [a_delivery(n=n, due=NOW) for n in (1, 2)] + [
        a_delivery(n=n, due=NOW + day)._replace(created_at=NOW + day) for n in (3, 4)
    ]
    await dispatch.deliveries.fan_out({0: 4}, rows)
    tried = [
        (rows[1], NOW, NOW + asked),  # by Retry-After
        (rows[2], NOW + day, NOW + day + asked),
    ]
    for row, at, due in tried:
        one = settled(row, DeliveryState.WAITING, due=due)
        await dispatch.deliveries.settle([one._replace(attempt=one.attempt._replace(at=at, next_at=due))])
    await dispatch.reopen()

    moved = await put_right(dispatch.deliveries, "ep_1", longest_of((5.0,), in_order=False), NOW + 9)

    assert moved == 2
    due = {row.n: row.due for row in await waiting(dispatch)}
    assert due == {1: NOW, 2: NOW + asked, 3: NOW + 9 + asked, 4: NOW + 9}


async def test_what_is_put_off_waits_at_its_new_time_and_what_is_over_stays_over(dispatch: Dispatch) -> None:
    rows = [a_delivery(n=n) for n in (1, 2, 3, 4)]
    await dispatch.deliveries.fan_out({0: 4}, rows)
    await dispatch.deliveries.settle([settled(rows[2], DeliveryState.DELIVERED)])
    later = NOW + 5_000_000

    await dispatch.deliveries.put_off([PutOff(row, later) for row in rows[:3]])
    await dispatch.deliveries.put_off([PutOff(rows[0], later + 1)])  # it does not wait there any more
    await dispatch.reopen()

    assert await waiting(dispatch) == [rows[3], rows[0]._replace(due=later), rows[1]._replace(due=later)]
