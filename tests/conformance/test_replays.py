"""Replays over both stores: what was asked for is queued once, nothing else is, and a job goes on where it stood."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from conformance.backends import PostgresBackend, StoreBackend
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.bus.log import Input
from hub.bus.pages import BadCursor
from hub.clock import MICROSECOND, iso, to_us
from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import Delivery, DeliveryState
from hub.dispatch.replay_desk import ReplayDesk, ReplayRefused
from hub.dispatch.replaying import BATCH, MOST_WAITING, Replaying
from hub.dispatch.replays import MOST_OPEN, Asked, Replay, ReplayState, Room, Standing, Step
from hub.errors import LeaseLost
from hub.events.catalogue import CUSTOM
from hub.events.facts import Fact, make_fact
from hub.events.operations import Custom
from hub.ids import PARTITIONS
from hub.testing import MORNING, a_deposit, a_trade_closed, an_account, an_endpoint, settled

START = (0, -1, -1)
ENDPOINT = an_endpoint("ep_1")
FOR_EVER = 2**62
MINUTE = timedelta(minutes=1)


class Bench:
    """A store with a desk and whoever carries replays out, and a receiver that takes what waits."""

    def __init__(self, backend: StoreBackend) -> None:
        self.backend = backend
        self.told: list[str] = []
        self.again()

    def again(self) -> None:
        """As after a restart: nothing is remembered but what is on disk."""
        store, clock = self.backend.store, self.backend.clock
        self.desk = ReplayDesk(
            store.replays,
            store.browser,
            store.log.find,
            store.endpoints,
            clock,
            attempts_kept=timedelta(days=30),
        )
        self.replaying = Replaying(
            store.replays,
            store.browser,
            store.log.find,
            store.endpoints,
            clock,
            lambda endpoint, _key: self.told.append(endpoint),
        )

    @property
    def now(self) -> int:
        return self.backend.clock.now_us()

    async def learn(self, *facts: Fact) -> list[Input]:
        return [await self.backend.add_event(fact) for fact in facts]

    async def passed_on(self) -> None:
        """Fan out up to the end of the log, to nobody."""
        heads = self.backend.log.heads()
        await self.backend.deliveries.fan_out(
            {partition: heads[partition] for partition in range(PARTITIONS) if heads[partition]}, []
        )

    async def deliver(self, item: Input, state: DeliveryState, endpoint: str = "ep_1") -> Delivery:
        """Have the fan-out owe it, and make one attempt unless it is to wait untried."""
        delivery = Delivery(
            endpoint, item.partition, item.n, item.ref, DeliveryState.WAITING, 0, self.now, self.now
        )
        await self.backend.deliveries.fan_out({}, [delivery])
        await self.backend.deliveries.settle(
            [settled(delivery, state, due=self.now + 10**12 if state is DeliveryState.WAITING else None)]
        )
        await self.backend.clock.advance(2 * MICROSECOND)
        return delivery

    async def waiting(self, endpoint: str = "ep_1") -> list[Delivery]:
        return await self.backend.deliveries.waiting(endpoint, after=START, limit=5_000)

    async def receive(self) -> list[str]:
        """Deliver what is due; return the ids of the events."""
        due = [delivery for delivery in await self.waiting() if delivery.due <= self.now]
        await self.backend.deliveries.settle([settled(each, DeliveryState.DELIVERED) for each in due])
        await self.backend.clock.advance(2 * MICROSECOND)  # no two attempts of a delivery are at one moment
        return [delivery.event_id for delivery in due]

    async def work(self, replay: Replay, rounds: int = 400) -> list[str]:
        """Carry it out to its end beside the receiver; return the ids of the events in the order they came."""
        received: list[str] = []
        for _ in range(rounds):
            due = await self.replaying.round()
            received += await self.receive()
            found = await self.desk.get(replay.id)
            assert found is not None
            if found.state is not ReplayState.RUNNING:
                return received
            await self.backend.clock.advance(max(due - self.now, 1) * MICROSECOND)
        raise AssertionError(f"not over after {rounds} rounds: {found}")

    async def start(self, **asked: object) -> Replay:
        found = await self.desk.start("ep_1", _asked(asked), "somebody")
        assert found is not None
        return found

    async def state(self, replay: Replay) -> Replay:
        found = await self.desk.get(replay.id)
        assert found is not None
        return found


def _asked(fields: dict[str, object]) -> Asked:
    return Asked(**{"until": FOR_EVER, "since": 1_000_000_000_000_000, **fields})  # type: ignore[arg-type]  # tests'


@pytest.fixture
async def bench(store: StoreBackend) -> Bench:
    await store.endpoints.create(ENDPOINT)
    return Bench(store)


def trades(count: int) -> list[Fact]:
    return [a_trade_closed(an_account(login=7000 + number % 5)) for number in range(count)]


def ids_of(items: Sequence[Input]) -> list[str]:
    return sorted(item.ref for item in items)


def addressed(endpoint: str) -> Fact:
    return make_fact(
        CUSTOM,
        "custom.told",
        Custom.model_validate({"text": "x"}),
        timestamp=MORNING,
        received_us=to_us(MORNING),
        source="test",
        dedupe_key=f"told-{endpoint}",
        endpoints=[endpoint],
    )


# --- what is replayed


async def test_what_matches_the_endpoint_is_delivered_once_more_and_nothing_else_is(bench: Bench) -> None:
    items = await bench.learn(*trades(40))
    await bench.learn(a_deposit(), a_deposit())
    await bench.passed_on()

    replay = await bench.start()
    received = await bench.work(replay)

    assert sorted(received) == ids_of(items)
    after = await bench.state(replay)
    assert (after.state, after.queued, after.left_out, after.expected) == (ReplayState.DONE, 40, 0, 40)
    assert after.looked == 42
    assert after.ended_at is not None


async def test_a_delivery_of_a_replay_begins_its_schedule_anew(bench: Bench) -> None:
    (item,) = await bench.learn(*trades(1))
    await bench.passed_on()
    await bench.deliver(item, DeliveryState.EXHAUSTED)

    await bench.start()
    await bench.replaying.round()

    (again,) = await bench.waiting()
    assert (again.event_id, again.attempts, again.due) == (item.ref, 0, bench.now)
    await bench.backend.clock.advance(MINUTE)
    await bench.receive()
    attempts = await bench.backend.deliveries.attempts("ep_1", item.partition, item.n)
    assert [attempt.outcome for attempt in attempts] == ["unreachable", "delivered"]


async def test_only_events_of_the_time_the_types_and_the_account_go(bench: Bench) -> None:
    await bench.learn(*trades(3))
    await bench.backend.clock.advance(MINUTE)
    since = bench.now
    wanted = await bench.learn(a_trade_closed(an_account(login=7001)))
    await bench.learn(a_trade_closed(an_account(login=7002)))
    await bench.backend.clock.advance(MINUTE)
    until = bench.now - 1
    await bench.learn(a_trade_closed(an_account(login=7001)))
    await bench.passed_on()

    replay = await bench.start(since=since, until=until, types=("trade.closed",), account="live-1:7001")

    assert await bench.work(replay) == ids_of(wanted)


async def test_an_event_that_names_its_endpoints_goes_to_those_alone(bench: Bench) -> None:
    await bench.learn(addressed("ep_2"))
    (own,) = await bench.learn(addressed("ep_1"))
    await bench.passed_on()
    await bench.backend.endpoints.replace(ENDPOINT, ENDPOINT._replace(events=("balance.*",)))

    assert await bench.work(await bench.start()) == [own.ref]


async def test_what_the_endpoint_s_filter_holds_back_is_not_replayed(bench: Bench) -> None:
    await bench.learn(a_trade_closed(lots="1"))
    (wanted,) = await bench.learn(a_trade_closed(lots="3"))
    await bench.passed_on()
    await bench.backend.endpoints.replace(
        ENDPOINT, ENDPOINT._replace(options=EndpointOptions(where="data.lots > 2"))
    )

    assert await bench.work(await bench.start()) == [wanted.ref]


async def test_missing_leaves_out_what_was_delivered_and_what_waits(bench: Bench) -> None:
    delivered, waits, exhausted, cancelled, never = await bench.learn(*trades(5))
    await bench.passed_on()
    await bench.deliver(delivered, DeliveryState.DELIVERED)
    await bench.deliver(waits, DeliveryState.WAITING)
    await bench.deliver(exhausted, DeliveryState.EXHAUSTED)
    await bench.deliver(cancelled, DeliveryState.CANCELLED)
    await bench.deliver(never, DeliveryState.DELIVERED, endpoint="ep_other")
    since = bench.now - 86_400_000_000

    counted = await bench.desk.preview("ep_1", _asked({"missing": True, "since": since}))
    replay = await bench.start(missing=True, since=since)
    received = await bench.work(replay)

    assert sorted(received) == ids_of([exhausted, cancelled, never])
    assert counted is not None
    assert (counted.queued, counted.matching, counted.delivered, counted.waiting) == (3, 5, 1, 1)
    assert counted.complete
    assert (await bench.state(replay)).left_out == 2
    # Asked again, nothing is missing any more.
    assert await bench.work(await bench.start(missing=True, since=since)) == []


async def test_missing_reaches_no_further_back_than_it_is_known_what_was_delivered(bench: Bench) -> None:
    with pytest.raises(ReplayRefused, match="is known since"):
        await bench.start(missing=True, since=bench.now - 31 * 86_400_000_000)


async def test_one_event_goes_whatever_the_endpoint_wants_now(bench: Bench) -> None:
    (item, other) = await bench.learn(a_deposit(), a_deposit())
    await bench.passed_on()

    replay = await bench.start(event=item.ref)

    assert await bench.work(replay) == [item.ref]
    assert (await bench.state(replay)).queued == 1
    with pytest.raises(ReplayRefused, match="there is no event"):
        await bench.start(event="evt_" + "a" * 26)
    await bench.deliver(other, DeliveryState.WAITING)
    with pytest.raises(ReplayRefused, match="waits for this endpoint already"):
        await bench.start(event=other.ref)


async def test_what_was_not_passed_on_yet_goes_out_without_the_replay(bench: Bench) -> None:
    items = await bench.learn(*trades(2))
    await bench.passed_on()
    late = await bench.learn(*trades(2))

    replay = await bench.start()
    await bench.passed_on()

    received = await bench.work(replay)
    assert sorted(received) == ids_of(items)
    assert not set(received) & set(ids_of(late))


async def test_one_event_waits_until_it_is_known_who_is_sent_it_anyway(bench: Bench) -> None:
    (item,) = await bench.learn(a_trade_closed())
    replay = await bench.start(event=item.ref)

    await bench.replaying.round()
    assert await bench.waiting() == []

    await bench.passed_on()
    await bench.backend.clock.advance(MINUTE)
    assert await bench.work(replay) == [item.ref]


# --- room, pace, and who may stop it


async def test_no_more_than_a_batch_waits_to_be_sent(bench: Bench) -> None:
    await bench.learn(*trades(3 * BATCH))
    await bench.passed_on()
    replay = await bench.start(rate=1_000)

    for _ in range(5):
        await bench.replaying.round()
        await bench.backend.clock.advance(MINUTE)
        assert len(await bench.waiting()) == BATCH

    assert len(await bench.work(replay)) == 3 * BATCH


async def test_live_deliveries_that_wait_leave_a_replay_no_room(bench: Bench) -> None:
    items = await bench.learn(*trades(BATCH + 1))
    await bench.passed_on()
    live = [
        Delivery("ep_1", item.partition, item.n, item.ref, DeliveryState.WAITING, 0, bench.now, bench.now)
        for item in items[:BATCH]
    ]
    await bench.backend.deliveries.fan_out({}, live)
    replay = await bench.start()

    await bench.replaying.round()
    assert len(await bench.waiting()) == BATCH
    assert (await bench.state(replay)).place == replay.place

    await bench.receive()
    await bench.backend.clock.advance(MINUTE)
    await bench.replaying.round()
    # What was live was delivered meanwhile; a replay that is not for missing ones alone delivers it again.
    assert len(await bench.waiting()) == BATCH


async def test_a_rate_is_never_exceeded(bench: Bench) -> None:
    await bench.learn(*trades(60))
    await bench.passed_on()
    replay = await bench.start(rate=10)
    begun = bench.now
    received: list[tuple[int, int]] = []

    while (await bench.state(replay)).state is ReplayState.RUNNING:
        due = await bench.replaying.round()
        received.append((bench.now, len(await bench.receive())))
        await bench.backend.clock.advance(max(due - bench.now, 1) * MICROSECOND)

    total = 0
    for at, count in received:
        total += count
        assert total <= 10 * (at - begun) / 1_000_000 + 10 // 4
    assert total == 60


async def test_paused_it_queues_nothing_and_resumed_it_goes_on_from_there(bench: Bench) -> None:
    items = await bench.learn(*trades(40))
    await bench.passed_on()
    replay = await bench.start(rate=40)
    await bench.replaying.round()
    received = await bench.receive()

    await bench.desk.turn(replay.id, ReplayState.PAUSED, "somebody")
    for _ in range(5):
        await bench.backend.clock.advance(MINUTE)
        await bench.replaying.round()
    assert await bench.waiting() == []
    assert (await bench.state(replay)).reason == "by somebody"

    await bench.desk.turn(replay.id, ReplayState.RUNNING, "somebody")
    received += await bench.work(replay)
    assert sorted(received) == ids_of(items)


async def test_cancelled_it_ends_for_good(bench: Bench) -> None:
    await bench.learn(*trades(40))
    await bench.passed_on()
    replay = await bench.start()
    await bench.replaying.round()

    await bench.desk.turn(replay.id, ReplayState.CANCELLED, "somebody")
    queued = len(await bench.receive())
    await bench.backend.clock.advance(MINUTE)
    await bench.replaying.round()

    assert await bench.waiting() == []
    after = await bench.state(replay)
    assert (after.state, after.queued, after.ended_at is not None) == (ReplayState.CANCELLED, queued, True)
    assert (await bench.desk.turn(replay.id, ReplayState.CANCELLED, "somebody")) == after
    with pytest.raises(ReplayRefused, match="only one that is paused can be running"):
        await bench.desk.turn(replay.id, ReplayState.RUNNING, "somebody")
    assert await bench.desk.turn("rpl_x", ReplayState.RUNNING, "somebody") is None


async def test_a_disabled_endpoint_holds_it_up_and_a_deleted_one_ends_it(bench: Bench) -> None:
    await bench.learn(*trades(2))
    await bench.passed_on()
    replay = await bench.start()
    await bench.backend.endpoints.replace(ENDPOINT, ENDPOINT._replace(state="disabled"))

    await bench.replaying.round()
    assert await bench.waiting() == []
    assert (await bench.state(replay)).state is ReplayState.RUNNING
    with pytest.raises(ReplayRefused, match="enable the endpoint first"):
        await bench.start()
    # Nor is anything queued by a step that had read the endpoint before.
    assert await bench.backend.store.replays.step(replay, Step("", 0, 1, 0, over=True), [], bench.now) is None

    await bench.backend.endpoints.delete("ep_1")
    await bench.backend.clock.advance(MINUTE)
    await bench.replaying.round()
    after = await bench.state(replay)
    assert (after.state, after.reason) == (ReplayState.CANCELLED, "the endpoint was deleted")
    assert await bench.desk.start("ep_1", _asked({}), "somebody") is None
    assert await bench.desk.preview("ep_1", _asked({})) is None


@pytest.mark.parametrize("mine", [True, False])
async def test_paused_it_ends_too_when_its_endpoint_goes_and_at_the_next_start_at_the_latest(
    bench: Bench, mine: bool
) -> None:
    """In whoever's process: of an endpoint that is gone nobody is the owner."""
    await bench.backend.endpoints.create(an_endpoint("ep_2"))
    paused, running = await bench.start(), await bench.start()
    other = await bench.desk.start("ep_2", _asked({}), "somebody")
    assert other is not None
    for each in (paused, other):
        await bench.desk.turn(each.id, ReplayState.PAUSED, "somebody")
    await bench.backend.endpoints.delete("ep_1")

    bench.again()
    bench.replaying._owns = lambda _endpoint: mine
    await bench.replaying.round()

    for each in (paused, running):
        ended = await bench.state(each)
        assert (ended.state, ended.reason) == (ReplayState.CANCELLED, "the endpoint was deleted")
        assert ended.ended_at == ended.updated_at == bench.now
    assert (await bench.state(other)).state is ReplayState.PAUSED
    assert await bench.backend.store.replays.end_orphans(bench.now) == 0
    await bench.backend.endpoints.delete("ep_2")
    await bench.desk.endpoint_deleted()  # as the interface does: nobody has to wait for a look
    assert (await bench.state(other)).state is ReplayState.CANCELLED


