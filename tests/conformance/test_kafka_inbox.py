"""The owner takes what its partitions were told: in order, once, from exactly where it stopped, live before bulk."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import structlog
from aiokafka.admin.records_to_delete import RecordsToDelete
from kafka_kit import (
    ALL,
    a_log,
    an_inbox,
    by_partition,
    ends,
    facts_of,
    put,
    running,
    shared_topics,
    taken_until,
)
from msgspec import structs
from processes.services import Kafka

from hub.bus import told
from hub.bus.kafka.client import Admin, place
from hub.bus.kafka.inbox import KafkaInbox, Taken
from hub.bus.kafka.producer import KafkaLog
from hub.bus.kafka.reader import _Pulse
from hub.bus.kafka.samples import KafkaSamples, SampleInbox, SamplesTold
from hub.bus.kafka.settings import KafkaSettings
from hub.bus.log import Lane
from hub.clock import ManualClock, SystemClock
from hub.errors import StoreUnavailable
from hub.events.facts import Fact
from hub.ids import partition_of, partition_of_key
from hub.ingest.samples import Quote, Sample
from hub.testing import MORNING, a_trade_closed, an_account


@pytest.fixture
def settings(kafka_server: Kafka) -> KafkaSettings:
    return shared_topics(kafka_server.bootstrap)


@pytest.fixture
async def log(settings: KafkaSettings) -> AsyncIterator[KafkaLog]:
    async with a_log(settings) as opened:
        yield opened


def of_many_accounts(count: int) -> list[Fact]:
    return [a_trade_closed(an_account(login=8000 + number % 50)) for number in range(count)]


def of_one_account(count: int, login: int = 8500) -> list[Fact]:
    return [a_trade_closed(an_account(login=login)) for _ in range(count)]


def merged(starts: dict[int, dict[str, int]], parts: Sequence[Taken]) -> dict[int, dict[str, int]]:
    """Return the positions as an owner stores them after taking these parts."""
    positions = {partition: dict(topics) for partition, topics in starts.items()}
    for part in parts:
        for (topic, partition), offset in part.positions.items():
            positions[partition][topic] = offset
    return positions


async def test_everything_told_is_taken_once_and_in_order_of_its_partition(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    starts = await ends(settings)
    facts = of_many_accounts(1_500)

    async with an_inbox(settings, starts) as inbox:
        await log.append(facts)
        parts = await taken_until(inbox, len(facts), limit=100)

    taken = facts_of(parts)
    assert by_partition(taken) == by_partition(facts)
    assert all(len(part.facts) <= 100 for part in parts)
    assert merged(starts, parts) == await ends(settings)


async def test_a_reader_goes_on_exactly_at_the_positions_of_the_last_one(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    starts = await ends(settings)
    facts = of_many_accounts(300)
    await log.append(facts[:150], lane=Lane.BULK)
    await log.append(facts[150:])
    taken: list[Fact] = []

    positions = starts
    while len(taken) < len(facts):  # seven facts each, and what was read ahead is forgotten
        async with an_inbox(settings, positions) as inbox:
            for _ in range(8):
                parts = await taken_until(inbox, 1, limit=7)
                positions = merged(positions, parts)
                taken += facts_of(parts)
                if len(taken) == len(facts):
                    break

    assert len(taken) == len({fact.key for fact in taken}) == len(facts)
    assert by_partition(fact for fact in taken if fact in facts[150:]) == by_partition(facts[150:])


async def test_only_assigned_partitions_are_read_and_an_assignment_replaces_the_one_before(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    facts = of_many_accounts(200)
    starts = await ends(settings)
    first, second = (set(ALL[:32]), set(ALL[32:]))
    await log.append(facts)
    mine = [[fact for fact in facts if fact.partition in half] for half in (first, second)]
    assert all(mine)

    async with an_inbox(settings, {p: starts[p] for p in first}) as inbox:
        parts = await taken_until(inbox, len(mine[0]))
        assert by_partition(facts_of(parts)) == by_partition(mine[0])

        inbox.assign({p: starts[p] for p in second})
        parts = await taken_until(inbox, len(mine[1]))
        assert by_partition(facts_of(parts)) == by_partition(mine[1])

        inbox.assign({})
        await log.append(of_many_accounts(5))
        inbox.assign({p: starts[p] for p in second})
        parts = await taken_until(inbox, len(mine[1]))
        assert set(by_partition(facts_of(parts))) <= second


async def test_what_was_read_ahead_for_an_assignment_that_is_over_is_not_taken(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    starts = await ends(settings)
    facts = of_one_account(100)
    await log.append(facts)

    async with an_inbox(settings, starts) as inbox:
        await taken_until(inbox, 10, limit=10)
        inbox.assign({})
        inbox.wake()

        assert (await inbox.take(1_000, live_backlog=0)).facts == []


async def test_a_wake_ends_a_waiting_take_or_the_next_one(settings: KafkaSettings) -> None:
    async with an_inbox(settings, await ends(settings)) as inbox, asyncio.timeout(5):
        inbox.wake()
        assert (await inbox.take(10, live_backlog=0)).positions == {}

        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(inbox.take(10, live_backlog=0))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            inbox.wake()
        assert waiting.result() == Taken([], 0, {})


# --- the lanes


@asynccontextmanager
async def both_lanes_full(settings: KafkaSettings, log: KafkaLog, count: int) -> AsyncIterator[KafkaInbox]:
    """Yield an inbox that has read ahead `count` facts of each lane."""
    starts = await ends(settings)
    await log.append(of_one_account(count, login=8601), lane=Lane.BULK)
    await log.append(of_one_account(count, login=8602))
    async with an_inbox(settings, starts) as inbox:
        async with asyncio.timeout(20):
            while inbox._live.waiting < count or inbox._bulk.waiting < count:
                await asyncio.sleep(0.01)
        yield inbox


async def test_bulk_has_a_quarter_while_live_waits_and_the_rest_when_it_does_not(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    async with both_lanes_full(settings, log, 400) as inbox:
        parts = [await inbox.take(100, live_backlog=0) for _ in range(8)]

    assert [(part.live, len(part.facts) - part.live) for part in parts] == [
        (75, 25), (75, 25), (75, 25), (75, 25), (75, 25), (25, 75), (0, 100), (0, 100),
    ]  # fmt: skip
    assert all(fact.account.endswith(":8602") for part in parts for fact in part.facts[: part.live])


async def test_bulk_waits_while_a_thousand_live_inputs_do(settings: KafkaSettings, log: KafkaLog) -> None:
    async with both_lanes_full(settings, log, 50) as inbox:
        first = await inbox.take(1_000, live_backlog=1_000)
        second = await inbox.take(1_000, live_backlog=1_000)
        third = await inbox.take(1_000, live_backlog=999)

    assert (first.live, len(first.facts)) == (50, 50)
    assert second == Taken([], 0, {})
    assert (third.live, len(third.facts)) == (0, 50)


async def test_a_live_fact_is_not_kept_waiting_by_an_import(settings: KafkaSettings, log: KafkaLog) -> None:
    starts = await ends(settings)
    await log.append(of_many_accounts(6_000), lane=Lane.BULK)
    async with an_inbox(settings, starts) as inbox:
        await taken_until(inbox, 100, limit=100)
        urgent = a_trade_closed(an_account(login=8700))

        await log.append([urgent])

        # How much of the import is taken before Kafka hands it over says how fast Kafka is. What counts is that it is read
        # while the import is, and taken at once when it is there.
        passed_over = 0
        async with asyncio.timeout(20):
            while True:
                is_there = inbox.live_waiting > 0
                import_goes_on = inbox.lag()[Lane.BULK] > 1_000
                part = await inbox.take(20, live_backlog=0 if import_goes_on else 1_000)
                if urgent in part.facts[: part.live]:
                    break
                passed_over += is_there
                await asyncio.sleep(0.005)  # as long as an owner needs to store them
        assert passed_over == 0
        assert inbox.lag()[Lane.BULK] > 0


async def test_the_lag_of_each_lane_is_known_and_shrinks(settings: KafkaSettings, log: KafkaLog) -> None:
    async with both_lanes_full(settings, log, 60) as inbox:
        assert inbox.lag() == {Lane.LIVE: 60, Lane.BULK: 60}

        await inbox.take(40, live_backlog=1_000)

        assert inbox.lag() == {Lane.LIVE: 20, Lane.BULK: 60}


async def test_reading_ahead_stops_where_memory_would_grow(settings: KafkaSettings, log: KafkaLog) -> None:
    starts = await ends(settings)
    for _ in range(3):
        await log.append(of_many_accounts(2_000))
    async with an_inbox(settings, starts) as inbox:
        async with asyncio.timeout(20):
            while inbox._live.waiting < 2_000:
                await asyncio.sleep(0.01)
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert inbox._live.waiting < 2_500

        assert len(facts_of(await taken_until(inbox, 6_000))) == 6_000


# --- what goes wrong


async def test_records_nobody_can_read_are_counted_and_passed_over(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    starts = await ends(settings)
    before, after = of_one_account(2)
    home = before.partition
    elsewhere = next(fact for fact in of_many_accounts(50) if fact.partition != home)
    hostile = [b"", b"\x00", b"{}", b"\x01" + b"\xff" * 100, told.encode(before)[:-1], told.encode(elsewhere)]
    await log.append([before])
    await put(settings, settings.live, [(home, record) for record in hostile])

    with structlog.testing.capture_logs() as lines:
        async with an_inbox(settings, starts) as inbox:
            await log.append([after])
            parts = await taken_until(inbox, 2)

    assert facts_of(parts) == [before, after]
    assert inbox.malformed == len(hostile)
    assert merged(starts, parts) == await ends(settings)
    passed = [line for line in lines if line["event"] == "kafka.record_passed_over"]
    first = starts[home][settings.live]
    assert [line["offset"] for line in passed] == list(range(first + 1, first + 1 + len(hostile)))
    assert all(line["partition"] == home and line["reason"] for line in passed)


async def test_a_position_moves_over_a_record_that_says_nothing(settings: KafkaSettings) -> None:
    starts = await ends(settings)
    await put(settings, settings.live, [(5, b"nothing")])

    async with an_inbox(settings, starts) as inbox:
        taken = await inbox.take(10, live_backlog=0)

    assert taken == Taken([], 0, {(settings.live, 5): starts[5][settings.live] + 1})


async def test_records_retention_removed_are_counted_and_shouted_about(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    starts = await ends(settings)
    facts = of_one_account(10)
    home = facts[0].partition
    await log.append(facts)
    admin: Any = Admin(settings.connecting())
    await admin.start()
    cut = starts[home][settings.live] + 7
    await admin._client.delete_records({place(settings.live, home): RecordsToDelete(before_offset=cut)})
    await admin.close()

    with structlog.testing.capture_logs() as lines:
        async with an_inbox(settings, starts) as inbox:
            parts = await taken_until(inbox, 3)
            assert inbox.lost() == {Lane.LIVE: 7, Lane.BULK: 0}

    assert facts_of(parts) == facts[7:]
    [line] = [line for line in lines if line["event"] == "kafka.records_lost"]
    assert (line["topic"], line["partition"], line["lost"]) == (settings.live, home, 7)
    assert line["log_level"] == "error"


async def test_a_position_behind_the_end_is_read_again_from_the_beginning(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    starts = await ends(settings)
    fact = a_trade_closed(an_account(login=8800))
    await log.append([fact])
    ahead = {
        fact.partition: {settings.live: 1_000_000_000, settings.bulk: starts[fact.partition][settings.bulk]}
    }

    with structlog.testing.capture_logs() as lines:
        async with an_inbox(settings, ahead) as inbox:
            async with asyncio.timeout(20):
                while fact not in (await inbox.take(1_000, live_backlog=0)).facts:
                    pass

    assert "kafka.offset_beyond_end" in [line["event"] for line in lines]


async def test_an_inbox_waits_for_a_broker_that_is_not_there_and_says_so() -> None:
    settings = KafkaSettings(servers="127.0.0.1:1")
    async with running(KafkaInbox(settings, SystemClock())) as inbox:
        inbox.assign({0: {}})
        async with asyncio.timeout(5):
            while inbox.problem() is None:
                await asyncio.sleep(0.01)
        assert f"topic {settings.live} cannot be read" in inbox.problem()


async def test_brokers_that_say_nothing_for_long_are_noticed() -> None:
    clock = ManualClock(MORNING)
    pulse = _Pulse(clock)
    assert pulse.beats(1)

    await clock.advance(timedelta(seconds=29))
    assert pulse.beats(1)
    assert pulse.beats(2)
    await clock.advance(timedelta(seconds=29))
    assert pulse.beats(2)
    await clock.advance(timedelta(seconds=2))
    assert not pulse.beats(2)

    pulse.skip()  # nobody was asked while memory was full
    assert pulse.beats(2)


async def test_reading_goes_on_when_a_broker_comes_back(hurtable: Kafka) -> None:
    settings = shared_topics(hurtable.bootstrap)
    starts = await ends(settings)
    facts = of_many_accounts(40)
    async with a_log(settings, answer_seconds=5) as log, an_inbox(settings, starts) as inbox:
        await log.append(facts[:20])
        parts = await taken_until(inbox, 20)

        await hurtable.restart()

        await _append_until_acknowledged(log, facts[20:])
        parts += await taken_until(inbox, 20, within=30)
    taken = facts_of(parts)
    assert {fact.key for fact in taken} == {fact.key for fact in facts}
    assert merged(starts, parts) == await ends(settings)


async def _append_until_acknowledged(log: KafkaLog, facts: list[Fact]) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await log.append(facts)
            except StoreUnavailable:
                await asyncio.sleep(0.1)
            else:
                return


# --- samples


def a_sample(login: int, equity: str = "1000.50", *, degraded: bool = False) -> Sample:
    return Sample(
        server="live-1", login=login, equity=Decimal(equity), balance=None, credit=Decimal("0.00"), margin=Decimal(10),
        free_margin=None, margin_level=None, floating=Decimal("-3.5"), at=1_782_205_200_000_000, degraded=degraded,
    )  # fmt: skip


@asynccontextmanager
async def sample_inbox(
    settings: KafkaSettings, partitions: Sequence[int] = ALL
) -> AsyncIterator[SampleInbox[Sample | Quote]]:
    """Yield an inbox that has found the end of its partitions."""
    reading: SampleInbox[Sample | Quote] = SampleInbox(settings, SystemClock(), Sample, Quote)
    async with running(reading) as inbox:
        inbox.assign(partitions)
        async with asyncio.timeout(10):
            while -1 in inbox._reader._next.values():
                await asyncio.sleep(0.01)
        yield inbox


@pytest.fixture
async def sink(settings: KafkaSettings) -> AsyncIterator[KafkaSamples[Sample | Quote]]:
    sink = KafkaSamples[Sample | Quote](settings)
    yield sink
    await sink.close()


async def _samples(inbox: SampleInbox[Sample | Quote], count: int) -> list[Sample | Quote]:
    taken: list[Sample | Quote] = []
    async with asyncio.timeout(10):
        while len(taken) < count:
            taken += await inbox.take(100)
    return taken


async def test_samples_arrive_as_they_were_made_and_in_order_of_each_account(
    settings: KafkaSettings, sink: KafkaSamples[Sample | Quote]
) -> None:
    samples = [a_sample(7000 + n % 20, f"{1000 + n}.25", degraded=n % 10 == 0) for n in range(200)]
    async with sample_inbox(settings) as inbox:
        receipt = await sink.samples(samples)
        taken = await _samples(inbox, len(samples))

    assert receipt == SamplesTold(judged=180, degraded=20)
    for login in range(7000, 7020):
        assert [s for s in taken if isinstance(s, Sample) and s.login == login] == [
            s for s in samples if s.login == login
        ]


async def test_samples_are_read_from_now_on_and_only_those_of_owned_partitions(
    settings: KafkaSettings, sink: KafkaSamples[Sample | Quote]
) -> None:
    old, new, foreign = a_sample(7001, "1"), a_sample(7001, "2"), a_sample(7002)
    home = partition_of("live-1", 7001)
    assert partition_of("live-1", 7002) != home
    await sink.samples([old])

    async with sample_inbox(settings, [home]) as inbox:
        await sink.samples([foreign, new])

        assert await _samples(inbox, 1) == [new]


async def test_quotes_share_the_line_and_go_where_their_symbol_is_watched(
    settings: KafkaSettings, sink: KafkaSamples[Sample | Quote]
) -> None:
    here, there = (
        Quote("live-1", name, Decimal("1.08"), Decimal("1.0801"), 5) for name in ("EURUSD", "GBPUSD")
    )
    sample = a_sample(7001)
    home = partition_of_key("symbol=live-1:EURUSD")
    assert partition_of_key("symbol=live-1:GBPUSD") != home

    async with sample_inbox(settings, [home, sample.partition]) as inbox:
        receipt = await sink.samples([there, here, sample, structs.replace(here, at=6, degraded=True)])

        taken = await _samples(inbox, 3)

    assert receipt == SamplesTold(judged=3, degraded=1)
    assert [each for each in taken if isinstance(each, Quote)] == [
        here,
        structs.replace(here, at=6, degraded=True),
    ]
    assert [each for each in taken if isinstance(each, Sample)] == [sample]


async def test_bytes_that_are_no_sample_are_passed_over(
    settings: KafkaSettings, sink: KafkaSamples[Sample | Quote]
) -> None:
    sample = a_sample(7001)
    home = partition_of("live-1", 7001)
    async with sample_inbox(settings) as inbox:
        await put(
            settings, settings.samples, [(home, b"{}"), (home, b""), (home, b"x" * 70_000), (home, b"\x80")]
        )
        await sink.samples([sample])
        await sink.samples([])

        assert await _samples(inbox, 1) == [sample]
        assert inbox.malformed == 4
        assert inbox.lag() == 0


async def test_samples_that_reach_no_broker_are_an_error_to_their_sender() -> None:
    sink = KafkaSamples[Sample | Quote](KafkaSettings(servers="127.0.0.1:1"))

    with pytest.raises(StoreUnavailable):
        await sink.samples([a_sample(7001)])

    await sink.close()
