"""What every log promises: acknowledged means stored, once, in order, numbered without gaps."""

import asyncio
import random

import apsw
import pytest
from conformance.backends import SqliteBackend, assert_numbered_without_gaps, rows_of
from conformance.following import every_row_comes_once

from hub.bus.log import Appended, Input, InputKind, Lane, Mark
from hub.ids import PARTITIONS, account_key, partition_of
from hub.testing import (
    a_deposit,
    a_trade_closed,
    an_account,
    an_account_state,
    an_event,
    an_input,
    awaited,
    next_number,
)


async def test_every_fact_gets_its_answer_in_order(hub: SqliteBackend) -> None:
    facts = [a_trade_closed(), a_deposit(), a_trade_closed(an_account(login=7002))]

    answers = await hub.log.append(facts)

    assert answers == [Appended(fact.envelope.id, duplicate=False, mismatch=False) for fact in facts]


async def test_an_append_of_nothing_is_answered_with_nothing(hub: SqliteBackend) -> None:
    assert await hub.log.append([]) == []
    assert list(hub.log.heads()) == [0] * PARTITIONS


async def test_what_is_acknowledged_is_there_for_another_connection(sqlite: SqliteBackend) -> None:
    fact = a_trade_closed()

    await sqlite.log.append([fact])

    other = apsw.Connection(str(sqlite.folder / "hub.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert other.execute("SELECT ref FROM input").fetchall() == [(fact.envelope.id,)]
    other.close()


async def test_a_row_says_what_the_fact_said(hub: SqliteBackend) -> None:
    account = an_account("live-1", 7001)
    fact = a_trade_closed(account, lots="2.5")

    await hub.log.append([fact])

    [row] = await rows_of(hub.log, fact.partition)
    assert row.partition == partition_of("live-1", 7001)
    assert row.kind == InputKind.EVENT
    assert row.key == account_key("live-1", 7001)
    assert row.ref == fact.envelope.id
    assert row.at == hub.clock.now_us()
    assert (row.n, row.sequence) == (1, 1)
    assert b'"lots":"2.5"' in row.body


# --- duplicates


async def test_a_fact_told_twice_in_one_call_is_stored_once(hub: SqliteBackend) -> None:
    fact = a_trade_closed()

    answers = await hub.log.append([fact, fact])

    assert [answer.duplicate for answer in answers] == [False, True]
    assert answers[0].id == answers[1].id
    await assert_numbered_without_gaps(hub.log, [fact])


@pytest.mark.parametrize("restart", [False, True])
async def test_a_fact_told_again_later_is_a_duplicate(hub: SqliteBackend, restart: bool) -> None:
    numbered, hashed = a_trade_closed(), a_deposit(ticket=None)
    await hub.log.append([numbered, hashed])
    if restart:
        await hub.reopen()

    answers = await hub.log.append([hashed, a_trade_closed(), numbered])

    assert [answer.duplicate for answer in answers] == [True, False, True]
    assert [answer.mismatch for answer in answers] == [False, False, False]


@pytest.mark.parametrize("apart", ["one call", "two calls", "a restart between"])
async def test_other_content_under_the_same_key_is_told_and_the_first_stands(
    hub: SqliteBackend, apart: str
) -> None:
    deal = next_number()
    first, other = a_trade_closed(deal=deal, lots="1"), a_trade_closed(deal=deal, lots="2")

    if apart == "one call":
        answers = await hub.log.append([first, other])
    else:
        answers = await hub.log.append([first])
        if apart == "a restart between":
            await hub.reopen()
        answers += await hub.log.append([other])

    assert [answer.duplicate for answer in answers] == [False, True]
    assert [answer.mismatch for answer in answers] == [False, True]
    [row] = await rows_of(hub.log, first.partition)
    assert b'"lots":"1"' in row.body


async def test_one_deal_number_on_two_servers_is_two_facts(hub: SqliteBackend) -> None:
    deal = next_number()
    facts = [a_trade_closed(an_account(server), deal=deal) for server in ("live-1", "live-2")]

    answers = await hub.log.append(facts)

    assert [answer.duplicate for answer in answers] == [False, False]


async def test_many_tellers_of_one_fact_agree_on_who_was_first(hub: SqliteBackend) -> None:
    fact = a_trade_closed()

    async with asyncio.TaskGroup() as group:
        tellings = [group.create_task(awaited(hub.log.append([fact]))) for _ in range(40)]

    assert sum(not telling.result()[0].duplicate for telling in tellings) == 1
    await assert_numbered_without_gaps(hub.log, [fact])


# --- numbering


async def test_concurrent_appends_leave_no_gaps(hub: SqliteBackend) -> None:
    facts = [a_trade_closed(an_account(login=login)) for login in range(7001, 7021) for _ in range(5)]
    random.Random(7).shuffle(facts)

    async with asyncio.TaskGroup() as group:
        for start in range(0, len(facts), 3):
            group.create_task(awaited(hub.log.append(facts[start : start + 5])))

    await assert_numbered_without_gaps(hub.log, facts)


async def test_numbers_go_on_after_a_restart(hub: SqliteBackend) -> None:
    before, after = [a_trade_closed() for _ in range(3)], [a_trade_closed() for _ in range(3)]
    await hub.log.append(before)

    await hub.reopen()
    heads = list(hub.log.heads())
    await hub.log.append(after)

    assert heads[before[0].partition] == 3
    await assert_numbered_without_gaps(hub.log, before + after)


async def test_one_accounts_facts_keep_the_order_they_were_told_in(hub: SqliteBackend) -> None:
    facts = [a_trade_closed() for _ in range(200)]

    for start in range(0, 200, 50):
        await hub.log.append(facts[start : start + 50])

    rows = await rows_of(hub.log, facts[0].partition)
    assert [row.ref for row in rows] == [fact.envelope.id for fact in facts]
    assert [row.sequence for row in rows] == list(range(1, 201))


async def test_an_input_that_is_no_event_takes_no_number_of_the_account(hub: SqliteBackend) -> None:
    fact = a_trade_closed()
    command = an_input(fact.partition, key=fact.account)

    await hub.log.append([fact], inputs=[command])
    await hub.log.append([a_trade_closed()])

    rows = await rows_of(hub.log, fact.partition)
    assert [(row.n, row.sequence) for row in rows] == [(1, 1), (2, None), (3, 2)]


# --- entities


async def test_a_state_that_comes_back_is_a_new_fact(hub: SqliteBackend) -> None:
    states = ["gold", "vip", "gold"]

    answers = [(await hub.log.append([an_account_state(state)]))[0] for state in states]

    assert [answer.duplicate for answer in answers] == [False, False, False]
    assert len({answer.id for answer in answers}) == 3


async def test_states_that_come_and_go_in_one_append_are_as_many_facts(hub: SqliteBackend) -> None:
    answers = await hub.log.append([an_account_state(state) for state in ("gold", "vip", "gold", "gold")])
    answers += await hub.log.append([an_account_state(state) for state in ("gold", "vip")])

    assert [answer.duplicate for answer in answers] == [False, False, False, True, True, False]
    assert len({answer.id for answer in answers if not answer.duplicate}) == 4


@pytest.mark.parametrize("restart", [False, True])
async def test_a_state_told_twice_in_a_row_is_one_fact(hub: SqliteBackend, restart: bool) -> None:
    await hub.log.append([an_account_state("gold")])
    if restart:
        await hub.reopen()

    answers = await hub.log.append(
        [an_account_state("gold"), an_account_state("vip"), an_account_state("vip")]
    )

    assert [answer.duplicate for answer in answers] == [True, False, True]
    assert not any(answer.mismatch for answer in answers)


async def test_entities_do_not_disturb_each_other(hub: SqliteBackend) -> None:
    facts = [an_account_state("gold", an_account(login=login)) for login in (7001, 7002)]
    facts.append(an_account_state("gold", what="leverage"))

    answers = await hub.log.append(facts)

    assert [answer.duplicate for answer in answers] == [False, False, False]
    assert len({answer.id for answer in answers}) == 3


async def test_a_fact_with_fields_within_fields_is_stored(hub: SqliteBackend) -> None:
    fact = an_event("account.updated", an_account(), changed={"group": {"before": "a", "after": "vip"}})

    await hub.log.append([fact])

    [row] = await rows_of(hub.log, fact.partition)
    assert b'"after":"vip"' in row.body


# --- marks


async def test_marks_are_remembered_with_the_facts(hub: SqliteBackend) -> None:
    await hub.log.append(
        [a_trade_closed()], marks=[Mark("live-1", "cursor", b"17"), Mark("live-1", "day", b"x")]
    )
    await hub.log.append([], marks=[Mark("live-1", "cursor", b"18"), Mark("live-2", "cursor", b"1")])

    await hub.reopen()

    assert dict(await hub.log.marks("live-1")) == {"cursor": b"18", "day": b"x"}
    assert dict(await hub.log.marks("nobody")) == {}


async def test_a_mark_without_a_value_is_forgotten(hub: SqliteBackend) -> None:
    await hub.log.append([], marks=[Mark("live-1", "cursor", b"17")])

    await hub.log.append([], marks=[Mark("live-1", "cursor", None)])

    assert dict(await hub.log.marks("live-1")) == {}


async def test_the_last_mark_of_one_name_in_a_call_stands(hub: SqliteBackend) -> None:
    await hub.log.append([], marks=[Mark("s", "a", b"1"), Mark("s", "a", None), Mark("s", "a", b"3")])

    assert dict(await hub.log.marks("s")) == {"a": b"3"}


# --- inputs


@pytest.mark.parametrize("restart", [False, True])
async def test_a_unique_input_is_taken_once(hub: SqliteBackend, restart: bool) -> None:
    unique = an_input(3, unique="approval:1")
    await hub.log.append([], inputs=[unique, unique])
    if restart:
        await hub.reopen()

    await hub.log.append(
        [], inputs=[unique, an_input(4, unique="approval:1"), an_input(3, unique="approval:2")]
    )

    assert len(await rows_of(hub.log, 3)) == 2
    assert await rows_of(hub.log, 4) == []


async def test_an_input_without_a_name_is_taken_every_time(hub: SqliteBackend) -> None:
    await hub.log.append([], inputs=[an_input(3), an_input(3)])

    assert [row.n for row in await rows_of(hub.log, 3)] == [1, 2]


# --- reading


async def test_reading_goes_on_after_a_position_and_stops_at_the_limit(hub: SqliteBackend) -> None:
    await hub.log.append([], inputs=[an_input(i % 3, ref=str(i)) for i in range(600)])

    rows = await hub.log.read(1, 70, 90)

    assert [row.n for row in rows] == list(range(71, 161))
    assert {row.partition for row in rows} == {1}
    assert await hub.log.read(1, 200, 10) == []
    assert await hub.log.read(5, 0, 10) == []


async def test_a_scan_meets_every_row_once_in_order_of_rank(hub: SqliteBackend) -> None:
    await hub.log.append([], inputs=[an_input(i % 7) for i in range(50)])

    seen: list[Input] = []
    while rows := await hub.log.scan(seen[-1].rank if seen else 0, 8):
        seen += rows

    assert len({(row.partition, row.n) for row in seen}) == 50
    assert [row.rank for row in seen] == sorted(row.rank for row in seen)


@pytest.mark.parametrize("seed", range(6))
async def test_a_scan_from_the_start_of_any_positions_misses_nothing(hub: SqliteBackend, seed: int) -> None:
    rng = random.Random(seed)
    await hub.log.append([], inputs=[an_input(min(rng.randrange(9), rng.randrange(9))) for _ in range(900)])
    heads = hub.log.heads()
    positions = [rng.randint(0, head) if rng.random() < 0.7 else head for head in heads]

    scanned = await hub.log.scan(await hub.log.start(positions), 10_000)

    beyond = {(row.partition, row.n) for row in scanned if row.n > positions[row.partition]}
    assert len(beyond) == sum(heads) - sum(positions)


async def test_a_scan_from_the_heads_meets_only_what_is_new(hub: SqliteBackend) -> None:
    await hub.log.append([], inputs=[an_input(i) for i in range(20)])
    start = await hub.log.start(hub.log.heads())
    assert await hub.log.scan(start, 10) == []

    await hub.log.append([], inputs=[an_input(5)])

    assert [(row.partition, row.n) for row in await hub.log.scan(start, 10)] == [(5, 2)]


async def test_an_event_is_found_by_its_key(hub: SqliteBackend) -> None:
    fact = a_trade_closed()
    await hub.log.append([a_trade_closed(), fact])

    found = await hub.log.find(fact.key)

    assert found is not None
    assert found.ref == fact.envelope.id
    assert await hub.log.find(a_trade_closed().key) is None
    assert await hub.log.find(a_deposit(ticket=None, comment="nobody told").key) is None


async def test_the_bulk_lane_stores_the_same_and_answers_the_same(hub: SqliteBackend) -> None:
    facts = [a_trade_closed(an_account(login=7000 + i % 11)) for i in range(600)]

    answers = await hub.log.append(facts, lane=Lane.BULK, marks=[Mark("import", "line", b"600")])

    assert [answer.id for answer in answers] == [fact.envelope.id for fact in facts]
    assert dict(await hub.log.marks("import")) == {"line": b"600"}
    await assert_numbered_without_gaps(hub.log, facts)


# --- following


async def test_a_follower_gets_every_row_once_while_others_append(sqlite: SqliteBackend) -> None:
    await every_row_comes_once(sqlite.store.log, tellers=30, each=12)


async def test_two_followers_at_different_places_both_see_what_they_miss(sqlite: SqliteBackend) -> None:
    await sqlite.log.append([], inputs=[an_input(1) for _ in range(10)])
    behind, ahead = [0] * PARTITIONS, [0] * PARTITIONS
    behind[1], ahead[1] = 3, 9
    followers = [sqlite.store.follow(behind), sqlite.store.follow(ahead)]

    await sqlite.log.append([], inputs=[an_input(1)])

    async with asyncio.timeout(10):
        first = [row.n for row in await followers[0].take(100)]
        second = [row.n for row in await followers[1].take(100)]
    assert (first, second) == ([4, 5, 6, 7, 8, 9, 10, 11], [10, 11])