# --- crashes, and two at once


async def test_killed_anywhere_it_goes_on_where_it_was(bench: Bench) -> None:
    items = await bench.learn(*trades(50))
    await bench.passed_on()
    replay = await bench.start(rate=1_000)
    received: list[str] = []

    while (await bench.state(replay)).state is ReplayState.RUNNING:
        await bench.replaying.round()
        received += await bench.receive()
        await bench.backend.reopen()
        bench.again()

    assert sorted(received) == ids_of(items)  # none lost, and none twice


async def test_a_step_from_where_it_no_longer_stands_changes_nothing(bench: Bench) -> None:
    await bench.learn(*trades(20))
    await bench.passed_on()
    replay = await bench.start()
    await bench.replaying.round()
    standing = await bench.state(replay)
    waiting = await bench.waiting()

    other = Delivery("ep_1", 0, 999, "evt_x", DeliveryState.WAITING, 0, bench.now, bench.now)
    step = Step("somewhere", bench.now, 1, 0, over=False)
    assert await bench.backend.store.replays.step(replay, step, [other], bench.now) is None

    assert await bench.state(replay) == standing
    assert await bench.waiting() == waiting


@pytest.mark.parametrize("to", [ReplayState.PAUSED, ReplayState.CANCELLED])
async def test_a_step_that_began_before_it_was_stopped_queues_nothing(bench: Bench, to: ReplayState) -> None:
    (item,) = await bench.learn(*trades(1))
    await bench.passed_on()
    replay = await bench.start()
    await bench.desk.turn(replay.id, to, "somebody")
    offered = Delivery(
        "ep_1", item.partition, item.n, item.ref, DeliveryState.WAITING, 0, bench.now, bench.now
    )

    step = Step("here", bench.now, 1, 0, over=True)
    assert await bench.backend.store.replays.step(replay, step, [offered], bench.now) is None

    assert await bench.waiting() == []
    assert (await bench.state(replay)).state is to


