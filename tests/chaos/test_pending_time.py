"""Ten thousand holds, waits and approvals under way, and a hub that is killed: each ends once, none early, the overdue at once."""

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chaos import pending, town
from chaos.neighbours import Neighbours
from chaos.pending import ASKED, HELD, WAITED, Fired, Listener, Name, Records, breaches
from processes.client import HubClient
from processes.harness import HubProcess

SEED = int(os.environ.get("HUB_TESTS_CHAOS_SEED", "20261121"))
WHOLE = 10_000  # fewer fire too soon for the last kill to strike all three kinds
PENDING = int(os.environ.get("HUB_TESTS_CHAOS_PENDING", str(WHOLE)))
BEGIN_SECONDS = max(PENDING / 700, 3.0)
FIRST_SPAN = int(BEGIN_SECONDS) + 9  # seconds; the kills take their time too
SPANS = {HELD: FIRST_SPAN, WAITED: FIRST_SPAN + 8, ASKED: FIRST_SPAN + 16}
BEGINNING_KILLS, FIRING_KILLS = 3, 2
LAST_KILL = 0.4  # how much of all is due by then, at least
DOWN = timedelta(
    seconds=6
)  # then: long enough for some of each kind to be late by when it is back, however quickly it starts
POSTERS = 4
OVERDUE_WITHIN = 2.0  # seconds from the start, of a machine that nobody else works
LEAST_SHARE = 0.25  # what is left of it at least, by which a longer time is excused
LATE = timedelta(seconds=1.5)
ASKED_WHY = 60
LOOK_EVERY = 0.1
SHOWN = 20
FORGETFUL = (sys.executable, str(Path(__file__).with_name("forgetful.py")))


async def post(client: HubClient, seconds: float, count: int) -> None:
    events = pending.beginnings(count, SEED)
    source = town.Source(town.parcels(events, SEED), seconds=seconds, posters=POSTERS)
    async with asyncio.TaskGroup() as group:
        for _ in range(POSTERS):
            group.create_task(source.post(client))


async def kill_while_they_begin(hub: HubProcess, dice: random.Random) -> None:
    for _ in range(BEGINNING_KILLS):
        await asyncio.sleep(dice.uniform(0.05, max(BEGIN_SECONDS / BEGINNING_KILLS - 2.5, 0.3)))
        await hub.kill()
        await asyncio.sleep(dice.uniform(0.0, 0.3))
        await hub.start()


async def until(moment: datetime) -> None:
    await asyncio.sleep(max((moment - datetime.now(UTC)).total_seconds(), 0.0))


async def kill_while_they_fire(hub: HubProcess, order: Sequence[datetime], dice: random.Random) -> None:
    for share in sorted(dice.uniform(0.02, LAST_KILL - 0.1) for _ in range(FIRING_KILLS)):
        await until(order[int(share * len(order))])
        await hub.kill()
        await hub.start()


async def heard_all(heard: Listener, wanted: frozenset[Name], *, within: float) -> float:
    """Listen until they are all told of, or it is no use; return how long it took."""
    began = time.monotonic()
    while not wanted <= heard.names and time.monotonic() - began < within:
        await asyncio.sleep(LOOK_EVERY)
        await heard.listen()
    return time.monotonic() - began


@pytest.mark.chaos
@pytest.mark.timeout(BEGIN_SECONDS * 4 + 150)
async def test_what_is_pending_outlives_a_hub_that_is_killed_and_what_is_overdue_fires_within_two_seconds(
    tmp_path: Path,
) -> None:
    dice = random.Random(SEED)
    hub = HubProcess(tmp_path, workflows=[pending.write_rules(tmp_path / "rules", SPANS)])
    try:
        await hub.start()
        async with HubClient(hub) as client:
            async with asyncio.TaskGroup() as group:
                group.create_task(post(client, BEGIN_SECONDS, PENDING))
                group.create_task(kill_while_they_begin(hub, dice))
            due = await pending.due_times(client, SPANS)
            assert len(due) == PENDING
            order = sorted(due.values())
            await kill_while_they_fire(hub, order, dice)

            heard = Listener(client)
            await until(order[int(LAST_KILL * PENDING)])
            now = datetime.now(UTC)
            await heard_all(heard, frozenset(name for name, at in due.items() if at <= now), within=15)
            await hub.kill()
            killed, before = datetime.now(UTC), frozenset(heard.names)
            await until(killed + DOWN)
            await hub.start()
            ready, neighbours = datetime.now(UTC), Neighbours(hub.program.pid)
            overdue = frozenset(name for name, at in due.items() if at <= ready) - before
            took = await heard_all(heard, overdue, within=30)
            busy = neighbours.share()
            woke = max(fired.at for fired in heard.fired if fired.name in overdue) - ready

            await until(order[-1])
            await heard_all(heard, frozenset(due), within=15)
            await heard.listen()
            lateness = {fired.name: fired.at - due[fired.name] for fired in heard.fired if fired.name in due}
            late = sorted(name for name, by in lateness.items() if by >= LATE)
            prompt = sorted(name for name, by in lateness.items() if by < LATE / 3)
            found = await pending.reckoned(
                client,
                due,
                heard,
                late=dice.sample(late, min(ASKED_WHY, len(late))),
                prompt=dice.sample(prompt, min(ASKED_WHY, len(prompt))),
            )

            print(
                f"{len(due)} pending, {hub.starts - 1} kills, {len(overdue)} overdue after {(ready - killed).total_seconds():.1f} s away:"
                f" the last of them woke {woke.total_seconds():.2f} s after the hub was ready, and was told of {took:.2f} s after;"
                f" {busy:.0%} of the machine was others'"
            )
            broken = breaches(found)
            assert not broken, "\n".join([f"{len(broken)} promises were broken", *broken[:SHOWN]])
            assert hub.starts == BEGINNING_KILLS + FIRING_KILLS + 2
            assert client.unanswered > 0, "no post was ever cut off: the kills did not strike"
            assert len(overdue) > PENDING / 10
            assert late
            assert PENDING < WHOLE or {kind for kind, _ in late} == {HELD, WAITED, ASKED}
            assert prompt
            assert took * max(1 - busy, LEAST_SHARE) <= OVERDUE_WITHIN
            assert await hub.stop() == 0
    finally:
        if hub.program.running:
            await hub.program.kill()


