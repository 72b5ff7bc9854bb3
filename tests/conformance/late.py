"""Stores whose answers come some milliseconds late, some later than others: what was read before a change is heard after it."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final

import pytest

from hub.store.postgres.database import Database
from hub.store.sqlite.reader import Reader

LATEST: Final = 0.02  # seconds; most come much sooner
WAYS: Final = ((Database, "transact"), (Database, "read"), (Database, "fetch"), (Reader, "read"))
Way = Callable[..., Awaitable[Any]]


def have_answers_late(patch: pytest.MonkeyPatch, seed: int) -> None:
    random = Random(seed)
    for kind, name in WAYS:
        patch.setattr(kind, name, _late(getattr(kind, name), random))


def _late(way: Way, random: Random) -> Way:
    async def late(*asked: Any, **more: Any) -> Any:
        await asyncio.sleep(LATEST * random.random() ** 4)
        try:
            return await way(*asked, **more)
        finally:
            await asyncio.sleep(LATEST * random.random() ** 4)

    return late