async def test_what_came_to_wait_since_it_was_looked_at_is_not_queued_again(bench: Bench) -> None:
    waits, delivered, owed = await bench.learn(*trades(3))
    await bench.passed_on()
    replay = await bench.start(missing=True, since=bench.now - 1)
    await bench.deliver(waits, DeliveryState.WAITING)
    await bench.deliver(delivered, DeliveryState.DELIVERED)
    offered = [
        Delivery("ep_1", item.partition, item.n, item.ref, DeliveryState.WAITING, 0, bench.now, bench.now)
        for item in (waits, delivered, owed)
    ]

    put = await bench.backend.store.replays.step(
        replay, Step("here", bench.now, 3, 0, over=True), offered, bench.now
    )

    assert put == offered[2:]
    assert (await bench.state(replay)).left_out == 2


async def test_two_at_once_for_one_endpoint_queue_nothing_twice(bench: Bench) -> None:
    items = await bench.learn(*trades(30))
    await bench.passed_on()
    since = bench.now - 1
    one, two = await bench.start(missing=True, since=since), await bench.start(missing=True, since=since)

    received = await bench.work(one)
    received += await bench.work(two)

    assert sorted(received) == ids_of(items)


async def test_who_lost_the_endpoint_queues_nothing(postgres: PostgresBackend) -> None:
    await postgres.endpoints.create(ENDPOINT)
    bench = Bench(postgres)
    await bench.learn(*trades(3))
    await bench.passed_on()
    replay = await bench.start()
    await postgres.clock.advance(timedelta(hours=2))
    await postgres.store.leases.take("partitions", "another process", timedelta(hours=1))

    with pytest.raises(LeaseLost):
        await postgres.store.replays.step(replay, Step("", 0, 1, 0, over=True), [], bench.now)
    await bench.replaying.round()  # which lets it be

    assert await bench.waiting() == []
    assert await bench.state(replay) == replay


