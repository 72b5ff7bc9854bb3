"""What every store of the engine promises: a batch is written whole or not at all, and once."""

from dataclasses import replace
from datetime import timedelta

import apsw
import pytest
from conformance.backends import SqliteBackend, rows_of

from hub.bus.log import Input, InputKind, NewInput
from hub.clock import to_us
from hub.engine.keys import partition_of
from hub.engine.rows import (
    ApprovalMove,
    ApprovalRow,
    Batch,
    LevelRow,
    Peak,
    RunRow,
    SeriesRow,
    StateRow,
    TimerRow,
    TraceRow,
)
from hub.errors import LeaseLost, StoreUnavailable
from hub.ids import PARTITIONS
from hub.testing import MORNING, a_trade_closed, an_account, an_input, an_intent

KEY = "live-1:7001"
NOW = to_us(MORNING)


def a_timer(name: str, due: int = NOW, partition: int = 0) -> TimerRow:
    return TimerRow(partition, due, name, KEY, "window", b"{}")


def a_trace(n: int, *, at: int = NOW, name: str = "0", workflow: str = "bonus") -> TraceRow:
    return TraceRow(0, n, name, workflow, KEY, at, "fired", b"{}")


def a_level(name: str, *, generation: int = 1, state: str = "new") -> LevelRow:
    return LevelRow(0, name, KEY, "equity", "below", "900", "950", generation, state)


def an_approval(name: str) -> ApprovalRow:
    return ApprovalRow(
        0,
        name,
        KEY,
        "bonus",
        "r1",
        "ok",
        "Bonus",
        KEY,
        "money.approve",
        "open",
        NOW,
        NOW + 9,
        "hash",
        b"{}",
        b"{}",
    )


def a_run(name: str, state: str = "running", *, partition: int = 0, at: int = NOW) -> RunRow:
    return RunRow(partition, name, KEY, "bonus", "v1", state, at, b"{}")


# --- what is known of a key


async def test_what_was_committed_is_loaded_again(hub: SqliteBackend) -> None:
    await hub.decide(
        positions={0: 7},
        states=[StateRow(0, KEY, 1, "lots", b"2.5"), StateRow(0, KEY, 2, "lots", b"x"), StateRow(0, "other", 1, "a", b"1")],
        series=[SeriesRow(0, KEY, "day", 20, "b", "2"), SeriesRow(0, KEY, "day", 10, "a", "1")],
        levels=[a_level("l1")],
    )  # fmt: skip
    await hub.reopen()

    rows = await hub.engine.load([(0, KEY), (0, "other"), (0, "nobody")])

    assert sorted(rows[KEY].states) == [(1, "lots", b"2.5"), (2, "lots", b"x")]
    assert [tuple(row) for row in rows[KEY].series] == [("day", 10, "a", "1"), ("day", 20, "b", "2")]
    assert list(rows[KEY].levels) == [a_level("l1")]
    assert list(rows["other"].states) == [(1, "a", b"1")]
    assert (list(rows["nobody"].states), list(rows["nobody"].series), list(rows["nobody"].levels)) == (
        [],
        [],
        [],
    )


async def test_positions_belong_to_the_engine_and_start_at_nothing(hub: SqliteBackend) -> None:
    assert await hub.engine.positions("engine") == [0] * PARTITIONS

    await hub.decide(positions={3: 17, 5: 2})
    await hub.decide(positions={5: 4})
    await hub.reopen()

    positions = await hub.engine.positions("engine")
    assert (positions[3], positions[5], sum(positions)) == (17, 4, 21)


async def test_each_consumer_has_positions_of_its_own(sqlite: SqliteBackend) -> None:
    await sqlite.decide(positions={3: 17})
    await sqlite.deliveries.fan_out({3: 2}, [])

    assert (await sqlite.engine.positions("engine"))[3] == 17
    assert (await sqlite.deliveries.fanned_out())[3] == 2
    assert await sqlite.engine.positions("somebody else") == [0] * PARTITIONS


