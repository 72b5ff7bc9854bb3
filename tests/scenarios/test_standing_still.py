"""A hub whose engine has stopped getting on is not ready and says so, though every loop of it is alive."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from hub.app import build
from hub.clock import ManualClock
from hub.config import Settings
from hub.control.keys import Scope
from hub.engine.load import LoadedSet

STANDS = "engine has work to do and stands still since "


async def met(clock: ManualClock, condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 30
    while not await condition():
        assert time.monotonic() < deadline
        await clock.advance(timedelta(seconds=1))
        await asyncio.sleep(0.005)


@pytest.mark.scenario
async def test_an_engine_that_waits_for_what_never_comes_makes_the_hub_not_ready_until_it_comes(
    tmp_path: Path,
) -> None:
    clock, stopping, held = ManualClock(datetime.now(UTC)), asyncio.Event(), asyncio.Event()
    async with (
        build(
            Settings.model_validate({"data": tmp_path, "listen": {"port": 0}}), clock, LoadedSet((), ())
        ) as hub,
        aiohttp.ClientSession() as session,
        asyncio.TaskGroup() as group,
    ):
        commit = hub.store.engine.commit

        async def waits(*given: object) -> None:
            await held.wait()
            await commit(*given)  # type: ignore[arg-type]  # whatever the engine gave

        hub.store.engine.commit = waits  # type: ignore[method-assign]
        group.create_task(hub.run(stopping))
        key, _ = await hub.keys.create("poster", [Scope.ADMIN])

        async def ready() -> tuple[int, list[str]]:
            async with session.get(f"{hub.url}/readyz") as answer:
                return answer.status, (await answer.json())["problems"]

        event = {
            "type": "trade.closed",
            "timestamp": clock.now().isoformat(),
            "account": {"server": "live-1", "login": 7001},
            "data": {"deal": 1, "symbol": "EURUSD", "side": "buy", "lots": "1"},
        }
        headers = {"Authorization": f"Bearer {key}"}
        async with session.post(f"{hub.url}/v1/events", json=event, headers=headers) as posted:
            assert posted.status == 202

        async def stands() -> bool:
            return any(problem.startswith(STANDS) for problem in (await ready())[1])

        async def goes_on() -> bool:
            return not await stands()

        assert await goes_on()
        await met(clock, stands)
        assert (await ready())[0] == 503
        async with session.get(f"{hub.url}/metrics", headers=headers) as shown:
            metrics = await shown.text()
        standing = [
            line
            for line in metrics.splitlines()
            if line.startswith('hub_standing_still_seconds{what="engine"}')
        ]
        assert float(standing[0].split()[-1]) >= 30

        held.set()
        await met(clock, goes_on)
        stopping.set()