# --- rows


async def test_replays_are_listed_the_newest_first_and_by_endpoint_and_state(bench: Bench) -> None:
    made = []
    for _ in range(3):
        made.append(await bench.start())
        await bench.backend.clock.advance(MINUTE)
    await bench.desk.turn(made[1].id, ReplayState.PAUSED, "somebody")

    first = await bench.desk.page(after="", limit=2)
    rest = await bench.desk.page(after=first.next or "", limit=2)
    assert [each.id for each in (*first.items, *rest.items)] == [each.id for each in reversed(made)]
    assert rest.next is None
    paused = await bench.desk.page(after="", limit=10, endpoint="ep_1", state="paused")
    assert [each.id for each in paused.items] == [made[1].id]
    assert (await bench.desk.page(after="", limit=10, endpoint="ep_2")).items == []
    assert [each.id for each in await bench.backend.store.replays.running()] == [made[0].id, made[2].id]
    with pytest.raises(BadCursor):
        await bench.desk.page(after="nonsense", limit=2)


async def test_so_many_are_open_and_old_ones_go(bench: Bench) -> None:
    first = await bench.start()
    for number in range(MOST_OPEN - 1):
        assert await bench.backend.store.replays.add(first._replace(id=f"rpl_{number}"))

    with pytest.raises(ReplayRefused, match="as many replays as there may be"):
        await bench.start()

    await bench.desk.turn(first.id, ReplayState.CANCELLED, "somebody")
    await bench.backend.clock.advance(timedelta(days=91))
    await bench.start()
    assert await bench.desk.get(first.id) is None


