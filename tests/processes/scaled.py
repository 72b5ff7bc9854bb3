"""A hub of several processes on a real PostgreSQL and a real Kafka, each started, killed and paused by itself."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import aiohttp
from processes.harness import HUB, HubProcess
from processes.program import ProgramFailed
from processes.services import Kafka, Postgres
from processes.terminal import ran

# Short enough that a test sees a take-over; long enough for a busy machine of two cores.
LEASES = {"duration": "3s", "margin": "500ms"}
_START_AGAIN = 0.2


class Fleet:
    """`start` each process by name once `async with` has made the database.

    `kafka_servers`: where the processes find Kafka, if not where it is; `hub`: what they run, if not the hub as it is.
    """

    def __init__(
        self,
        folder: Path,
        postgres: Postgres,
        kafka: Kafka,
        prefix: str,
        *,
        config: Mapping[str, Any] | None = None,
        workflows: Sequence[Path] = (),
        kafka_servers: str = "",
        hub: Sequence[str] = (HUB,),
    ) -> None:
        self._folder = folder
        self._postgres = postgres
        self._prefix = prefix
        self._more = dict(config or {})
        self._workflows = workflows
        self._kafka_servers = kafka_servers or kafka.bootstrap
        self._hub = hub
        self._stack = AsyncExitStack()
        self.config: dict[str, Any] = {}
        self.dsn = ""
        self.key = ""
        self.processes: dict[str, HubProcess] = {}

    async def __aenter__(self) -> Self:
        self.dsn = await self._postgres.create_database()
        self.config = {
            "store": {"postgres": self.dsn},
            "bus": {"kafka": {"servers": self._kafka_servers, "prefix": self._prefix, "replication": 1}},
            "leases": LEASES,
            **self._more,
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / "hub.yaml"
        path.write_text(json.dumps(self.config), encoding="utf-8")
        code, _, errors = await asyncio.to_thread(ran, "migrate", "--config", str(path))
        assert code == 0, errors
        return self

    async def __aexit__(self, *_: object) -> None:
        async with asyncio.TaskGroup() as group:
            for process in self.processes.values():
                if process.program.running:
                    group.create_task(process.program.kill())

    async def start(self, name: str, *roles: str, dsn: str = "") -> HubProcess:
        """Start a process, of all roles if none is named, and return when it serves; `dsn` is its own way to the database."""
        process = self.processes.get(name) or HubProcess(
            self._folder / name,
            config={**self.config, "store": {"postgres": dsn or self.dsn}},
            workflows=self._workflows,
            roles=roles,
            key=self.key,
            hub=self._hub,
        )
        self.processes[name] = process
        await process.start()
        self.key = self.key or process.key
        return process

    async def come_back(self, name: str, *, within: float) -> None:
        """Start a process that ended, again and again as a supervisor would, until it serves."""
        deadline = time.monotonic() + within
        while True:
            try:
                await self.processes[name].start()
                return
            except ProgramFailed:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_START_AGAIN)

    async def kill(self, name: str) -> None:
        await self.processes[name].kill()

    def pause(self, name: str) -> None:
        os.kill(self.processes[name].program.pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        os.kill(self.processes[name].program.pid, signal.SIGCONT)

    def insist(self) -> None:
        """Raise when a process ended although nobody ended it."""
        for process in self.processes.values():
            process.program.insist()

    def tails(self, lines: int = 30) -> str:
        """Return how the log of every process ends."""
        return "\n".join(
            f"--- {name}\n" + "\n".join(process.program.output().splitlines()[-lines:])
            for name, process in self.processes.items()
        )

    async def problems(self) -> dict[str, str]:
        """Return what each process that is not ready says of itself."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session:
            found = {name: await _unready(session, process.url) for name, process in self.processes.items()}
        return {name: problem for name, problem in found.items() if problem}


async def _unready(session: aiohttp.ClientSession, url: str) -> str:
    try:
        async with session.get(url + "/readyz") as answer:
            return "" if answer.status == 200 else await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        return repr(error)
