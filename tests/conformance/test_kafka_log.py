"""What is told to Kafka is answered when it is there, in order and in its own partition; without an answer nothing is claimed."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kafka_kit import (
    Remembered,
    a_log,
    an_inbox,
    at,
    by_partition,
    ends,
    facts_of,
    shared_topics,
    taken_until,
    told_facts,
)
from processes.services import Kafka

from hub.bus.kafka.producer import KafkaLog
from hub.bus.kafka.settings import KafkaSettings
from hub.bus.kafka.topics import ensure
from hub.bus.log import Appended, Lane, Mark
from hub.errors import StoreRefused, StoreUnavailable
from hub.events.facts import Fact
from hub.testing import a_deposit, a_trade_closed, an_account, an_account_state, an_event, an_input


@pytest.fixture
def settings(kafka_server: Kafka) -> KafkaSettings:
    return shared_topics(kafka_server.bootstrap)


@pytest.fixture
async def log(settings: KafkaSettings) -> AsyncIterator[KafkaLog]:
    async with a_log(settings) as opened:
        yield opened


async def test_every_fact_is_answered_and_lies_in_its_own_partition_in_order(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    facts = [a_trade_closed(an_account(login=9000 + number % 40)) for number in range(400)]
    starts = await ends(settings)

    answers = await log.append(facts)

    assert answers == [Appended(fact.envelope.id, duplicate=False, mismatch=False) for fact in facts]
    stored = await told_facts(settings, starts, settings.live)
    assert by_partition(stored) == by_partition(facts)
    assert log.waiting == 0
    assert log.acknowledged == 400


async def test_the_bulk_lane_is_a_topic_of_its_own(settings: KafkaSettings, log: KafkaLog) -> None:
    starts = await ends(settings)
    fact = a_trade_closed()

    await log.append([fact], lane=Lane.BULK)

    assert await told_facts(settings, starts, settings.bulk) == [fact]
    assert await told_facts(settings, starts, settings.live) == []


async def test_appends_at_the_same_time_keep_the_order_each_was_given_in(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    account = an_account(login=9100)
    starts = await ends(settings)
    parts = [[a_trade_closed(account) for _ in range(20)] for _ in range(20)]

    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(log.append(part))

    stored = await told_facts(settings, starts, settings.live)
    assert len(stored) == 400
    for part in parts:
        assert [fact for fact in stored if fact in part] == part


async def test_an_append_of_nothing_is_answered_with_nothing_and_asks_no_broker() -> None:
    async with a_log(KafkaSettings(servers="127.0.0.1:1")) as log:
        assert await log.append([]) == []


async def test_a_fact_told_again_is_a_duplicate_and_not_sent_again(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    fact, other = a_trade_closed(), a_deposit(ticket=None)
    starts = await ends(settings)
    await log.append([fact])

    answers = await log.append([fact, other, other])

    assert [(answer.duplicate, answer.mismatch) for answer in answers] == [
        (True, False),
        (False, False),
        (True, False),
    ]
    assert len(await told_facts(settings, starts, settings.live)) == 2


async def test_the_same_key_with_other_content_is_a_mismatch(log: KafkaLog) -> None:
    account = an_account(login=9200)
    first, second = (a_trade_closed(account, deal=4711, lots=lots) for lots in ("1.0", "2.0"))
    assert first.key == second.key
    await log.append([first])

    [answer] = await log.append([second])

    assert (answer.duplicate, answer.mismatch) == (True, True)


async def test_an_entity_is_always_told_for_only_its_owner_knows_whether_it_changed(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    fact = an_account_state("vip")
    starts = await ends(settings)

    answers = await log.append([fact, fact])

    assert answers == [Appended("", duplicate=False, mismatch=False)] * 2
    assert await told_facts(settings, starts, settings.live) == [fact, fact]


async def test_a_fact_that_is_too_large_is_refused_and_nothing_of_its_call_is_sent(
    settings: KafkaSettings, log: KafkaLog
) -> None:
    large = an_event("custom.large", an_account(), text="x" * (2 * 1024 * 1024))
    starts = await ends(settings)

    with pytest.raises(StoreRefused, match="tell it in parts"):
        await log.append([a_trade_closed(), large])

    assert await told_facts(settings, starts, settings.live) == []


async def test_the_largest_fact_there_may_be_arrives(settings: KafkaSettings, log: KafkaLog) -> None:
    large = an_event("custom.large", an_account(), text="x" * (2 * 1024 * 1024 - 1_000))
    starts = await ends(settings)

    await log.append([a_trade_closed(), large, a_trade_closed()])

    async with an_inbox(settings, starts) as inbox:
        assert large in facts_of(await taken_until(inbox, 3))


async def test_inputs_belong_to_owners(log: KafkaLog) -> None:
    with pytest.raises(TypeError, match="owner of their partition"):
        await log.append([], inputs=[an_input()])


async def test_marks_are_written_after_what_they_belong_to(settings: KafkaSettings) -> None:
    marks = Remembered()
    mark = Mark("source", "cursor", b"7")

    async with a_log(settings, marks) as log:
        await log.append([a_trade_closed()], marks=[mark])
        assert await log.marks("source") == {"cursor": b"7"}

    async with a_log(KafkaSettings(servers="127.0.0.1:1"), marks) as log:
        with pytest.raises(StoreUnavailable):
            await log.append([a_trade_closed()], marks=[Mark("source", "cursor", b"8")])
        assert await log.marks("source") == {"cursor": b"7"}


async def test_without_a_broker_an_append_fails_at_once_and_leaves_nothing_behind() -> None:
    async with a_log(KafkaSettings(servers="127.0.0.1:1")) as log:
        async with asyncio.timeout(5):
            for _ in range(20):
                with pytest.raises(StoreUnavailable, match="nothing is lost if it is told again"):
                    await log.append([a_trade_closed()])

        assert (log.waiting, log.acknowledged, log.failures) == (0, 0, 20)


async def test_a_password_file_that_went_missing_is_a_failure_to_be_repeated(tmp_path: Path) -> None:
    settings = KafkaSettings(
        servers="127.0.0.1:1", security="sasl_plaintext", username="hub", password_file=tmp_path / "gone"
    )
    async with a_log(settings) as log:
        with pytest.raises(StoreUnavailable, match="password_file"):
            await log.append([a_trade_closed()])


async def test_nothing_is_told_after_the_end(settings: KafkaSettings) -> None:
    async with a_log(settings) as log:
        await log.append([a_trade_closed()])

    with pytest.raises(StoreUnavailable, match="is stopping"):
        await log.append([a_trade_closed()])


# --- crashes, on a broker that is ours to hurt


async def is_told(log: KafkaLog, fact: Fact) -> bool:
    try:
        await log.append([fact])
    except StoreUnavailable:
        return False
    else:
        return True


async def test_what_is_acknowledged_is_there_after_the_broker_was_killed(hurtable: Kafka) -> None:
    settings = shared_topics(hurtable.bootstrap)
    starts = await ends(settings)
    acknowledged = []
    async with a_log(settings, answer_seconds=3) as log:

        async def tell() -> None:
            for number in range(100_000):
                fact = a_trade_closed(an_account(login=9300 + number % 7))
                try:
                    await log.append([fact])
                except StoreUnavailable:
                    return
                acknowledged.append(fact)

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(tell())
            while len(acknowledged) < 200:
                await asyncio.sleep(0.01)
            await hurtable.kill()

        async with asyncio.timeout(5):  # while it is away, nothing is acknowledged, and soon
            with pytest.raises(StoreUnavailable):
                await log.append([a_trade_closed()])
        await hurtable.start()
        again = a_trade_closed(an_account(login=9300))
        async with asyncio.timeout(30):  # a broker that listens again may have no leader yet
            while not await is_told(log, again):  # a producer made anew
                pass

    stored = await told_facts(settings, starts, settings.live)
    keys = {fact.key for fact in stored}
    assert {fact.key for fact in [*acknowledged, again]} <= keys
    assert len(acknowledged) >= 200


async def test_a_broker_that_is_paused_acknowledges_nothing_and_fails_appends_in_bounded_time(
    hurtable: Kafka,
) -> None:
    settings = shared_topics(hurtable.bootstrap)
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    async with a_log(settings, answer_seconds=1) as log:
        await log.append([a_trade_closed()])
        starts = await ends(settings)
        await hurtable.pause()
        try:
            began = loop.time()
            results = []
            async with asyncio.TaskGroup() as group:
                results = [group.create_task(_failure(log)) for _ in range(50)]
            took = loop.time() - began
            waiting = log.waiting
        finally:
            await hurtable.resume()
        after = [a_trade_closed(an_account(login=9400)) for _ in range(10)]
        await log.append(after)

        assert all(isinstance(result.result(), StoreUnavailable) for result in results)
        assert took < 6
        assert waiting == 0
        stored = await told_facts(settings, starts, settings.live)
        assert [fact for fact in stored if fact in after] == after
    gc.collect()
    assert complaints == []


async def _failure(log: KafkaLog) -> Exception | None:
    try:
        await log.append([a_trade_closed()])
    except StoreUnavailable as error:
        return error
    return None


async def test_no_more_waits_for_an_acknowledgement_than_memory_may_hold(
    hurtable: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.bus.kafka.producer._MOST_WAITING", 10_000)
    settings = shared_topics(hurtable.bootstrap)
    async with a_log(settings, answer_seconds=1) as log:
        await log.append([a_trade_closed()])
        await hurtable.pause()
        try:
            async with asyncio.TaskGroup() as group:
                failures = [group.create_task(_failure(log)) for _ in range(100)]
        finally:
            await hurtable.resume()

    refused = [str(failure.result()) for failure in failures if "may wait" in str(failure.result())]
    assert len(refused) > 50
    assert "try again later" in refused[0]


async def test_topics_made_anew_are_told_to_after_a_failure(hurtable: Kafka) -> None:
    settings = at(hurtable.bootstrap)
    async with a_log(settings, answer_seconds=1) as log:
        with pytest.raises(StoreUnavailable):
            await log.append([a_trade_closed()])
        await ensure(settings)

        [answer] = await log.append([a_trade_closed()])

        assert not answer.duplicate
