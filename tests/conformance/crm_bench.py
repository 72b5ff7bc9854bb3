"""What the tests of the CRM channels share: intents, a clock that is never waited for, and channels by verb."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web
from pydantic import TypeAdapter
from typing_extensions import override

from hub.clock import MICROSECOND, ManualClock, to_us
from hub.dispatch.channels.crm.build import crm_channels
from hub.dispatch.channels.crm.settings import CrmSettings
from hub.dispatch.effects.notifier import Notifier, SendsOnce, Told
from hub.intents.intent import Intent, State

START = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
NOW = to_us(START)
_settings = TypeAdapter(CrmSettings)


class Onward(ManualClock):
    """Whoever sleeps wakes at once, and by then it is as late as he wanted."""

    @override
    async def sleep(self, duration: timedelta) -> None:
        due = self._now_us + duration // MICROSECOND
        await asyncio.sleep(0)
        self._now_us = max(self._now_us, due)


def an_intent(verb: str, key: str = "w/live-1:1001/t/e/s", at: int = NOW, **params: Any) -> Intent:
    body = msgspec.json.encode({"id": "c-1"} | params)
    return Intent(key, 1, "live-1:1001", verb, body, "w", "r", "s", "01EVENT", State.READY, at, at)


def an_upsert(key: str = "up", at: int = NOW, **params: Any) -> Intent:
    return an_intent("crm.upsert", key, at, **{"record": {"email": "ann@example.com"}} | params)


def a_note(key: str = "note", **params: Any) -> Intent:
    return an_intent("crm.note", key, **{"text": "Deposited 250"} | params)


def a_call(key: str = "call", **params: Any) -> Intent:
    return an_intent("crm.activity", key, **{"kind": "call", "title": "Welcome", "minutes": 5} | params)


def a_task(key: str = "task", **params: Any) -> Intent:
    return an_intent("task.open", key, **{"title": "Call Ann", "text": "about her margin"} | params)


class Desk:
    """The channels to the CRMs these settings name."""

    def __init__(self, settings: Mapping[str, Mapping[str, Any]], clock: ManualClock | None = None) -> None:
        self.clock = clock or Onward(START)
        crms = {name: _settings.validate_python(dict(each)) for name, each in settings.items()}
        made = crm_channels(crms, self.clock, allow_loopback=True)
        self.channels: dict[str, Notifier] = {verb: channel for channel in made for verb in channel.offers}

    async def send(self, intent: Intent) -> Told:
        return await self.channels[intent.verb].send(intent)

    def sends_once(self, verb: str) -> bool:
        channel = self.channels[verb]
        assert isinstance(channel, SendsOnce)
        return channel.sends_once


@asynccontextmanager
async def served(application: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def broken_off(request: web.Request) -> web.Response:
    """Drop the connection instead of an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
