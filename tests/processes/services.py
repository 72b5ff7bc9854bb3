"""Real PostgreSQL and Kafka for tests: what deploy/bare starts for a user, with the means to hurt it.

A server somebody else runs (HUB_TESTS_POSTGRES, HUB_TESTS_KAFKA) is used as it is and never hurt.
"""

import asyncio
import contextlib
import fcntl
import itertools
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from required import unavailable
from service import Missing, Service
from services import kafka, postgres

_LOOK_AGAIN = 0.05


class NotOurs(AssertionError):
    """A test wants to hurt a server that somebody else runs: give it one of its own."""


class _Hurtable(ABC):
    """Starts, stops and crashes of one service or several; each returns when it has happened."""

    def __init__(self, services: tuple[Service, ...]) -> None:
        self._services = services

    @property
    def services(self) -> tuple[Service, ...]:
        if not self._services:
            raise NotOurs(
                f"{type(self).__name__} was given by an address: only its owner may start or stop it"
            )
        return self._services

    @abstractmethod
    async def answers(self, *, within: float = 30.0) -> None:
        """Return once it really serves."""

    @abstractmethod
    def _start(self) -> None: ...

    async def start(self) -> None:
        """Return once it answers. Where it is not installed the test is skipped, or fails if everything is required."""
        try:
            await asyncio.to_thread(self._start)
        except Missing as missing:
            unavailable(str(missing))
        await self.answers()

    async def stop(self) -> None:
        for service in self.services:
            await asyncio.to_thread(service.stop)

    async def kill(self) -> None:
        """End it with SIGKILL, all of its processes."""
        for service in self.services:
            await asyncio.to_thread(service.kill)

    async def pause(self) -> None:
        """Stop it with SIGSTOP: connections stay open, nothing answers."""
        for service in self.services:
            await asyncio.to_thread(service.pause)

    async def resume(self) -> None:
        for service in self.services:
            await asyncio.to_thread(service.resume)

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            with contextlib.suppress(Missing):
                await self.kill()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


_Server = TypeVar("_Server", bound=_Hurtable)


