"""What streams rely on, over every store: behind a place stands everything, once, in order, and nothing that is not asked for."""

import random
from datetime import timedelta

import pytest
from conformance.backends import PostgresBackend, SqliteBackend, StoreBackend, error_of

from hub.bus.feed import BadPlace, FeedLog, TooOld, decode, encode
from hub.bus.log import Input, InputKind, NewInput
from hub.clock import to_us
from hub.ids import PARTITIONS
from hub.testing import MORNING, a_deposit, a_trade_closed, an_account

SECOND = timedelta(seconds=1)
LOGINS = range(7001, 7013)


def feed(store: StoreBackend) -> FeedLog:
    return store.store.feed


async def some_events(store: StoreBackend, rounds: int = 3) -> list[str]:
    """Append events of many accounts, inputs that are no events between them, a second apart."""
    ids = []
    for _ in range(rounds):
        facts = [a_trade_closed(an_account(login=login)) for login in LOGINS]
        ids += [appended.id for appended in await store.log.append(facts)]
        command = NewInput(5, InputKind.COMMAND, "", "look", b"{}")
        await store.log.append([], inputs=[command])
        await store.clock.advance(SECOND)
    return ids


async def rows_after(
    log: FeedLog, place: list[int], accounts: frozenset[str] | None = None, limit: int = 5
) -> tuple[list[Input], list[int]]:
    """Read on until there is nothing more, taking the place with us as text now and then."""
    found: list[Input] = []
    axes = log.axes_of(accounts)
    for _ in range(1_000):
        stretch = await log.after(place, axes, accounts, limit)
        found += stretch.rows
        told = encode(log.axes, {axis: stretch.place[axis] for axis in axes})
        place = await decode(told, log, axes)
        if stretch.done:
            return found, place
    raise AssertionError("the stretches do not end")


async def test_behind_the_beginning_stands_every_event_once(store: StoreBackend) -> None:
    told = await some_events(store)

    rows, place = await rows_after(feed(store), [0] * feed(store).axes)

    assert sorted(row.ref for row in rows) == sorted(told)
    for partition in range(PARTITIONS):
        numbers = [row.n for row in rows if row.partition == partition]
        assert numbers == sorted(numbers)
    assert place == await feed(store).end()


async def test_behind_any_row_stands_what_came_after_it(store: StoreBackend) -> None:
    told = await some_events(store)
    log = feed(store)
    rows, _ = await rows_after(log, [0] * log.axes)

    for cut in range(0, len(rows), 7):
        place = [0] * log.axes
        for row in rows[:cut]:
            place[log.axis(row)] = log.number(row)
        rest, _ = await rows_after(log, place)
        assert sorted([row.ref for row in rows[:cut]] + [row.ref for row in rest]) == sorted(told)


async def test_of_some_accounts_come_their_events_alone(store: StoreBackend) -> None:
    await some_events(store)
    wanted = frozenset({"live-1:7001", "live-1:7004"})

    rows, _ = await rows_after(feed(store), [0] * feed(store).axes, wanted)

    assert {row.key for row in rows} == wanted
    assert len(rows) == 6


async def test_the_end_is_behind_everything_and_what_follows_comes(store: StoreBackend) -> None:
    await some_events(store)
    end = await feed(store).end()

    assert (await rows_after(feed(store), end))[0] == []
    [appended] = await store.log.append([a_deposit()])
    assert [row.ref for row in (await rows_after(feed(store), end))[0]] == [appended.id]


async def test_since_a_time_comes_what_was_learned_then_or_later(store: StoreBackend) -> None:
    told = await some_events(store)
    a_round = len(LOGINS)

    for seconds, missing in ((0, 0), (1, a_round), (1.5, 2 * a_round), (2, 2 * a_round), (9, 3 * a_round)):
        place = await feed(store).at(to_us(MORNING + seconds * SECOND))
        rows, _ = await rows_after(feed(store), place)
        assert sorted(row.ref for row in rows) == sorted(told[missing:]), seconds


async def test_an_empty_log_has_a_beginning_and_an_end(store: StoreBackend) -> None:
    log = feed(store)
    for place in (await log.end(), await log.at(to_us(MORNING)), [0] * log.axes):
        assert place == [0] * log.axes
        assert await rows_after(log, place) == ([], place)


async def test_what_is_not_kept_any_more_is_not_passed_over_in_silence(store: StoreBackend) -> None:
    await some_events(store)
    log = feed(store)
    await store.clock.advance(timedelta(days=401))
    [last] = await store.log.append([a_deposit(an_account(login=7001))])
    await store.store.pruner.prune()

    for accounts in (None, frozenset({"live-1:7001"})):
        error = await error_of(log.after([0] * log.axes, log.axes_of(accounts), accounts, 5))
        assert isinstance(error, TooOld)
    kept = await log.at(to_us(MORNING))
    rows, _ = await rows_after(log, kept)
    assert rows[-1].ref == last.id


async def test_a_place_from_before_the_hub_moved_goes_on(postgres: PostgresBackend) -> None:
    told = await some_events(postgres)
    log = feed(postgres)
    rows = sorted((await rows_after(log, [0] * log.axes))[0], key=lambda row: row.rank)

    for cut in (0, 1, 13, len(rows)):
        rank = rows[cut - 1].rank if cut else 0
        place = await decode(encode(1, {0: rank}), log, log.axes_of(None))
        rest, _ = await rows_after(log, place)
        assert sorted(row.ref for row in rest) == sorted(row.ref for row in rows[cut:])
    assert len(rows) == len(told)


async def test_a_place_of_several_processes_means_nothing_here(sqlite: SqliteBackend) -> None:
    log = feed(sqlite)

    with pytest.raises(BadPlace):
        await decode(encode(PARTITIONS, dict.fromkeys(range(PARTITIONS), 3)), log, log.axes_of(None))


async def test_a_place_of_few_accounts_does_not_stand_for_all(postgres: PostgresBackend) -> None:
    log = feed(postgres)
    one = encode(PARTITIONS, {7: 3})

    with pytest.raises(BadPlace, match="fewer accounts"):
        await decode(one, log, log.axes_of(None))
    assert (await decode(one, log, [7]))[7] == 3


async def test_places_stay_short(store: StoreBackend) -> None:
    log = feed(store)
    dice = random.Random(3)
    place = [dice.randrange(2**33) for _ in range(log.axes)]

    told = encode(log.axes, dict(enumerate(place)))

    assert len(told) <= 512  # what a query may hold
    assert await decode(told, log, range(log.axes)) == place