async def test_a_range_that_is_none_is_refused(bench: Bench) -> None:
    with pytest.raises(ReplayRefused, match=f"since lies after {iso(bench.now)[:19]}"):
        await bench.start(since=bench.now + 1)


async def test_room_is_counted_up_to_a_bound(bench: Bench) -> None:
    rows = [
        Delivery("ep_1", 0, n, "evt_x", DeliveryState.WAITING, 0, bench.now + n - 5, bench.now)
        for n in range(1, 11)
    ]
    await bench.backend.deliveries.fan_out({}, rows)
    replays = bench.backend.store.replays

    assert await replays.room("ep_1", bench.now, MOST_WAITING) == Room(5, 10)
    assert await replays.room("ep_1", bench.now, 4) == Room(4, 4)
    assert await replays.room("ep_2", bench.now, 4) == Room(0, 0)


async def test_waiting_wins_over_delivered(bench: Bench) -> None:
    (item,) = await bench.learn(*trades(1))
    await bench.passed_on()
    await bench.deliver(item, DeliveryState.DELIVERED)
    replays = bench.backend.store.replays
    place = (item.partition, item.n)
    assert await replays.standing("ep_1", [place]) == {place: Standing.DELIVERED}

    await bench.start()
    await bench.replaying.round()

    assert await replays.standing("ep_1", [place, (63, 99)]) == {place: Standing.WAITING}
    assert await replays.standing("ep_2", [place]) == {}


