"""A hundred thousand mails that wait do not delay a breach notice: counted, with the real stores and a clock that stands still."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import pytest
from conformance.backends import StoreBackend

from hub.clock import to_us
from hub.dispatch.contacts import ContactGate
from hub.dispatch.effects.notifier import Notifier, Sent, Told
from hub.dispatch.effects.worker import IN_FLIGHT, ActionWorker
from hub.intents.intent import Intent, State
from hub.testing import MORNING

NOW = to_us(MORNING)
MAILS = 100_000
CHUNK = 5_000
DEADLINE = 60
CRITICAL, NORMAL, BULK = 0, 1, 2


def a_message(key: str, verb: str, priority: int) -> Intent:
    params = {"to": f"{key}@example.com", "subject": "s", "text": "t"}
    return Intent(
        key=key,
        partition=0,
        account="",
        verb=verb,
        params=json.dumps(params).encode(),
        workflow="w",
        run="r",
        step="s",
        caused_by="e",
        state=State.READY,
        at=NOW,
        due=NOW,
        priority=priority,
    )


class Slow(Notifier):
    """Remembers what was begun, in order; a mail ends only while `open` is set, anything else at once."""

    offers = frozenset({"notify.email", "notify.push"})

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.open = asyncio.Event()

    async def send(self, intent: Intent) -> Told:
        self.begun.append(intent.key)
        if intent.verb == "notify.email":
            await self.open.wait()
        return Sent()


async def until(worker: ActionWorker, true: object) -> None:
    """Let the worker go on until something is true; time itself stands still."""
    assert callable(true)
    async with asyncio.timeout(DEADLINE):
        while not true():
            await asyncio.sleep(0.005)
            worker.wake()


@asynccontextmanager
async def working(store: StoreBackend, channel: Slow) -> AsyncIterator[ActionWorker]:
    worker = ActionWorker(
        store.intents,
        store.clock,
        notifiers=[channel],
        random=Random(1),
        gate=ContactGate(store.store.contacts, {}, store.clock),
    )
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stopping))
        yield worker
        stopping.set()
        channel.open.set()
        worker.wake()
        await store.clock.advance(timedelta(seconds=1))


async def queue(store: StoreBackend, count: int, priority: int, verb: str = "notify.email") -> None:
    for start in range(0, count, CHUNK):
        numbers = range(start, min(start + CHUNK, count))
        await store.add_intents(*(a_message(f"mail-{n:06}", verb, priority) for n in numbers))


@pytest.mark.parametrize("priority", [NORMAL, BULK])
async def test_a_breach_notice_finds_room_while_every_mail_hangs(store: StoreBackend, priority: int) -> None:
    await queue(store, 500, priority)
    channel = Slow()
    async with working(store, channel) as worker:
        most = IN_FLIGHT * 3 // 4 if priority == NORMAL else IN_FLIGHT // 2
        await until(worker, lambda: len(channel.begun) == most)

        await store.add_intents(a_message("breach", "notify.push", CRITICAL))
        await until(worker, lambda: "breach" in channel.begun)

        # Not one mail more was begun, and none had ended.
        assert channel.begun.index("breach") == most
        assert not channel.open.is_set()


@pytest.mark.timeout(300)
async def test_a_hundred_thousand_mails_do_not_go_before_a_breach_notice(sqlite: StoreBackend) -> None:
    await queue(sqlite, MAILS, BULK)
    await sqlite.add_intents(*(a_message(f"receipt-{n}", "notify.email", NORMAL) for n in range(20)))
    channel = Slow()
    channel.open.set()
    async with working(sqlite, channel) as worker:
        await until(worker, lambda: len(channel.begun) >= 200)

        await sqlite.add_intents(a_message("breach", "notify.push", CRITICAL))
        before = len(channel.begun)
        await until(worker, lambda: "breach" in channel.begun)

        # What was on its way may have made room once for another; nobody else went first.
        assert channel.begun.index("breach") - before <= IN_FLIGHT
        assert max(channel.begun.index(f"receipt-{n}") for n in range(20)) < 20 + IN_FLIGHT
        waiting = await sqlite.intents.due(NOW, MAILS + 100)
        assert len(waiting) > MAILS - 2_000