@pytest.mark.chaos
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("sabotage", "complaint"), [("drop", "fired 0 times, not 1"), ("twice", "fired 2 times, not 1")]
)
async def test_a_hub_that_forgets_timers_or_fires_again_is_found_out(
    tmp_path: Path, sabotage: str, complaint: str
) -> None:
    spans = {HELD: 2, WAITED: 3, ASKED: 4}
    hub = HubProcess(
        tmp_path,
        workflows=[pending.write_rules(tmp_path / "rules", spans)],
        hub=FORGETFUL,
        environment={"HUB_SABOTAGE": sabotage},
    )
    try:
        await hub.start()
        async with HubClient(hub) as client:
            await post(client, 0.5, 150)
            due = await pending.due_times(client, spans)
            heard = Listener(client)
            await until(max(due.values()) + timedelta(seconds=1))
            await heard.listen()

            found = breaches(await pending.reckoned(client, due, heard))

            assert any(complaint in breach for breach in found), found
    finally:
        if hub.program.running:
            await hub.program.kill()


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
A_HOLD, A_WAIT, A_QUESTION = (HELD, 1), (WAITED, 1), (ASKED, 1)


def kept() -> Records:
    names = (A_HOLD, A_WAIT, A_QUESTION)
    return Records(
        due=dict.fromkeys(names, NOON),
        fired=[Fired(name, NOON) for name in names],
        declined=[1],
        approvals=[(1, "expired")],
        runs=[(name, "done") for name in names],
        late={A_HOLD: "lots > 5 is true; late_by 4s"},
        prompt={A_WAIT: "waited until noon"},
    )


def a_lost_hold(records: Records) -> Records:
    return replace(records, fired=records.fired[1:])


def a_wait_that_ended_twice(records: Records) -> Records:
    return replace(records, fired=[*records.fired, records.fired[1]])


def something_nobody_began(records: Records) -> Records:
    return replace(records, fired=[*records.fired, Fired((HELD, 9), NOON)])


def one_that_was_early(records: Records) -> Records:
    early = replace(records.fired[0], at=NOON - timedelta(microseconds=1))
    return replace(records, fired=[early, *records.fired[1:]])


def a_run_made_twice(records: Records) -> Records:
    return replace(records, runs=[*records.runs, records.runs[0]])


def a_run_that_hangs(records: Records) -> Records:
    return replace(records, runs=[(A_HOLD, "running"), *records.runs[1:]])


def an_approval_that_expired_twice(records: Records) -> Records:
    return replace(records, declined=[1, 1])


def an_approval_still_open(records: Records) -> Records:
    return replace(records, approvals=[(1, "open")])


def lateness_that_is_kept_quiet(records: Records) -> Records:
    return replace(records, late={A_HOLD: "lots > 5 is true"})


def lateness_that_is_made_up(records: Records) -> Records:
    return replace(records, prompt={A_WAIT: "waited until noon, late_by 4s"})


SABOTAGE = [
    (a_lost_hold, "('held', 1) fired 0 times, not 1"),
    (a_wait_that_ended_twice, "('waited', 1) fired 2 times, not 1"),
    (something_nobody_began, "('held', 9) fired 1 times, not 0"),
    (one_that_was_early, "before 2026-11-21"),
    (a_run_made_twice, "has a run 2 times"),
    (a_run_that_hangs, "is running"),
    (an_approval_that_expired_twice, "was told of as undecided 2 times"),
    (an_approval_still_open, "the approval of 1 is open"),
    (lateness_that_is_kept_quiet, "its reason does not say so"),
    (lateness_that_is_made_up, "its reason says so"),
]


def test_records_of_a_hub_that_kept_time_show_no_breach() -> None:
    assert breaches(kept()) == []


@pytest.mark.parametrize(("tamper", "complaint"), SABOTAGE, ids=lambda case: getattr(case, "__name__", ""))
def test_every_broken_promise_about_time_is_found(
    tamper: Callable[[Records], Records], complaint: str
) -> None:
    found = breaches(tamper(kept()))

    assert any(complaint in breach for breach in found), found
