"""The hub is started before its servers, as after a power cut; and with passwords that stand in files of their own."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest
from processes.harness import HUB, free_port
from processes.program import Program, ProgramFailed
from processes.services import Kafka, Postgres, folder_for_services

SECRET = "a:se/cr@t%"
READY = r"^hub is ready at "
WAITS = r'"hub\.waits"|hub\.waits'


@pytest.fixture
async def late() -> AsyncIterator[Postgres]:
    """Yield a PostgreSQL of the test's own that may be stopped, and stands."""
    with folder_for_services() as folder:
        async with Postgres(folder) as postgres:
            yield postgres


class Desk:
    """Runs the hub's commands with one configuration."""

    def __init__(self, folder: Path, store: Mapping[str, Any], kafka: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.kafka = {"servers": kafka, "prefix": f"late-{time.monotonic_ns()}", "replication": 1}
        self.configure(store)

    def configure(self, store: Mapping[str, Any]) -> None:
        config = {"store": store, "bus": {"kafka": self.kafka}, "listen": {"port": self.port}}
        self.folder.mkdir(exist_ok=True)
        (self.folder / "workflows").mkdir(exist_ok=True)
        config["workflows"] = [str(self.folder / "workflows")]
        (self.folder / "hub.yaml").write_text(json.dumps(config), encoding="utf-8")

    def program(self, *words: str) -> Program:
        command = [HUB, *words, "--config", str(self.folder / "hub.yaml")]
        return Program(command, self.folder / f"{words[0]}.log")

    async def refused(self, *words: str) -> str:
        """Return what a command says that cannot work: one sentence, with exit code 2."""
        with pytest.raises(ProgramFailed, match="ended with 2 before it was ready") as refused:
            await self.program(*words).start(READY)
        lines = [line for line in str(refused.value).splitlines() if line.startswith("hub: ")]
        assert len(lines) == 1, refused.value
        return lines[0]

    async def healthy(self) -> bool:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"http://127.0.0.1:{self.port}/healthz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False


def with_password(dsn: str) -> str:
    parts = urlsplit(dsn)
    return parts._replace(netloc=f"hub:very-secret@{parts.hostname}:{parts.port}").geturl()


@pytest.mark.scenario
@pytest.mark.timeout(240)
async def test_a_process_that_starts_before_its_database_waits_for_it_and_says_for_what(
    late: Postgres, kafka_server: Kafka, tmp_path: Path
) -> None:
    dsn = await late.create_database()
    desk = Desk(tmp_path / "desk", {"postgres": with_password(dsn)}, kafka_server.bootstrap)
    await late.stop()

    assert "cannot be reached" in await desk.refused("migrate")
    migrating = desk.program("migrate", "--wait", "60s")
    await migrating.start(WAITS)
    hub = desk.program("run")
    await hub.start(WAITS)
    assert not await desk.healthy()

    await late.start()
    migrated = await _end(migrating)
    assert migrated == 0, migrating.output()
    # Whoever found the database without its tables has ended with 2, as it always did; its supervisor starts it again.
    if not hub.running:
        await hub.start(READY)
    await _says(hub, READY)
    assert await desk.healthy()
    assert await hub.stop() == 0
    for said in (migrating.output(), hub.output()):
        assert "very-secret" not in said
    waits = next(line for line in (desk.folder / "run.log").read_text().splitlines() if "hub.waits" in line)
    assert f"127.0.0.1:{urlsplit(dsn).port}" in waits


@pytest.mark.scenario
@pytest.mark.timeout(240)
async def test_a_process_that_waits_ends_at_once_when_it_is_told_to(tmp_path: Path) -> None:
    desk = Desk(
        tmp_path / "desk", {"postgres": f"postgresql://hub@127.0.0.1:{free_port()}/hub"}, "127.0.0.1:1"
    )
    hub = desk.program("run", "--role", "engine")
    await hub.start(WAITS)
    assert await hub.stop(within=2.0) == 0


@pytest.mark.scenario
@pytest.mark.timeout(240)
async def test_what_waiting_does_not_mend_is_refused_at_once(
    postgres_server: Postgres, kafka_server: Kafka, tmp_path: Path
) -> None:
    dsn = await postgres_server.create_database()
    desk = Desk(tmp_path / "desk", {"postgres": dsn}, kafka_server.bootstrap)
    assert "run `hub migrate`" in await desk.refused("run")
    assert "leave --wait out" in await desk.refused("migrate", "--wait", "5s", "--data", "x")
    assert "a duration is a whole number" in await desk.refused("migrate", "--wait", "soon")

    desk.configure({"postgres": postgres_server.dsn("no_such_database")})
    assert "correct the user, the password or the name" in await desk.refused("run")


@pytest.mark.scenario
@pytest.mark.timeout(240)
async def test_the_database_is_reached_with_a_password_from_a_file(
    late: Postgres, kafka_server: Kafka, tmp_path: Path
) -> None:
    dsn = await late.create_database()
    admin = await asyncpg.connect(dsn)
    try:
        await admin.execute(f"CREATE ROLE late LOGIN SUPERUSER PASSWORD '{SECRET}'")
        _ask_for_passwords(Path(await admin.fetchval("SHOW hba_file")))
        await admin.execute("SELECT pg_reload_conf()")
    finally:
        await admin.close()
    parts = urlsplit(dsn)
    address = parts._replace(netloc=f"late@{parts.hostname}:{parts.port}").geturl()
    secret = tmp_path / "password"
    store = {"postgres": address, "password_file": str(secret)}
    desk = Desk(tmp_path / "desk", store, kafka_server.bootstrap)

    missing = await desk.refused("run")
    assert re.search(r"store\.password_file \S+ cannot be read", missing)
    secret.write_text("another\n", encoding="utf-8")
    assert "correct the user, the password or the name" in await desk.refused("run")
    secret.write_text(SECRET + "\n", encoding="utf-8")
    migrating = desk.program("migrate")
    await migrating.start(r"^Kafka: ")
    assert await _end(migrating) == 0
    hub = desk.program("run")
    await hub.start(READY)
    assert await hub.stop() == 0
    assert SECRET not in hub.output() + migrating.output()


def _ask_for_passwords(rules: Path) -> None:
    rules.write_text(f"host all late 127.0.0.1/32 scram-sha-256\n{rules.read_text()}", encoding="utf-8")


async def _end(program: Program, *, within: float = 40.0) -> int:
    deadline = time.monotonic() + within
    while program.running:
        assert time.monotonic() < deadline, program.output()
        await asyncio.sleep(0.05)
    return await program.stop()


async def _says(program: Program, pattern: str, *, within: float = 30.0) -> None:
    deadline = time.monotonic() + within
    while not re.search(pattern, program.output(), re.MULTILINE):
        assert program.running, program.output()
        assert time.monotonic() < deadline, program.output()
        await asyncio.sleep(0.05)
