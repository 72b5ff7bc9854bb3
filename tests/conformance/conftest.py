"""One fixture a protocol, each over every backend there is."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance.backends import (
    MemoryDispatch,
    MemoryHub,
    MemoryLeasing,
    PostgresBackend,
    SqliteBackend,
    StoreBackend,
    clear,
)
from conformance.late import have_answers_late
from processes.services import Kafka, NotOurs, Postgres, folder_for_services, in_a_thread

from hub.store.postgres.migrate import migrate


@pytest.fixture
def late_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stores answer late, and in another order than they were asked."""
    have_answers_late(monkeypatch, int(os.environ.get("HUB_TESTS_LATE") or 0))


@pytest.fixture(autouse=True)
def _late_answers_everywhere(request: pytest.FixtureRequest) -> None:
    if os.environ.get("HUB_TESTS_LATE"):
        request.getfixturevalue("late_answers")


async def _opened(backend: Any) -> AsyncIterator[Any]:
    await backend.open()
    yield backend
    await backend.close()


async def _chosen(request: pytest.FixtureRequest, folder: Path, memory: Callable[[], Any]) -> Any:
    match request.param:
        case "sqlite":
            return SqliteBackend(folder / "data")
        case "postgres":
            dsn = request.getfixturevalue("migrated")
            await clear(dsn)
            return PostgresBackend(dsn)
        case _:
            return memory()


@pytest.fixture(params=["sqlite", "memory", "postgres"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreBackend | None]:
    """Yield a store, or None for a test's own twin of it in memory."""
    chosen = await _chosen(request, tmp_path, lambda: None)
    if chosen is None:
        yield None
        return
    async for backend in _opened(chosen):
        yield backend


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    async for backend in _opened(SqliteBackend(tmp_path / "data")):
        yield backend


@pytest.fixture(scope="session")
def migrated(postgres_server: Postgres) -> str:
    """Return the DSN of a database with the hub's schema, one for all tests of the session."""
    found: list[str] = []

    async def make() -> None:
        found.append(await postgres_server.create_database())
        await migrate(found[0])

    in_a_thread(make)
    return found[0]


@pytest.fixture
async def postgres(migrated: str) -> AsyncIterator[PostgresBackend]:
    await clear(migrated)
    async for backend in _opened(PostgresBackend(migrated)):
        yield backend


@pytest.fixture(params=["sqlite", "memory", "postgres"])
async def hub(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """The log and the engine's store."""
    async for backend in _opened(await _chosen(request, tmp_path, MemoryHub)):
        yield backend


@pytest.fixture(params=["sqlite", "memory", "postgres"])
async def dispatch(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """Deliveries, endpoints and intents."""
    async for backend in _opened(await _chosen(request, tmp_path, MemoryDispatch)):
        yield backend


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreBackend]:
    """A whole store, for what no memory twin has: pages, keys and clients."""
    async for backend in _opened(await _chosen(request, tmp_path, MemoryHub)):
        yield backend


@pytest.fixture(params=["sqlite", "memory", "postgres"])
async def leasing(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    async for backend in _opened(await _chosen(request, tmp_path, MemoryLeasing)):
        yield backend


@pytest.fixture(scope="module")
def hurtable(kafka_server: Kafka) -> Iterator[Kafka]:
    """A Kafka that may be stopped: the session's, or one of its own where that is somebody else's."""
    try:
        assert kafka_server.services
    except NotOurs:
        with folder_for_services() as folder:
            own = Kafka(folder)
            in_a_thread(own.start)
            yield own
            in_a_thread(own.stop)
    else:
        yield kafka_server
