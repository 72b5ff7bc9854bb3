"""What was committed is what is loaded: before its place is written, while it is, afterwards, and after a crash."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.engine.rows import Batch, KeyRows, SeriesRow, StateRow
from hub.ids import partition_of
from hub.store.sqlite import journal
from hub.store.sqlite.store import SqliteStore
from hub.testing import open_store

KEYS = [f"live-1:{login}" for login in range(7001, 7006)]


def place(key: str) -> int:
    return partition_of("live-1", int(key.rpartition(":")[2]))


def a_state(key: str, name: str, value: bytes | None) -> StateRow:
    return StateRow(place(key), key, 3, name, value)


def a_contribution(key: str, at: int, value: str | None) -> SeriesRow:
    return SeriesRow(place(key), key, "lots", at, f"deal-{at}", value)


async def commit(store: SqliteStore, *rows: StateRow | SeriesRow) -> None:
    lease = await store.leases.take("hub", "test", timedelta(hours=1))
    assert lease is not None
    batch = Batch()
    batch.states += [row for row in rows if isinstance(row, StateRow)]
    batch.series += [row for row in rows if isinstance(row, SeriesRow)]
    await store.engine.commit(batch, [lease])


async def load(store: SqliteStore, key: str) -> KeyRows:
    return (await store.engine.load([(place(key), key)]))[key]


async def test_a_change_is_loaded_before_it_stands_in_its_place(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await commit(store, a_state(KEYS[0], "total", b"1"), a_contribution(KEYS[0], 5, "2.5"))

        rows = await load(store, KEYS[0])

        assert list(rows.states) == [(3, "total", b"1")]
        assert list(rows.series) == [("lots", 5, "deal-5", "2.5")]
        assert await store.engine.keys(place(KEYS[0]), "", 10) == [KEYS[0]]


async def test_folding_changes_nothing_that_is_loaded(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await commit(store, *(a_state(key, "total", key.encode()) for key in KEYS))
        before = [await load(store, key) for key in KEYS]

        await store.journal.fold()

        assert [await load(store, key) for key in KEYS] == before
        assert store.journal.of(KEYS[0]) is None
        left = await store.reader.read(
            lambda connection: connection.execute("SELECT count(*) FROM state_change").fetchall()
        )
        assert left == [(0,)]


async def test_a_deleted_value_stays_away_though_its_place_still_holds_it(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await commit(store, a_state(KEYS[0], "total", b"1"), a_contribution(KEYS[0], 5, "2"))
        await store.journal.fold()

        await commit(store, a_state(KEYS[0], "total", None), a_contribution(KEYS[0], 5, None))

        assert await load(store, KEYS[0]) == KeyRows([], [], [])
        await store.journal.fold()
        assert await load(store, KEYS[0]) == KeyRows([], [], [])


async def test_what_is_committed_while_folding_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_SLICE", 1)
    async with open_store(tmp_path) as store:
        await commit(store, *(a_state(key, "total", b"old") for key in KEYS))

        async with asyncio.TaskGroup() as group:
            group.create_task(store.journal.fold())
            for key in KEYS:
                await commit(store, a_state(key, "total", b"new"))

        assert [list((await load(store, key)).states) for key in KEYS] == [[(3, "total", b"new")]] * len(KEYS)


@pytest.mark.parametrize("limit", ["ROWS_AT", "CHANGES_AT"])
async def test_a_full_journal_is_folded_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(journal, limit, 3)
    async with open_store(tmp_path) as store:
        stopping = asyncio.Event()
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(store.journal.run(stopping))
            await commit(store, *(a_state(key, "total", b"1") for key in KEYS))
            while store.journal.of(KEYS[0]) is not None:
                await asyncio.sleep(0.005)
            stopping.set()


async def test_rows_that_change_again_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "ROWS_AT", 3)
    async with open_store(tmp_path) as store:
        for number in range(5):
            await commit(
                store, a_state(KEYS[0], "total", b"%d" % number), a_contribution(KEYS[1], 1, str(number))
            )
        assert not store.journal.is_full

        await commit(store, a_state(KEYS[2], "total", b"1"))

        assert store.journal.is_full


change = st.tuples(st.sampled_from(KEYS), st.sampled_from("abc"), st.none() | st.binary(max_size=3))
step = st.lists(change, min_size=1, max_size=4) | st.sampled_from(["fold", "crash"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, max_size=12))
async def test_any_mixture_of_commits_folds_and_crashes_loads_the_latest(
    tmp_path_factory: pytest.TempPathFactory, steps: list[object]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    expected: dict[str, dict[str, bytes]] = {key: {} for key in KEYS}
    remaining = list(steps)
    while True:
        async with open_store(folder) as store:  # leaving without folding is what a crash leaves behind
            for key in KEYS:
                assert {name: value for _, name, value in (await load(store, key)).states} == expected[key]
            while remaining:
                now = remaining.pop(0)
                if now == "crash":
                    break
                if now == "fold":
                    await store.journal.fold()
                    continue
                assert isinstance(now, list)
                await commit(store, *(a_state(key, name, value) for key, name, value in now))
                for key, name, value in now:
                    expected[key].pop(name, None)
                    if value is not None:
                        expected[key][name] = value
            else:
                for key in KEYS:
                    assert {name: value for _, name, value in (await load(store, key)).states} == expected[
                        key
                    ]
                return