async def test_a_row_without_a_value_is_deleted(hub: SqliteBackend) -> None:
    await hub.decide(
        states=[StateRow(0, KEY, 1, "a", b"1"), StateRow(0, KEY, 1, "b", b"2")],
        series=[SeriesRow(0, KEY, "day", 10, "a", "1"), SeriesRow(0, KEY, "day", 11, "a", "2")],
        levels=[a_level("l1"), a_level("l2")],
    )

    await hub.decide(
        states=[StateRow(0, KEY, 1, "a", None), StateRow(0, KEY, 1, "never there", None)],
        series=[SeriesRow(0, KEY, "day", 10, "a", None)],
        levels=[a_level("l1", state="gone")],
    )

    rows = (await hub.engine.load([(0, KEY)]))[KEY]
    assert list(rows.states) == [(1, "b", b"2")]
    assert [tuple(row) for row in rows.series] == [("day", 11, "a", "2")]
    assert [level.level_id for level in await hub.engine.levels()] == ["l2"]


async def test_the_last_word_of_a_batch_stands(hub: SqliteBackend) -> None:
    await hub.decide(
        states=[
            StateRow(0, KEY, 1, "a", b"1"),
            StateRow(0, KEY, 1, "a", None),
            StateRow(0, KEY, 1, "b", None),
            StateRow(0, KEY, 1, "b", b"2"),
        ],
        levels=[a_level("l1", generation=1), a_level("l1", generation=2, state="armed")],
        runs=[a_run("r1"), a_run("r1", "done")],
    )

    rows = (await hub.engine.load([(0, KEY)]))[KEY]
    run = await hub.engine.run("r1")
    assert list(rows.states) == [(1, "b", b"2")]
    assert list(rows.levels) == [a_level("l1", generation=2, state="armed")]
    assert run is not None
    assert run.state == "done"


async def test_a_level_is_replaced_by_its_next_generation(hub: SqliteBackend) -> None:
    await hub.decide(levels=[a_level("l1")])

    await hub.decide(levels=[a_level("l1", generation=2, state="crossed")])

    assert await hub.engine.levels() == [a_level("l1", generation=2, state="crossed")]


async def test_a_peak_is_kept_beside_what_the_engine_writes_of_its_row(hub: SqliteBackend) -> None:
    trail = a_level("t1", state="trail")._replace(side="max", rule='{"sampled":true}')
    await hub.decide(levels=[trail, a_level("l1")])

    await hub.engine.save_peaks(
        [Peak(0, "t1", 1, "950.5"), Peak(0, "never there", 1, "1")], [await hub.lease()]
    )
    await hub.decide(levels=[trail._replace(threshold="940")])
    await hub.reopen()

    found = {level.level_id: level for level in await hub.engine.levels()}
    assert found == {"t1": trail._replace(threshold="940", peak="950.5"), "l1": a_level("l1")}
    assert trail._replace(threshold="940", peak="950.5") in (await hub.engine.load([(0, KEY)]))[KEY].levels


async def test_a_peak_of_an_earlier_generation_counts_for_nothing(hub: SqliteBackend) -> None:
    trail = a_level("t1", state="trail")
    await hub.decide(levels=[trail])
    await hub.engine.save_peaks([Peak(0, "t1", 1, "950")], [await hub.lease()])

    await hub.decide(levels=[trail._replace(generation=2)])
    await hub.engine.save_peaks([Peak(0, "t1", 1, "960")], [await hub.lease()])

    assert await hub.engine.levels() == [trail._replace(generation=2)]


async def test_a_watcher_whose_partition_is_somebody_elses_writes_no_peak(hub: SqliteBackend) -> None:
    await hub.decide(levels=[a_level("t1", state="trail")])
    lease = await hub.lease()

    with pytest.raises(LeaseLost):
        await hub.engine.save_peaks([Peak(0, "t1", 1, "950")], [lease._replace(epoch=lease.epoch - 1)])

    assert await hub.engine.levels() == [a_level("t1", state="trail")]


async def test_the_keys_of_a_partition_are_walked_in_order(hub: SqliteBackend) -> None:
    keys = [f"live-1:{login}" for login in range(7000, 7010)]
    await hub.decide(states=[StateRow(2, key, kind, "a", b"1") for key in keys for kind in (1, 2)])
    await hub.decide(states=[StateRow(3, "elsewhere", 1, "a", b"1")])

    walked: list[str] = []
    while found := await hub.engine.keys(2, walked[-1] if walked else "", 3):
        walked += found

    assert walked == keys


# --- all or nothing, once


def everything() -> Batch:
    fact = a_trade_closed(an_account("live-1", 9001), deal=555)
    return Batch(
        positions={0: 5},
        states=[StateRow(0, KEY, 1, "a", b"1")],
        series=[SeriesRow(0, KEY, "day", 10, "a", "1")],
        timers=[a_timer("t1")],
        levels=[a_level("l1")],
        runs=[a_run("r1")],
        approvals=[an_approval("a1")],
        approval_moves=[ApprovalMove("a1", "approved", b"{}")],
        intents=[an_intent("i1")],
        facts=[fact],
        traces=[a_trace(5)],
    )


