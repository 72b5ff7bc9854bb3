"""A whole store in a folder, opened for one test and closed after it."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from hub.clock import Clock, ManualClock
from hub.store.retention import Retention
from hub.store.sqlite.store import SqliteStore, open_sqlite
from hub.testing.facts import MORNING

T = TypeVar("T")


async def awaited(value: Awaitable[T]) -> T:
    """Return what comes of anything that can be awaited, as a coroutine that can be a task."""
    return await value


@asynccontextmanager
async def open_store(
    folder: Path, clock: Clock | None = None, retention: Retention | None = None
) -> AsyncIterator[SqliteStore]:
    """Open the real store, on real files; without a clock, time stands still at nine in the morning."""
    async with open_sqlite(folder, clock or ManualClock(MORNING), retention) as store:
        yield store
