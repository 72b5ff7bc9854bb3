"""What an owner could never take waits for a person, who looks at it, has it tried again, or drops it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from processes.client import HubClient
from processes.scaled import Fleet
from processes.services import Kafka, Postgres
from processes.terminal import ran

from hub.bus.arrival import encode_fact
from hub.testing import a_trade_closed, an_account

REFUSED = "the database refused a transaction: a check"


@pytest.fixture
async def fleet(tmp_path: Path, postgres_server: Postgres, kafka_server: Kafka) -> AsyncIterator[Fleet]:
    async with Fleet(tmp_path, postgres_server, kafka_server, f"refused-{time.monotonic_ns()}") as fleet:
        yield fleet


async def hub(fleet: Fleet, *words: str) -> tuple[int, str, str]:
    config = fleet.processes["all"].data.parent / "hub.yaml"
    code, out, errors = await asyncio.to_thread(ran, "arrivals", *words, "--config", str(config))
    return code, out.strip(), errors.strip()


@pytest.mark.scenario
async def test_a_refused_arrival_is_listed_counted_tried_again_and_dropped(fleet: Fleet) -> None:
    connection = await asyncpg.connect(fleet.dsn)
    try:
        fact = a_trade_closed(an_account(login=77))
        bodies = [encode_fact(fact), b"?nobody can read this"]
        ids = [
            await connection.fetchval(
                "INSERT INTO arrival (partition, body, refused) VALUES ($1, $2, $3) RETURNING rank",
                fact.partition,
                body,
                REFUSED,
            )
            for body in bodies
        ]
        await fleet.start("all")
        async with HubClient(fleet.processes["all"]) as client:
            await _counted(client, 2)
            code, said, _ = await hub(fleet, "list", "--json")
            listed = json.loads(said)
            assert (code, [each["id"] for each in listed], {each["reason"] for each in listed}) == (
                1,
                ids,
                {REFUSED},
            )
            assert listed[0]["event"]["id"] == fact.envelope.id
            assert listed[1]["about"] == "21 bytes nobody can read"
            code, said, _ = await hub(fleet, "show", str(ids[0]))
            assert (code, "trade.closed" in said, str(fact.account) in said) == (0, True, True)

            code, said, _ = await hub(fleet, "retry", str(ids[0]))
            assert (code, "is left for its owner again" in said) == (0, True)
            await _logged(client, fact.envelope.id)
            assert (await hub(fleet, "show", str(ids[0])))[0] == 2

            assert (await hub(fleet, "retry", str(ids[1])))[0] == 0
            unread = await _refused_again(fleet, ids[1])
            assert "upgrade every process of the hub" in unread

            code, _, errors = await hub(fleet, "drop", str(ids[1]), "--because", " ")
            assert (code, errors) == (2, "hub: --because says in 1 to 1000 signs why this may be lost")
            assert (await hub(fleet, "drop", str(ids[1]), "--because", "paid by hand"))[0] == 0
            assert (await hub(fleet, "drop", str(ids[1]), "--because", "twice"))[0] == 2
            assert (await hub(fleet, "list"))[:2] == (0, "none waits for a person")
            code, said, _ = await hub(fleet, "list", "--dropped", "--json")
            assert json.loads(said)[0]["reason"].startswith("dropped because paid by hand: ")
    finally:
        await connection.close()


@pytest.mark.scenario
def test_in_a_hub_on_one_machine_nothing_is_left_for_other_processes() -> None:
    code, _, errors = ran("arrivals", "list")

    assert code == 2
    assert errors.strip() == (
        "hub: a hub on one machine leaves nothing for other processes: `hub arrivals` is for store.postgres and bus.kafka"
    )


async def _counted(client: HubClient, count: int) -> None:
    await _until(lambda: _says(client, f"hub_arrivals_refused {count}.0"), f"{count} are counted")


async def _says(client: HubClient, line: str) -> bool:
    return line in (await client.text("/metrics")).splitlines()


async def _logged(client: HubClient, event: str) -> None:
    async def found() -> bool:
        return event in [each["id"] async for each in client.pages("/v1/events")]

    await _until(found, f"{event} is in the log")


async def _refused_again(fleet: Fleet, number: int) -> str:
    reason = ""

    async def found() -> bool:
        nonlocal reason
        code, said, _ = await hub(fleet, "show", str(number), "--json")
        reason = json.loads(said)["reason"] if code == 0 else ""
        return bool(reason)

    await _until(found, f"{number} is refused again")
    return reason


async def _until(true: Any, what: str, *, within: float = 30.0) -> None:
    deadline = time.monotonic() + within
    while not await true():
        assert time.monotonic() < deadline, f"within {within:g} s it did not happen that {what}"
        await asyncio.sleep(0.05)