async def contents(hub: SqliteBackend) -> list[object]:
    rows = (await hub.engine.load([(0, KEY)]))[KEY]
    return [
        await hub.engine.positions("engine"),
        (list(rows.states), list(rows.series), list(rows.levels)),
        await hub.engine.run("r1"),
        await hub.intent("i1"),
        await hub.engine.traces(workflow="bonus", key=KEY, limit=10),
        await hub.log.scan(0, 100),
        list(hub.log.heads()),
    ]


@pytest.mark.parametrize("restart", [False, True])
async def test_the_same_batch_again_changes_nothing(hub: SqliteBackend, restart: bool) -> None:
    lease = await hub.lease()
    await hub.engine.commit(everything(), [lease])
    before = await contents(hub)
    if restart:
        await hub.reopen()

    await hub.engine.commit(everything(), [lease])

    assert await contents(hub) == before
    assert await hub.engine.fire_timers(NOW, 10) == 1


async def test_an_intent_that_is_there_is_left_as_it_is(hub: SqliteBackend) -> None:
    await hub.add_intents(an_intent("i1", due=NOW))

    await hub.add_intents(an_intent("i1", due=NOW + 99), an_intent("i2"))

    intent = await hub.intent("i1")
    assert intent is not None
    assert intent.due == NOW
    assert await hub.intent("i2") is not None


async def test_a_timer_that_is_there_is_left_as_it_is(hub: SqliteBackend) -> None:
    await hub.decide(timers=[a_timer("t1")])

    await hub.decide(timers=[a_timer("t1")._replace(body=b"another")])

    assert await hub.engine.fire_timers(NOW, 10) == 1
    assert [row.body for row in await hub.log.scan(0, 10)] == [a_timer("t1").body]


TABLES = (
    "position",
    "state_change",
    "series_change",
    "level",
    "timer",
    "run",
    "approval",
    "trace",
    "intent",
    "input",
    "fact",
    "head",
)


@pytest.mark.parametrize("table", TABLES)
async def test_a_fault_anywhere_in_a_commit_leaves_nothing_of_it(sqlite: SqliteBackend, table: str) -> None:
    lease = await sqlite.lease()
    before = await contents(sqlite)
    await _sql(
        sqlite, f"CREATE TRIGGER fault BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'fault'); END"
    )

    with pytest.raises(StoreUnavailable, match="fault"):
        await sqlite.engine.commit(everything(), [lease])

    assert await contents(sqlite) == before
    await _sql(sqlite, "DROP TRIGGER fault")
    await sqlite.engine.commit(everything(), [lease])
    [row] = await sqlite.log.scan(0, 10)
    assert (row.n, row.rank, row.sequence) == (1, 1, 1)


async def _sql(sqlite: SqliteBackend, statement: str) -> None:
    await sqlite.store.writer.submit(lambda connection: connection.execute(statement).fetchall())


async def test_the_owner_of_an_old_epoch_writes_nothing(hub: SqliteBackend) -> None:
    old = await hub.lease("this process", timedelta(seconds=1))
    await hub.clock.advance(timedelta(seconds=1))
    new = await hub.lease("another process")
    before = await contents(hub)

    mail = [NewInput(9, InputKind.MAIL, "client=anna", "evt_1", b"{}")]
    with pytest.raises(LeaseLost, match="partitions"):
        await hub.engine.commit(replace(everything(), mail=mail), [old])

    assert await contents(hub) == before
    await hub.engine.commit(everything(), [new])
    assert await hub.intent("i1") is not None


async def test_a_lease_nobody_gave_is_no_lease(sqlite: SqliteBackend) -> None:
    lease = await sqlite.lease()
    forged = [
        lease._replace(name="never taken"),
        lease._replace(epoch=lease.epoch + 1),
        lease._replace(owner="somebody else"),
    ]

    for other in forged:
        with pytest.raises(LeaseLost):
            await sqlite.engine.commit(everything(), [other])

    assert await sqlite.log.scan(0, 10) == []


