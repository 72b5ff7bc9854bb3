"""A whole store in a folder, opened for one test and closed after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hub.clock import Clock, ManualClock
from hub.store.prune import Retention
from hub.store.sqlite import SqliteStore, open_sqlite
from hub.testing.facts import MORNING


@asynccontextmanager
async def open_store(
    folder: Path, clock: Clock | None = None, retention: Retention | None = None
) -> AsyncIterator[SqliteStore]:
    """Open the real store, on real files; without a clock, time stands still at nine in the morning."""
    async with open_sqlite(folder, clock or ManualClock(MORNING), retention) as store:
        yield store
