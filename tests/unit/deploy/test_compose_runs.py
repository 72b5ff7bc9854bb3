"""The commands of compose.yaml and of the README on a real PostgreSQL and a real Kafka, as the role that deploy/postgres makes."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import yaml
from doc_blocks import README, REPOSITORY, blocks
from postgres_service import postgres_program
from processes.harness import HUB, free_port
from processes.program import Program, ProgramFailed, eventually
from processes.services import Kafka, Postgres, folder_for_services

DEPLOY = REPOSITORY / "deploy"
SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
PASSWORD = "correct horse' battery\\staple"


@dataclass(frozen=True)
class Stack:
    """The hub's services of compose.yaml; `kafka` and `postgres` of their names are what the tests have."""

    folder: Path
    kafka: str
    dsn: str
    prefix: str

    def program(self, name: str, *, copy: int = 1) -> Program:
        here = {
            "kafka:9092": self.kafka,
            "postgresql://hub@postgres:5432/hub": self.dsn,
            "/run/secrets/hub-password": str(self.folder / "hub-password"),
        }
        environment = SERVICES[name]["environment"]
        assert here.keys() <= set(environment.values())
        given = {key: here.get(value, value) for key, value in environment.items()}
        environment = {**given, "HUB_LISTEN__PORT": str(free_port())}
        return self.hub(SERVICES[name]["command"], f"{name}-{copy}", environment)

    def hub(self, words: Sequence[str], name: str, environment: Mapping[str, str]) -> Program:
        """Return `hub` with these words; the file of settings they name is one that tells of these servers."""
        settings = self.folder / "hub.yaml"
        settings.write_text(
            f'store: {{postgres: "{self.dsn}"}}\n'
            f'bus: {{kafka: {{servers: "{self.kafka}", replication: 1, prefix: "{self.prefix}"}}}}\n',
            encoding="utf-8",
        )
        (self.folder / "workflows").mkdir(exist_ok=True)
        environment = {
            "HUB_WORKFLOWS": f'["{self.folder / "workflows"}"]',
            "HUB_DATA": str(self.folder / "never-made"),
            **environment,
        }
        words = [str(settings) if word.endswith("hub.yaml") else word for word in words]
        return Program([HUB, *words], self.folder / f"{name}.log", environment=environment)


@pytest.fixture
async def stack(postgres_server: Postgres, kafka_server: Kafka) -> AsyncIterator[Stack]:
    """Make the role and its database with the very file that compose gives to PostgreSQL."""
    name = f"hub_test_role_{os.getpid()}_{time.monotonic_ns()}"
    with folder_for_services() as folder:
        secret = folder / "hub-password"
        secret.write_text(PASSWORD + "\n", encoding="utf-8")
        secret.chmod(0o644)
        text = (DEPLOY / "postgres" / "role.sql").read_text(encoding="utf-8")
        told = text.replace("/run/secrets/hub-password", str(secret))
        told = told.replace("ROLE hub ", f"ROLE {name} ").replace("DATABASE hub", f"DATABASE {name}")
        told = told.replace("OWNER hub", f"OWNER {name}")
        admin = postgres_server.dsn("postgres")
        subprocess.run(  # noqa: ASYNC221 (a moment)
            [postgres_program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", admin],
            input=told, text=True, check=True, capture_output=True,
        )  # fmt: skip
        where = urlsplit(postgres_server.dsn(name))
        dsn = where._replace(netloc=f"{name}@{where.hostname}:{where.port}").geturl()
        try:
            yield Stack(folder, kafka_server.bootstrap, dsn, f"test-{name}")
        finally:
            await postgres_server.drop_database(name)
            connection = await asyncpg.connect(admin)
            await connection.execute(f'DROP ROLE "{name}"')
            await connection.close()


async def finished(program: Program) -> str:
    """Return what it says when it ends by itself with 0."""
    await program.start(r"^Kafka: ", within=60)
    await eventually(lambda: not program.running, within=30, what="the migration is over")
    assert await program.stop() == 0
    return program.output()


@pytest.mark.scenario
@pytest.mark.timeout(240)
async def test_the_services_of_compose_run_one_after_the_other_as_compose_starts_them(stack: Stack) -> None:
    async with AsyncExitStack() as running:
        with pytest.raises(ProgramFailed, match="run `hub migrate`"):
            await stack.program("api").start(r"^hub is ready at ", within=30)
        migrate = stack.program("migrate")
        assert "PostgreSQL: schema" in await finished(migrate)
        assert "PostgreSQL: schema" in await finished(migrate)

        logs: dict[str, Program] = {}
        for name in ("api", "engine", "dispatch"):
            for copy in range(1, SERVICES[name]["deploy"].get("replicas", 1) + 1):
                program = stack.program(name, copy=copy)
                await program.start(r"^hub is ready at ", within=60)
                running.push_async_callback(program.stop, within=40)
                logs[f"{name}-{copy}"] = program

        # The one that is started first makes the key, and no other does.
        assert [name for name, program in logs.items() if "admin key: hub_" in program.output()] == ["api-1"]
        await eventually(
            lambda: "ownership.gained" in logs["engine-2"].output(),
            within=60,
            what="the second engine owns something",
        )
        for program in logs.values():
            program.insist()
            assert "not_pruned" not in program.output()
            assert "month_not_made" not in program.output()
    assert not (stack.folder / "never-made").exists()


async def test_the_role_of_compose_owns_its_database_and_nothing_else(
    stack: Stack, postgres_server: Postgres
) -> None:
    name = urlsplit(stack.dsn).path.removeprefix("/")
    connection = await asyncpg.connect(postgres_server.dsn("postgres"))
    try:
        row = await connection.fetchrow("SELECT * FROM pg_authid WHERE rolname = $1", name)
        owner = await connection.fetchval(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1", name
        )
    finally:
        await connection.close()

    assert row is not None
    assert row["rolcanlogin"]
    assert not any(row[right] for right in ("rolsuper", "rolcreatedb", "rolcreaterole", "rolbypassrls"))
    assert row["rolpassword"].startswith("SCRAM-SHA-256$")
    assert owner == name


def of_the_readme() -> list[list[str]]:
    """Return the commands of the README's section on several processes, as words."""
    [block] = [block for block in blocks(README, "") if "services.py up" in block.text]
    return [shlex.split(line) for line in block.text.splitlines()]


def test_the_readme_starts_and_stops_services_with_options_there_are():
    commands = [words for words in of_the_readme() if words[0] == "python3"]

    assert [words[-1] for words in commands] == ["up", "down"]
    for _, script, *words in commands:
        done = subprocess.run(
            [sys.executable, str(REPOSITORY / script), *words, "--help"], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


@pytest.mark.scenario
@pytest.mark.timeout(240)
async def test_the_processes_of_the_readme_run_beside_one_another(stack: Stack) -> None:
    migrate, *runs = [words[1:] for words in of_the_readme() if words[0] == "hub"]
    await finished(stack.hub(migrate, "migrate", {}))

    ports = [words[words.index("--port") + 1] for words in runs]
    assert len({*ports}) == len(runs) == 4
    async with AsyncExitStack() as running:
        for words, port in zip(runs, ports, strict=True):
            here = [str(free_port()) if word == port else word for word in words]
            program = stack.hub(here, f"at-{port}", {})
            await program.start(r"^hub is ready at ", within=60)
            running.push_async_callback(program.stop, within=40)