async def test_a_lease_that_was_seized_is_lost_to_its_owner_though_the_name_is_the_same(
    sqlite: SqliteBackend,
) -> None:
    old = await sqlite.lease()

    new = await sqlite.store.leases.seize("partitions", old.owner, timedelta(hours=1))

    assert new.epoch == old.epoch + 1
    with pytest.raises(LeaseLost):
        await sqlite.engine.commit(everything(), [old])
    await sqlite.engine.commit(everything(), [new])


async def test_events_of_a_batch_enter_the_log_and_are_told(sqlite: SqliteBackend) -> None:
    heard: list[Input] = []
    sqlite.store.log.listen(heard.extend)
    fact = a_trade_closed()

    await sqlite.decide(facts=[fact])

    assert [row.ref for row in heard] == [fact.envelope.id]
    assert sqlite.log.heads()[fact.partition] == 1


async def test_mail_becomes_inputs_of_its_keys_with_the_decision_that_sent_it(hub: SqliteBackend) -> None:
    keys = ["client=anna", "client=ben", "client=anna"]
    mail = [NewInput(partition_of(key), InputKind.MAIL, key, f"evt_{n}", b"{}") for n, key in enumerate(keys)]
    fact = a_trade_closed()

    await hub.decide(positions={0: 1}, facts=[fact], mail=mail)
    await hub.reopen()

    anna, ben = partition_of("client=anna"), partition_of("client=ben")
    assert [(row.kind, row.key, row.ref) for row in await rows_of(hub.log, anna) if row.key] == [
        (InputKind.MAIL, "client=anna", "evt_0"),
        (InputKind.MAIL, "client=anna", "evt_2"),
    ]
    assert [row.ref for row in await rows_of(hub.log, ben) if row.key] == ["evt_1"]


# --- runs, traces, versions


async def test_open_runs_are_those_still_running_in_their_partition(hub: SqliteBackend) -> None:
    await hub.decide(runs=[a_run("r2", at=2), a_run("r1", at=3), a_run("r3", at=1), a_run("r4", partition=9)])
    await hub.decide(runs=[a_run("r3", "done", at=1)])

    assert [run.id for run in await hub.engine.open_runs(0)] == ["r2", "r1"]
    assert await hub.engine.run("r3") == a_run("r3", "done", at=1)
    assert await hub.engine.run("nobody") is None


async def test_traces_are_listed_latest_first_and_page_back(hub: SqliteBackend) -> None:
    await hub.decide(traces=[a_trace(n, at=NOW + n) for n in range(1, 8)] + [a_trace(9, workflow="other")])

    first = await hub.engine.traces(workflow="bonus", key=KEY, limit=4)
    second = await hub.engine.traces(workflow="bonus", key=KEY, limit=4, before=first[-1].at)

    assert [trace.n for trace in first + second] == [7, 6, 5, 4, 3, 2, 1]
    assert await hub.engine.traces(workflow="bonus", key="nobody", limit=4) == []


async def test_a_version_is_kept_as_it_was_first_saved(hub: SqliteBackend) -> None:
    await hub.engine.save_version("h1", "bonus", "text")
    await hub.engine.save_version("h1", "bonus", "another text")
    await hub.reopen()

    assert await hub.engine.version("h1") == "text"
    assert await hub.engine.version("h2") is None


async def test_activating_writes_the_manifest_and_tells_every_partition(hub: SqliteBackend) -> None:
    def told(manifest: str) -> list[NewInput]:
        return [an_input(p, kind=InputKind.ACTIVATED, ref=manifest) for p in range(PARTITIONS)]

    assert await hub.engine.active() is None
    await hub.engine.activate("m1", told("m1"))
    await hub.engine.activate("m2", told("m2"))
    await hub.reopen()

    assert await hub.engine.active() == "m2"
    assert list(hub.log.heads()) == [2] * PARTITIONS
    assert [(row.kind, row.ref) for row in await rows_of(hub.log, 63)] == [
        (InputKind.ACTIVATED, "m1"),
        (InputKind.ACTIVATED, "m2"),
    ]


async def test_an_activation_that_fails_leaves_the_old_manifest(sqlite: SqliteBackend) -> None:
    await sqlite.engine.activate("m1", [an_input(0)])

    with pytest.raises(StoreUnavailable) as caught:
        await sqlite.engine.activate("m2", [an_input(0, body="not bytes")])  # type: ignore[arg-type]  # on purpose

    assert isinstance(caught.value.__cause__, apsw.ConstraintError)
    assert await sqlite.engine.active() == "m1"
    assert sum(sqlite.log.heads()) == 1
