"""A hub killed on the way, five times or as often as HUB_KILLS says: what it acknowledged, delivered and paid is neither lost nor doubled."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import aiohttp
import pytest
from chaos import town
from chaos.accounting import breaches
from chaos.repeats import Kill, attempts_of, unexplained, unrecorded
from processes.client import HubClient
from processes.harness import HubProcess, SimProcess
from processes.receiver import VerifyingReceiver

SEED = 20260623
EVENTS = 2_000
KILLS = int(os.environ.get("HUB_KILLS", "5"))
POSTED = max(1_500, KILLS * 60)
POSTERS = 4
# A hub sends hundreds a second to catch up, and writes what came of them every few hundredths of a second.
MOST_A_KILL = 100
TRAFFIC_SECONDS = max(14.0, KILLS * 2.8)
# While it is killed every second or two a connector never reads its history to the end: all that waits comes at once.
DRAIN_SECONDS = max(25.0, KILLS * 2.0)


async def kill_now_and_then(hub: HubProcess, dice: random.Random, kills: list[Kill]) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(0.4, 2.2))
        began = time.monotonic()
        await hub.kill()
        await asyncio.sleep(dice.uniform(0.0, 0.3))
        await hub.start()
        kills.append(Kill(began, time.monotonic()))


@pytest.mark.chaos
@pytest.mark.timeout(100 + 10 * KILLS)
async def test_nothing_is_lost_or_doubled_when_the_hub_is_killed_on_the_way(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    sim = SimProcess(tmp_path, seed=7, rate=40)
    await sim.start()
    hub = HubProcess(
        tmp_path, config=town.configuration(sim), workflows=[Path(__file__).parent / "workflows"]
    )
    try:
        async with (
            aiohttp.ClientSession() as session,
            VerifyingReceiver(refusing=0.05, hanging=0.002) as receiver,
            HubClient(hub) as client,
        ):
            control = town.Control(sim, session)
            await control.post("/sim/do", {"act": "stop_traffic"})
            # Held still, the broker lets nobody connect before there is an endpoint that is told of it.
            os.kill(sim.program.pid, signal.SIGSTOP)
            await hub.start()
            endpoint, secret = await client.create_endpoint(receiver.url)
            receiver.trust(secret)
            os.kill(sim.program.pid, signal.SIGCONT)
            await town.connected(client, control, sim)
            state = await control.get("/sim/state")
            movable = [
                account["login"]
                for account in state["accounts"]
                if account["platform"] == "mt4" and account["group"] == "real/std"
            ]
            events = town.closes(POSTED, movable, SEED)
            await control.post("/sim/faults", {"apply_then_drop_answer": {"next": 3, "probability": 0.05}})

            await control.post("/sim/do", {"act": "start_traffic"})
            kills: list[Kill] = []
            source = town.Source(town.parcels(events, SEED), seconds=TRAFFIC_SECONDS, posters=POSTERS)
            async with asyncio.TaskGroup() as group:
                for _ in range(POSTERS):
                    group.create_task(source.post(client))
                group.create_task(kill_now_and_then(hub, dice, kills))
            await control.post("/sim/do", {"act": "stop_traffic"})

            await town.drained(client, receiver, source.acknowledged, within=DRAIN_SECONDS)
            after = await control.get("/sim/state")
            found = await town.records(
                client,
                control,
                receiver,
                acknowledged=frozenset(source.acknowledged),
                expected=town.expected_effects(events),
                told=town.told_by_broker(state["counts"], after["counts"]),
            )

            assert hub.starts == KILLS + 1
            assert client.unanswered > 0, "no post was ever cut off: the kills did not strike"
            assert after["faults"]["apply_then_drop_answer"]["next"] == 0, (
                "no answer of the broker's was lost"
            )
            assert len(source.acknowledged) == POSTED
            assert len(found.logged) >= EVENTS
            # Struck on both of its sends: rare, and a person's business, which is what the policy promises.
            assert sum(action.waits_for_a_person for action in found.asked) < KILLS
            broken = breaches(found)
            assert not broken, "\n".join(broken)
            recorded = await attempts_of(client, endpoint)
            repeated = list(unexplained(receiver.copies, recorded, kills, most_a_kill=MOST_A_KILL))
            assert not repeated, "\n".join(repeated)
            print(
                f"{KILLS} kills, {len(found.logged)} events, {receiver.duplicates} copies more than events, "
                f"{sum(unrecorded(receiver.copies, recorded).values())} of them because of kills"
            )
            assert await hub.stop() == 0
    finally:
        for program in (hub.program, sim.program):
            if program.running:
                await program.kill()
