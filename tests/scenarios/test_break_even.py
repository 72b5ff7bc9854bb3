"""A position's profit passes a threshold at the broker, and a symbol's spread one that is posted: in both shapes of the hub."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from chaos.town import MT4, Control, configuration
from processes.client import HubClient
from processes.harness import HubProcess, SimProcess
from processes.scaled import Fleet
from processes.services import Kafka, Postgres

SHIPPED = Path(__file__).parents[2] / "workflows" / "break-even-stop.yaml"
WITHIN = 60.0
WIDE = """
schema: 1
id: wide
title: Tell of a spread of more than 3 pips
mode: live
key: symbol
when: [{crosses: {value: symbol.spread, above: 0.0003}}]
steps: [{do: event.publish, with: {type: custom.wide, data: {symbol: = symbol.name, ask: = symbol.ask}}}]
"""
LOTS = "0.10"  # of which 120 points are more than 100 of the account's currency


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[SimProcess]:
    process = SimProcess(tmp_path, rate=0)
    async with AsyncExitStack() as stack:
        await process.start()
        stack.push_async_callback(process.stop)
        yield process


def settings(sim: SimProcess) -> dict[str, Any]:
    config = configuration(sim)
    (mt4,) = [source for source in config["sources"] if source["kind"] == "mt_remote"]
    return {**config, "sources": [{**mt4, "equity": True, "equity_every": "200ms"}]}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "workflows"
    folder.mkdir()
    text = SHIPPED.read_text(encoding="utf-8").replace("mode: shadow", "mode: live")
    (folder / SHIPPED.name).write_text(text, encoding="utf-8")
    (folder / "wide.yaml").write_text(WIDE, encoding="utf-8")
    return folder


async def stops_are_asked_for(sim: SimProcess, client: HubClient) -> None:
    login = sim.on("mt4")[0].login

    async def until_there_is(path: str, what: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
        deadline = time.monotonic() + WITHIN
        while True:
            found = [each for each in (await client.get(path))["items"] if what(each)]
            if found:
                return found[-1]
            assert time.monotonic() < deadline, path
            await asyncio.sleep(0.05)

    async def until_told(kind: str, position: int) -> Mapping[str, Any]:
        path = f"/v1/events?type={kind}&limit=500"
        told = await until_there_is(path, lambda event: event["data"].get("position") == position)
        assert told["account"]["login"] == login
        data: Mapping[str, Any] = told["data"]
        return data

    async def until_watched(position: int) -> None:
        """Return once the hub has seen how the position stands."""
        deadline = time.monotonic() + WITHIN
        while True:
            answer = await client.get("/v1/workflows/break-even-stop/why", key=f"position={MT4}:{position}")
            said = " ".join(each["text"] for each in answer["now"])
            if "is false" in said or "not crossed" in said:
                return
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.05)

    async def intent_for(position: int) -> Mapping[str, Any]:
        wanted = f"break-even-stop/position={MT4}:{position}/crosses/1/move"
        return await until_there_is("/v1/actions", lambda action: action["key"] == wanted)

    async with aiohttp.ClientSession() as session:
        control = Control(sim, session)

        async def act(**act: Any) -> Mapping[str, Any]:
            done: Mapping[str, Any] = await control.post("/sim/do", act)
            return done

        path = "/v1/events?type=account.updated"
        await until_there_is(path, lambda event: bool(event["account"]["login"] == login))
        for side, way, sl in (("buy", 1, "0"), ("sell", -1, "1.5")):
            ticket = (await act(act="open", login=login, symbol="EURUSD", side=side, lots=LOTS, sl=sl))[
                "ticket"
            ]
            price = Decimal((await until_told("trade.opened", ticket))["price"])
            await until_watched(ticket)
            await act(act="move_price", symbol="EURUSD", price=str(price + way * Decimal("0.0120")))

            crossed = await until_told("position.crossed", ticket)
            assert (crossed["field"], crossed["edge"], crossed["limit"]) == ("profit", "crossed", "100")
            assert Decimal(crossed["value"]) > 100
            intent = await intent_for(ticket)
            assert (intent["verb"], intent["account"]) == ("position.modify", f"{MT4}:{login}")
            assert intent["params"]["position"] == ticket
            assert Decimal(intent["params"]["sl"]) == price

        idle = (await act(act="open", login=login, symbol="EURUSD", side="buy", lots=LOTS, sl="0"))["ticket"]
        await until_watched(idle)
        await act(act="close", login=login, ticket=idle)
        await until_told("trade.closed", idle)
        verbs = [each["verb"] for each in (await client.get("/v1/actions"))["items"]]
        assert verbs.count("position.modify") == 2


async def spreads_are_watched(client: HubClient) -> None:
    """Quote symbols that nobody trades, of as many partitions, until each has been wide once."""
    names = {f"SYM{number}" for number in range(8)}
    told: list[Mapping[str, Any]] = []
    deadline = time.monotonic() + WITHIN
    while len(told) < len(names):
        # What was told between two owners of a partition is lost, and followed by the next quote.
        for ask in ("1.0801", "1.0805"):
            at = datetime.now(UTC).isoformat()
            quotes = [{"server": MT4, "symbol": name, "bid": "1.08", "ask": ask, "at": at} for name in names]
            answer = await client.post("/v1/samples", quotes)
            assert (answer["accepted"], answer["rejected"]) == (len(names), 0)
            await asyncio.sleep(0.1)
        told = (await client.get("/v1/events?type=custom.wide&limit=500"))["items"]
        assert time.monotonic() < deadline, told
    assert {each["data"]["symbol"] for each in told} == names
    assert {each["data"]["ask"] for each in told} == {"1.0805"}


@pytest.mark.scenario
@pytest.mark.timeout(240)
async def test_profits_and_spreads_are_watched_by_one_process(
    sim: SimProcess, rules: Path, tmp_path: Path
) -> None:
    hub = HubProcess(tmp_path / "hub", config=settings(sim), workflows=[rules])
    async with AsyncExitStack() as stack:
        await hub.start()
        stack.push_async_callback(hub.stop)
        async with HubClient(hub) as client:
            await stops_are_asked_for(sim, client)
            await spreads_are_watched(client)


@pytest.mark.scenario
@pytest.mark.timeout(240)
async def test_profits_and_spreads_are_watched_by_several_processes(
    sim: SimProcess, rules: Path, tmp_path: Path, postgres_server: Postgres, kafka_server: Kafka
) -> None:
    prefix = f"even-{time.monotonic_ns()}"
    config = settings(sim)
    async with Fleet(
        tmp_path / "fleet", postgres_server, kafka_server, prefix, config=config, workflows=[rules]
    ) as fleet:
        door = await fleet.start("door", "api", "ingest", "dispatch")
        # The partitions of a position and of its account have different owners as often as not.
        await fleet.start("engine-1", "engine")
        await fleet.start("engine-2", "engine")
        async with HubClient(door) as client:
            await stops_are_asked_for(sim, client)
            await spreads_are_watched(client)
