"""A fleet under fire: processes killed and paused, servers crashed, networks cut; nothing is lost, doubled or out of order."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from chaos import fleet_town, town
from chaos.accounting import breaches
from chaos.faults import Hand, ProcessFaults, ServerFaults
from chaos.watching import Watch

SEED = int(os.environ.get("HUB_TESTS_CHAOS_SEED", "20261121"))
SECONDS = float(os.environ.get("HUB_TESTS_CHAOS_SECONDS", "60"))
POSTED_PER_SECOND = 25
BROKER_RATE = 10
POSTERS = 4
DRAIN_SECONDS = 60.0 + SECONDS / 10
SHOWN = 20  # promises, of those that were broken


@pytest.mark.fleet
@pytest.mark.timeout(SECONDS * 2 + 300)
async def test_nothing_is_lost_or_doubled_by_a_fleet_under_fire(tmp_path: Path) -> None:
    async with (
        fleet_town.own_servers() as servers,
        fleet_town.open_town(tmp_path, servers, rate=BROKER_RATE, roles=fleet_town.ROLES) as fleet,
    ):
        client, control, receiver = fleet.client, fleet.control, fleet.receiver
        await town.connected(client, control, fleet.sim, mt_remote_sessions=fleet_town.SESSIONS)
        state = await control.get("/sim/state")
        movable = [
            account["login"]
            for account in state["accounts"]
            if account["platform"] == "mt4" and account["group"] == "real/std"
        ]
        posted = int(SECONDS * POSTED_PER_SECOND)
        events = town.closes(posted, movable, SEED)
        await control.post("/sim/faults", {"apply_then_drop_answer": {"next": 3, "probability": 0.05}})
        processes = ProcessFaults(fleet, random.Random(SEED))
        hands = [
            Hand(processes.deck(), random.Random(SEED + 1)),
            Hand(ServerFaults(fleet, random.Random(SEED + 2)).deck(), random.Random(SEED + 3)),
        ]

        source = town.Source(town.parcels(events, SEED), seconds=SECONDS, posters=POSTERS)
        watch = Watch(source.acknowledged, receiver, hands)
        start = datetime.now(UTC)
        await control.post("/sim/do", {"act": "start_traffic"})
        await watch.while_doing(under_fire(fleet, source, hands))
        await control.post("/sim/do", {"act": "stop_traffic"})

        async def told() -> town.Told:
            return town.told_by_broker(state["counts"], (await control.get("/sim/state"))["counts"])

        async def calm() -> float:
            await fleet.heal()
            began = time.monotonic()
            await fleet.all_ready()
            await town.drained(client, receiver, source.acknowledged, within=DRAIN_SECONDS, told=told)
            return time.monotonic() - began

        drained = await watch.while_doing(calm())
        after = await control.get("/sim/state")
        done = Counter(town.told_by_broker(state["counts"], after["counts"]))
        done.update(await town.told_of_before(client, start))
        found = await town.records(
            client,
            control,
            receiver,
            acknowledged=frozenset(source.acknowledged),
            expected=town.expected_effects(events),
            told=done,
        )

        for hand in hands:
            print(hand.story())
        print(
            f"{len(found.logged)} events, {len(found.asked)} actions, {receiver.duplicates} webhooks more than once,"
            f" {sum(client.unanswered for client in fleet.clients)} posts unanswered, all there {drained:.0f} s after the last fault;"
            f" {watch.longest()}"
        )
        fleet.fleet.insist()
        broken = breaches(found)
        if broken:
            (tmp_path / "events.json").write_bytes(
                orjson.dumps([e async for e in client.pages("/v1/events")])
            )
            (tmp_path / "sim.json").write_bytes(
                orjson.dumps([state, after, await control.get("/sim/ledger")])
            )
            (tmp_path / "broken.txt").write_text("\n".join(broken), encoding="utf-8")
            fleet.missing = [name for name in source.acknowledged if name not in receiver.accepted]
        assert not broken, "\n".join(
            [f"{len(broken)} promises were broken; all of them in {tmp_path}/broken.txt", *broken[:SHOWN]]
        )
        assert processes.paused_owners > 0, "nobody who owned anything was paused"
        assert len(source.acknowledged) == posted
        assert after["faults"]["apply_then_drop_answer"]["next"] == 0, "no answer of the broker's was lost"
        strikes = sum(sum(hand.played.values()) for hand in hands)
        # Struck on both of its sends: rare, and a person's business, which is what the policy promises.
        assert sum(action.waits_for_a_person for action in found.asked) < max(strikes / 2, 1)
        assert await fleet.fleet.problems() == {}


async def under_fire(fleet: fleet_town.FleetTown, source: town.Source, hands: Sequence[Hand]) -> None:
    until = time.monotonic() + SECONDS
    async with asyncio.TaskGroup() as group:
        for poster in range(POSTERS):
            group.create_task(source.post(fleet.clients[poster % len(fleet.clients)]))
        for hand in hands:
            group.create_task(hand.play(until))