async def test_a_page_before_a_moment_begins_with_the_first_event_learned_then(bench: Bench) -> None:
    learned: list[tuple[int, str]] = []
    for fact in trades(12):
        (item,) = await bench.learn(fact)
        learned.append((item.at, item.ref))
        await bench.backend.clock.advance(timedelta(seconds=1))

    for at, _ in [*learned, (learned[0][0] - 5, ""), (learned[-1][0] + 1, "")]:
        place = await bench.backend.store.replays.place_before(at)
        page = await bench.backend.store.browser.events(after=place, limit=100)
        assert [item.ref for item in page.items] == [ref for moment, ref in learned if moment >= at]


# --- the difference of two sets

FATES = st.lists(
    st.tuples(
        st.sampled_from(["trade", "deposit"]),
        st.lists(
            st.sampled_from([DeliveryState.DELIVERED, DeliveryState.EXHAUSTED, DeliveryState.CANCELLED]),
            max_size=3,
        ),
        st.booleans(),  # and waits again after those
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fates=FATES, rate=st.sampled_from([1, 7, 1_000]), crash_after=st.integers(0, 6))
def test_missing_delivers_exactly_what_matches_and_was_never_delivered(
    tmp_path_factory: pytest.TempPathFactory,
    fates: list[tuple[str, list[DeliveryState], bool]],
    rate: int,
    crash_after: int,
) -> None:
    folder = tmp_path_factory.mktemp("replay") / "data"
    asyncio.run(_exactly_the_difference(folder, fates, rate, crash_after))


async def _exactly_the_difference(
    folder: Path, fates: list[tuple[str, list[DeliveryState], bool]], rate: int, crash_after: int
) -> None:
    from conformance.backends import SqliteBackend

    backend = await SqliteBackend(folder).open()
    try:
        await backend.endpoints.create(ENDPOINT)
        bench = Bench(backend)
        expected: list[str] = []
        for kind, states, waits in fates:
            (item,) = await bench.learn(a_trade_closed() if kind == "trade" else a_deposit())
            await bench.passed_on()
            for state in states:
                await bench.deliver(item, state)
                await backend.clock.advance(MINUTE)
            if waits:
                await bench.deliver(item, DeliveryState.WAITING)
            if kind == "trade" and DeliveryState.DELIVERED not in states and not waits:
                expected.append(item.ref)
        replay = await bench.start(missing=True, since=bench.now - 86_400_000_000, rate=rate)
        received: list[str] = []
        for _ in range(crash_after):
            await bench.replaying.round()
            received += await bench.receive()
            await backend.reopen()
            bench.again()
        if (await bench.state(replay)).state is ReplayState.RUNNING:
            received += await bench.work(replay)
        assert sorted(received) == sorted(expected)
    finally:
        await backend.close()
