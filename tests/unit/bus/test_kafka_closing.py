"""Throwing away a client of Kafka's, which ends tasks of its own and takes any cancellation for theirs."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from hub.bus.kafka.client import leave


class Client:
    """As the real one closes: what cancels it while it waits for its own task is taken for that task's end."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.ended = asyncio.Event()
        self.closed = 0
        self._client = SimpleNamespace(close=self._close)

    async def stop(self) -> None:
        self.stopping.set()
        with suppress(asyncio.CancelledError):
            await self.ended.wait()

    async def _close(self) -> None:
        self.closed += 1


async def test_who_is_told_to_end_while_a_reader_is_closed_ends_and_has_closed_it() -> None:
    client: Any = Client()
    went_on = []

    async def reads_for_ever() -> None:
        await leave(client)
        went_on.append(True)

    task = asyncio.get_running_loop().create_task(reads_for_ever())
    await client.stopping.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert (went_on, client.closed) == ([], 1)


async def test_a_task_of_the_client_s_that_ends_ends_nobody_else() -> None:
    client: Any = Client()

    async def cancels_its_own() -> None:
        raise asyncio.CancelledError

    client.stop = cancels_its_own
    await leave(client)

    assert client.closed == 1
