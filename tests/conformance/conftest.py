"""One fixture a protocol, each over every backend there is."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from conformance.backends import MemoryDispatch, MemoryHub, MemoryLeasing, SqliteBackend


async def _opened(backend: Any) -> AsyncIterator[Any]:
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    async for backend in _opened(SqliteBackend(tmp_path / "data")):
        yield backend


@pytest.fixture(params=["sqlite", "memory"])
async def hub(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """The log and the engine's store."""
    choice = SqliteBackend(tmp_path / "data") if request.param == "sqlite" else MemoryHub()
    async for backend in _opened(choice):
        yield backend


@pytest.fixture(params=["sqlite", "memory"])
async def dispatch(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """Deliveries, endpoints and intents."""
    choice = SqliteBackend(tmp_path / "data") if request.param == "sqlite" else MemoryDispatch()
    async for backend in _opened(choice):
        yield backend


@pytest.fixture(params=["sqlite", "memory"])
async def leasing(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    choice = SqliteBackend(tmp_path / "data") if request.param == "sqlite" else MemoryLeasing()
    async for backend in _opened(choice):
        yield backend
