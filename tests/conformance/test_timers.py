"""What every store of the engine promises of timers: each fires once, in order of its time, and becomes an input."""

from conformance.backends import SqliteBackend, rows_of

from hub.bus.log import InputKind
from hub.clock import to_us
from hub.engine.rows import TimerKey, TimerRow
from hub.testing import MORNING

KEY = "live-1:7001"
NOW = to_us(MORNING)


def a_timer(name: str, due: int = NOW, partition: int = 0) -> TimerRow:
    return TimerRow(partition, due, name, KEY, "window", b"{}")


# --- timers


async def fired(hub: SqliteBackend) -> list[str]:
    return [row.ref for row in await hub.log.scan(0, 1_000) if row.kind == InputKind.TIMER]


async def test_due_timers_become_inputs_in_order_and_once(hub: SqliteBackend) -> None:
    due = [("c", 30), ("a", 20), ("b", 20), ("z", 10), ("later", 31)]
    await hub.decide(timers=[a_timer(name, NOW + at, partition=4) for name, at in due])

    counts = [await hub.engine.fire_timers(NOW + 30, 3) for _ in range(3)]

    assert counts == [3, 1, 0]
    assert [ref.rsplit(":", 1)[-1] for ref in await fired(hub)] == ["z", "a", "b", "c"]
    assert {row.key for row in await rows_of(hub.log, 4)} == {KEY}


async def test_timers_that_were_due_while_nobody_ran_fire_after_the_restart(hub: SqliteBackend) -> None:
    await hub.decide(timers=[a_timer("t1", NOW + 10)])

    await hub.reopen()

    assert await hub.engine.fire_timers(NOW + 10_000_000, 10) == 1
    await hub.reopen()
    assert await hub.engine.fire_timers(NOW + 10_000_000, 10) == 0


async def test_a_cancelled_timer_does_not_fire(hub: SqliteBackend) -> None:
    await hub.decide(timers=[a_timer("t1"), a_timer("t2")])

    await hub.decide(cancelled=[TimerKey(0, NOW, "t1"), TimerKey(0, NOW, "never there")])

    assert await hub.engine.fire_timers(NOW, 10) == 1
    assert (await fired(hub))[0].endswith("t2")


async def test_a_timer_is_cancelled_by_its_time_and_its_name(hub: SqliteBackend) -> None:
    await hub.decide(timers=[a_timer("t1", NOW), a_timer("t1", NOW + 1), a_timer("t2", NOW)])

    await hub.decide(cancelled=[TimerKey(0, NOW, "t1"), TimerKey(0, NOW + 1, "t2")])

    assert await hub.engine.fire_timers(NOW + 1, 10) == 2
    assert await fired(hub) == [f"window:{NOW}:t2", f"window:{NOW + 1}:t1"]


async def test_of_many_timers_those_cancelled_do_not_fire_and_the_others_do_once(hub: SqliteBackend) -> None:
    timers = [a_timer(f"t{i:03}", NOW + i % 7, partition=i % 64) for i in range(700)]
    await hub.decide(timers=timers)

    await hub.decide(cancelled=[TimerKey(t.partition, t.due, t.id) for t in timers[::3]])

    counts = [await hub.engine.fire_timers(NOW + 10, 300) for _ in range(3)]
    kept = sorted((t.due, t.id) for i, t in enumerate(timers) if i % 3)
    assert counts == [300, len(kept) - 300, 0]
    assert await fired(hub) == [f"window:{due}:{name}" for due, name in kept]


async def test_timers_of_one_moment_fire_by_name_and_a_limit_between_them_loses_none(
    hub: SqliteBackend,
) -> None:
    await hub.decide(timers=[a_timer(name) for name in ("d", "b", "a", "c", "e")])

    counts = [await hub.engine.fire_timers(NOW, 2) for _ in range(4)]

    assert counts == [2, 2, 1, 0]
    assert [ref.rsplit(":", 1)[-1] for ref in await fired(hub)] == ["a", "b", "c", "d", "e"]


async def test_a_timer_cancelled_and_set_anew_in_one_batch_fires_at_its_new_time(hub: SqliteBackend) -> None:
    await hub.decide(timers=[a_timer("t1", NOW)])

    await hub.decide(cancelled=[TimerKey(0, NOW, "t1")], timers=[a_timer("t1", NOW + 100)])

    assert await hub.engine.fire_timers(NOW + 99, 10) == 0
    assert await hub.engine.fire_timers(NOW + 100, 10) == 1


async def test_the_next_timer_is_never_told_too_late(hub: SqliteBackend) -> None:
    await hub.decide(timers=[a_timer("t1", NOW + 50)])
    assert (hub.engine.next_timer() or 0) <= NOW + 50

    await hub.engine.fire_timers(NOW, 10)
    assert hub.engine.next_timer() == NOW + 50
    await hub.decide(timers=[a_timer("t0", NOW + 20), a_timer("t2", NOW + 70)])
    assert hub.engine.next_timer() == NOW + 20
    await hub.engine.fire_timers(NOW + 50, 1)
    assert hub.engine.next_timer() == NOW + 50
    await hub.engine.fire_timers(NOW + 100, 10)
    assert hub.engine.next_timer() is None
    await hub.decide(timers=[a_timer("t3", NOW + 200)])
    assert hub.engine.next_timer() == NOW + 200