class Postgres(_Hurtable):
    """`folder`: a server of its own with its data there; `address`: one that runs already."""

    def __init__(self, folder: Path | None = None, *, address: str | None = None) -> None:
        server = postgres(folder) if folder else None
        super().__init__((server,) if server else ())
        self._server = server
        self._address = server.dsn("postgres") if server else address
        self._numbers = itertools.count(1)
        self._made: list[str] = []

    def dsn(self, database: str) -> str:
        return urlunsplit(urlsplit(self._address or "")._replace(path=f"/{database}"))

    async def create_database(self, name: str | None = None) -> str:
        """Make an empty database and return its DSN; without a name it gets one nobody else has."""
        name = name or f"hub_test_{os.getpid()}_{next(self._numbers)}"
        await self._tell(f'CREATE DATABASE "{name}"')
        self._made.append(name)
        return self.dsn(name)

    async def drop_database(self, name: str) -> None:
        """Drop it although somebody may still be connected."""
        await self._tell(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def tidy(self) -> None:
        """Drop what was created here: a server that goes on without us keeps nothing of ours."""
        while self._made:
            await self.drop_database(self._made.pop())

    async def _tell(self, statement: str) -> None:
        connection = await asyncpg.connect(self._address, timeout=10)
        try:
            await connection.execute(statement, timeout=30)
        finally:
            await connection.close()

    def _start(self) -> None:
        for service in self.services:
            service.start()

    async def answers(self, *, within: float = 30.0) -> None:
        async def ask() -> bool:
            await self._tell("SELECT 1")
            return True

        await _until(ask, within=within, what=f"PostgreSQL answers at {self._address}")


class Kafka(_Hurtable):
    """`folder`: a Kafka of its own, of one node or three; `address`: the bootstrap servers of one that runs already.

    `advertised`: the port of what stands before the one node, where it sends its clients.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        nodes: int = 1,
        address: str | None = None,
        advertised: int | None = None,
    ) -> None:
        self._kafka = kafka(folder, nodes, advertised=advertised) if folder else None
        super().__init__(self._kafka.nodes if self._kafka else ())
        self.bootstrap = self._kafka.bootstrap if self._kafka else address or ""

    def _start(self) -> None:
        assert self.services
        assert self._kafka is not None
        self._kafka.start()

    async def stop(self) -> None:
        assert self.services
        assert self._kafka is not None
        await asyncio.to_thread(self._kafka.stop)

    async def answers(self, *, within: float = 30.0) -> None:
        """Return once every broker is there, and every partition of every topic has a leader."""

        async def ask() -> bool:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5_000)
            try:
                await admin.start()
                brokers = (await admin.describe_cluster())["brokers"]
                names = await admin.list_topics()
                topics = await admin.describe_topics(names) if names else []
            finally:
                await admin.close()
            led = all(
                topic["error_code"] == 0
                and all(part["error_code"] == 0 and part["leader"] >= 0 for part in topic["partitions"])
                for topic in topics
            )
            return led and len(brokers) >= len(self._services)

        await _until(ask, within=within, what=f"Kafka at {self.bootstrap} has a leader for every partition")


async def _until(ask: Callable[[], Awaitable[bool]], *, within: float, what: str) -> None:
    """Ask again until the answer is yes; trouble with the connection is a no."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    last: BaseException | None = None
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                if await ask():
                    return
        except (OSError, TimeoutError, KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            last = error
        if loop.time() > deadline:
            raise AssertionError(f"within {within:g} s it did not happen that {what}") from last
        await asyncio.sleep(_LOOK_AGAIN)


@contextlib.contextmanager
def folder_for_services() -> Iterator[Path]:
    """Yield an empty folder that the account PostgreSQL runs as can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="hub-services-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def in_a_thread(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it to its end on a loop of its own: what belongs to the session belongs to no test's loop."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(lambda: asyncio.run(work())).result()


@contextlib.contextmanager
def postgres_for_session(shared: Path | None = None) -> Iterator[Postgres]:
    """`shared`: the folder of servers that all processes of a run use, and that whoever began the run ends."""
    address = os.environ.get("HUB_TESTS_POSTGRES")
    if address:
        server = Postgres(address=address)
        in_a_thread(server.answers)
        yield server
        in_a_thread(server.tidy)
    elif shared is not None:
        # What was made there goes with the folder: to drop it takes a minute.
        yield Postgres(address=_started(Postgres(shared), shared).dsn("postgres"))
    else:
        with folder_for_services() as folder:
            yield from _for_session(Postgres(folder))


@contextlib.contextmanager
def kafka_for_session(shared: Path | None = None) -> Iterator[Kafka]:
    """`shared`: as for PostgreSQL."""
    address = os.environ.get("HUB_TESTS_KAFKA")
    if address:
        server = Kafka(address=address)
        in_a_thread(server.answers)
        yield server
    elif shared is not None:
        yield Kafka(address=_started(Kafka(shared), shared).bootstrap)
    else:
        with folder_for_services() as folder:
            yield from _for_session(Kafka(folder))


def end_shared(folder: Path) -> None:
    """End what the processes of a run have started there."""
    for server in (Postgres(folder), Kafka(folder)):
        with contextlib.suppress(Missing):
            in_a_thread(server.kill)


def _started(server: _Server, folder: Path) -> _Server:
    """Start it, or find that another process has."""
    with (folder / "starting").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        in_a_thread(server.start)
    return server


def _for_session(server: _Server) -> Iterator[_Server]:
    try:
        in_a_thread(server.start)
        yield server
    finally:
        # Its folder goes with it: nothing it would write in order is ever read.
        with contextlib.suppress(Missing):
            in_a_thread(server.kill)
