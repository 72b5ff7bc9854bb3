"""Live feeds of real processes: followed by the program on the page, by `hub tail`, through kills, and in both shapes."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conformance.feeds_bench import listening
from doc_blocks import DOCS, blocks
from processes.client import HubClient
from processes.harness import HUB, HubProcess
from processes.program import Program, eventually
from processes.scaled import Fleet
from processes.services import Kafka, Postgres
from processes.terminal import ran

PATH = "/v1/events/stream"
FAR_BACK = "2020-01-01T00:00:00Z"


def closed(deal: int, login: int = 7001) -> dict[str, Any]:
    return {
        "type": "trade.closed",
        "timestamp": "2026-06-23T09:00:00.123Z",
        "account": {"server": "live-1", "login": login},
        "data": {
            "deal": deal, "position": deal, "symbol": "EURUSD", "side": "buy", "lots": "1.00", "profit": "-5.00",
        },
    }  # fmt: skip


def opened(deal: int) -> dict[str, Any]:
    event = closed(deal)
    del event["data"]["profit"]
    return {**event, "type": "trade.opened", "data": {**event["data"], "price": "1.1"}}


def sample(login: int, equity: str, second: int) -> dict[str, Any]:
    account = {"server": "live-1", "login": login}
    return {"account": account, "equity": equity, "balance": "900", "at": f"2026-06-23T09:00:{second:02}Z"}


def follow_of_the_page() -> Callable[..., Iterator[dict[str, Any]]]:
    (block,) = blocks(DOCS / "live-feeds.md", "python")
    names: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec"), names)
    return names["follow"]  # type: ignore[no-any-return]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubProcess]:
    (tmp_path / "workflows").mkdir()
    process = HubProcess(tmp_path, workflows=[tmp_path / "workflows"])
    await process.start()
    yield process
    if process.program.running:
        await process.stop()


@pytest.mark.scenario
async def test_the_program_on_the_page_follows_through_kills_without_a_hole(hub: HubProcess) -> None:
    follow = follow_of_the_page()
    found: list[str] = []
    place = ""

    def read(count: int) -> None:
        """Read as the page says: again, with the last place, until there are so many."""
        nonlocal place
        deadline = time.monotonic() + 30
        while len(found) < count:
            assert time.monotonic() < deadline
            try:
                for event in follow(f"{hub.url}{PATH}?since={FAR_BACK}&type=trade.*", hub.key, place):
                    found.append(event["id"])
                    place = event["place"]
                    if len(found) == count:
                        return
            except OSError:
                time.sleep(0.05)

    async with HubClient(hub) as client:
        ids = await client.post_until_acknowledged([closed(n) for n in range(1, 51)])
        await asyncio.to_thread(read, 30)
        reading = asyncio.create_task(asyncio.to_thread(read, 80))
        await hub.kill()
        await hub.start()
        ids += await client.post_until_acknowledged([closed(n) for n in range(51, 101)])
        await reading
        await asyncio.to_thread(read, 100)

    assert found == ids


@pytest.mark.scenario
async def test_hub_tail_goes_on_after_a_kill_and_ends_well_when_interrupted(
    hub: HubProcess, tmp_path: Path
) -> None:
    command = [HUB, "tail", "trade.*", "--since", FAR_BACK, "--json", "--url", hub.url]
    tail = Program(command, tmp_path / "tail.log", environment={"HUB_KEY": hub.key})
    async with HubClient(hub) as client:
        ids = await client.post_until_acknowledged([closed(n) for n in range(1, 21)])
        await tail.start(r'^\{"id"')
        await hub.kill()
        await hub.start()
        ids += await client.post_until_acknowledged([closed(n) for n in range(21, 41)])

        def shown() -> list[str]:
            lines = tail.output().splitlines()
            return [json.loads(line)["id"] for line in lines if line.startswith("{") and line.endswith("}")]

        await eventually(lambda: len(shown()) >= 40, within=30, what="all of it is shown")

    assert shown() == ids
    assert tail._process is not None
    tail._process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(tail._process.wait, 60) == 0
    assert hub.key not in tail.output()


@pytest.mark.scenario
async def test_a_token_is_issued_used_and_revoked_by_hand(hub: HubProcess) -> None:
    def run(*arguments: str) -> str:
        code, out, errors = ran(*arguments, "--url", hub.url, "--key", hub.key)
        assert code == 0, errors
        return out

    async with aiohttp.ClientSession(headers=hub.headers) as session:
        async with session.put(f"{hub.url}/v1/clients/c-1", json={"accounts": ["live-1:7001"]}) as answer:
            assert answer.status == 201
        made = json.loads(
            await asyncio.to_thread(run, "tokens", "create", "c-1", "--expires-in", "1h", "--json")
        )
        [listed] = json.loads(await asyncio.to_thread(run, "tokens", "list", "--json"))
        url = f"{hub.url}/v1/accounts/live-1/7001"
        mine = {"Authorization": f"Bearer {made['token']}"}
        while True:  # until the engine has heard of the account
            async with session.get(url) as answer:
                if answer.status == 200:
                    break
            await asyncio.sleep(0.1)
        async with aiohttp.ClientSession(headers=mine) as phone:
            for accounts, expected in ((["live-1:7001"], 200), ([], 403), (["live-1:7001"], 200)):
                async with session.put(f"{hub.url}/v1/clients/c-1", json={"accounts": accounts}) as answer:
                    assert answer.status == 200
                async with phone.get(url) as answer:  # at once, although it was remembered
                    assert answer.status == expected
            said = await asyncio.to_thread(run, "tokens", "revoke", "--client", "c-1")
            async with phone.get(url) as answer:
                assert answer.status == 401

    assert listed["id"] == made["id"]
    assert said == "1 tokens of c-1 no longer work\n"
    assert made["token"] not in hub.program.output()


@pytest.mark.scenario
async def test_several_processes_feed_streams_of_any_of_them(
    tmp_path: Path, postgres_server: Postgres, kafka_server: Kafka
) -> None:
    """Engines write, others serve the API: a stream resumes at another process, accounts are seen, a revocation is heard."""
    (tmp_path / "workflows").mkdir()
    prefix = f"test-{tmp_path.name[:40]}-{time.monotonic_ns()}"
    async with Fleet(
        tmp_path, postgres_server, kafka_server, prefix, workflows=[tmp_path / "workflows"]
    ) as fleet:
        first, second = await fleet.start("first"), await fleet.start("second", "api")
        mine = {"X-API-Key": fleet.key}
        async with aiohttp.ClientSession() as session, HubClient(second) as client:
            ids: list[str] = []
            async with listening(session, first.url + PATH, mine, since=FAR_BACK, type_="trade.*") as heard:
                ids += await client.post_until_acknowledged([closed(n, 7000 + n % 9) for n in range(1, 31)])
                await heard.until(20)
            got, place = heard.ids, heard.events[-1].place
            ids += await client.post_until_acknowledged([closed(n, 7000 + n % 9) for n in range(31, 61)])
            async with listening(session, second.url + PATH, mine, place=place, type_="trade.*") as again:
                await again.until(60 - len(got))
            assert sorted(got + again.ids) == sorted(ids)

            url = f"{second.url}/v1/accounts/stream"
            async with listening(session, url, mine, interval="100ms", account="live-1:7001") as accounts:
                deadline, second_of = time.monotonic() + 30, 0
                while not any('"equity":"10' in event.data for event in accounts.events):
                    assert time.monotonic() < deadline
                    second_of = min(second_of + 1, 59)
                    body = [sample(7001, f"10{second_of}", second_of), sample(7002, "5", second_of)]
                    async with session.post(f"{first.url}/v1/samples", json=body, headers=mine) as answer:
                        assert answer.status == 202
                    try:
                        await asyncio.wait_for(accounts.more(), 1)
                    except TimeoutError:
                        continue
            assert "7002" not in accounts.raw.decode()

            # A position is told wherever somebody looks, whoever stored it.
            async with listening(
                session, url, mine, interval="100ms", account="live-1:7001", positions="true"
            ) as held:
                await client.post_until_acknowledged([opened(901)])
                async with asyncio.timeout(30):
                    while not any('"ticket":901,' in event.data for event in held.events):
                        await held.more()
            async with session.get(f"{second.url}/v1/accounts/live-1/7001/positions", headers=mine) as answer:
                assert [each["ticket"] for each in (await answer.json())["items"]] == [901]
            async with session.get(
                f"{second.url}/v1/accounts/live-1/7001/deals", params={"limit": "1"}, headers=mine
            ) as answer:
                assert [each["data"]["position"] for each in (await answer.json())["items"]] == [901]

            async with session.put(
                f"{first.url}/v1/clients/c-1", json={"accounts": ["live-1:7001"]}, headers=mine
            ) as answer:
                assert answer.status == 201
            async with session.post(f"{first.url}/v1/tokens", json={"client": "c-1"}, headers=mine) as answer:
                token = await answer.json()
            phone = {"Authorization": f"Bearer {token['token']}"}

            async def asked() -> int:
                async with session.get(f"{second.url}/v1/accounts/live-1/7001", headers=phone) as answer:
                    return answer.status

            assert await asked() == 200
            async with session.delete(f"{first.url}/v1/tokens/{token['id']}", headers=mine) as answer:
                assert answer.status == 204
            deadline = time.monotonic() + 10
            while await asked() != 401:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        assert fleet.processes["first"].program.running
