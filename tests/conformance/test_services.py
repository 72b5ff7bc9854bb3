"""The servers the tests stand on: they start for real, a crash costs them nothing they confirmed, and they stop."""

import asyncio
import base64
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import postgres_service
import pytest
import services
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kafka_jars import expected_jars, fetch
from processes.services import Kafka, NotOurs, Postgres, folder_for_services
from service import Missing, Trouble
from services import kafka, postgres

from hub.config import Settings


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_for_services() as folder:
        yield folder


async def ask(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def produce(bootstrap: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, value, partition=0)


async def first_of(bootstrap: str, topic: str) -> bytes | None:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        return (await consumer.getone(partition)).value


async def make_topic(bootstrap: str, name: str, *, partitions: int, copies: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, copies)])
    finally:
        await admin.close()


async def test_postgres_keeps_a_row_over_a_crash_with_clients_connected(folder: Path) -> None:
    async with Postgres(folder) as server:
        dsn = await server.create_database("kept")
        await ask(dsn, "CREATE TABLE fact (id int)")
        await ask(dsn, "INSERT INTO fact VALUES (7)")
        idle = await asyncpg.connect(dsn)

        await server.kill()
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await idle.fetchval("SELECT 1")
        idle.terminate()
        await server.start()

        assert await ask(dsn, "SELECT id FROM fact") == 7
    with pytest.raises(OSError):
        await ask(dsn, "SELECT 1")


async def test_a_paused_postgres_keeps_its_connections_and_answers_none(folder: Path) -> None:
    async with Postgres(folder) as server:
        connection = await asyncpg.connect(server.dsn("hub"))
        await server.pause()

        waiting = asyncio.ensure_future(connection.fetchval("SELECT 1"))
        _, unanswered = await asyncio.wait([waiting], timeout=0.3)
        await server.resume()

        assert unanswered == {waiting}
        assert await waiting == 1
        await connection.close()


async def test_kafka_keeps_what_it_acknowledged_over_a_crash(folder: Path) -> None:
    async with Kafka(folder) as server:
        await make_topic(server.bootstrap, "kept", partitions=64, copies=1)
        await produce(server.bootstrap, "kept", b"7")

        await server.kill()
        await server.start()

        assert await first_of(server.bootstrap, "kept") == b"7"


async def test_three_nodes_go_on_acknowledging_when_one_is_killed(folder: Path) -> None:
    async with Kafka(folder, nodes=3) as server:
        await make_topic(server.bootstrap, "kept", partitions=3, copies=3)
        await produce(server.bootstrap, "kept", b"before")

        server.services[0].kill()
        await produce(server.bootstrap, "kept", b"after")

        assert await first_of(server.bootstrap, "kept") == b"before"
        await server.kill()  # handing over to nobody, one after the other, only takes time


async def test_a_server_of_the_session_gives_out_databases_of_their_own(postgres_server: Postgres) -> None:
    first, second = [await postgres_server.create_database() for _ in range(2)]

    await ask(first, "CREATE TABLE fact (id int)")

    assert await ask(second, "SELECT count(*) FROM pg_tables WHERE tablename = 'fact'") == 0


async def test_a_server_somebody_else_runs_is_not_hurt() -> None:
    for server in (
        Postgres(address="postgresql://somebody@127.0.0.1:1/postgres"),
        Kafka(address="127.0.0.1:1"),
    ):
        for hurt in (server.kill, server.stop, server.pause, server.start):
            with pytest.raises(NotOurs):
                await hurt()


def test_a_port_taken_by_another_program_is_told_in_one_sentence(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(
            Trouble, match=rf"^port {port} of 127\.0\.0\.1.* is taken by another program: .*--port$"
        ):
            postgres(folder, port).start()


def test_a_folder_that_cannot_be_made_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    code = services.main(["up", "--dir", str(tmp_path / "file" / "below")])

    assert code == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path}/file/below cannot be made")


def test_missing_jars_are_told_with_the_command_that_brings_them(folder: Path) -> None:
    with pytest.raises(Missing, match=r"services\.py fetch"):
        kafka(folder, jars=folder / "nowhere").start()


@pytest.fixture
def only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Leave nothing installed but the programs named."""

    def leave(*programs: str) -> None:
        (folder / "bin").mkdir()
        for program in programs:
            (folder / "bin" / program).symlink_to(shutil.which(program) or pytest.fail(f"no {program} here"))
        monkeypatch.setenv("PATH", str(folder / "bin"))
        monkeypatch.setattr(postgres_service, "BESIDE_PATH", folder)

    return leave


def test_what_is_not_installed_is_told_by_the_package_to_install(
    folder: Path, only: Callable[..., None]
) -> None:
    jars = folder / "jars"
    jars.mkdir()
    for name, _ in expected_jars():
        (jars / name).touch()
    only("sh", "ps", "test")

    with pytest.raises(Missing, match=r"install openjdk|install Java 17"):
        kafka(folder, jars=jars).start()
    with pytest.raises(Missing, match=r"PostgreSQL's initdb .* install postgresql$"):
        postgres(folder).start()
    with pytest.raises(Missing, match=r"^mvn is not in PATH: install maven$"):
        fetch(folder / "elsewhere")


def test_without_a_list_of_processes_nothing_is_started(folder: Path, only: Callable[..., None]) -> None:
    only("sh")

    with pytest.raises(Missing, match=r"^ps is not in PATH: install procps$"):
        postgres(folder).start()


@pytest.mark.parametrize(
    ("required", "end"),
    [("0", pytest.skip.Exception), ("1", pytest.fail.Exception)],
    ids=["skipped", "failed"],
)
async def test_a_test_without_its_server_is_skipped_unless_everything_is_required(
    folder: Path,
    only: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    required: str,
    end: type[BaseException],
) -> None:
    only("sh", "ps", "test")
    monkeypatch.setenv("HUB_TESTS_REQUIRE_ALL", required)

    with pytest.raises(end, match="install postgresql"):
        await Postgres(folder).start()


def test_jars_that_are_not_the_listed_ones_are_not_used(folder: Path, only: Callable[..., None]) -> None:
    only("sh", "mkdir", "touch")
    forger = folder / "bin" / "mvn"
    goal = "".join(f'touch "$out/{name}"; ' for name, _ in expected_jars())
    forger.write_text(
        f'#!/bin/sh\nfor word; do out="${{word#-DoutputDirectory=}}"; done\nmkdir -p "$out"; {goal}'
    )
    forger.chmod(0o755)

    with pytest.raises(Trouble, match=r"is not the one in .*do not use it$"):
        fetch(folder / "jars")

    assert [path.name for path in folder.iterdir()] == ["bin"]


def test_a_folder_keeps_its_ports_and_its_number_of_nodes(folder: Path) -> None:
    first = kafka(folder, 3)

    assert kafka(folder, 3) == first
    assert postgres(folder) == postgres(folder)
    with pytest.raises(Trouble, match=r"holds a Kafka of 3, not 1"):
        kafka(folder, 1)


def test_the_name_of_a_cluster_is_never_taken_for_an_option() -> None:
    names = {services.new_cluster() for _ in range(1000)}

    assert len(names) == 1000
    assert not any(name.startswith("-") for name in names)
    assert all(len(base64.urlsafe_b64decode(f"{name}==")) == 16 for name in names)


async def test_a_running_postgres_is_not_moved_to_another_port(folder: Path) -> None:
    async with Postgres(folder) as server:
        with pytest.raises(Trouble, match=r"already runs on port \d+: stop it first"):
            postgres(folder, 20_000)

        await server.restart()


def test_the_command_starts_says_what_runs_and_stops(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--dir", str(folder), "--only", "postgres"]

    try:
        codes = [services.main([command, *arguments]) for command in ("up", "up", "status")]
    finally:
        codes += [services.main([command, *arguments]) for command in ("down", "down", "status")]

    assert codes == [0, 0, 0, 0, 0, 1]
    said = capsys.readouterr().out
    address = said.partition('store: {postgres: "')[2].partition('"')[0]
    assert address == postgres(folder).dsn("hub")
    assert f"127.0.0.1:{postgres(folder).port} runs as process " in said
    assert said.rstrip().endswith("does not run")


def test_the_lines_for_the_settings_are_settings(folder: Path) -> None:
    log = kafka(folder, 3)

    written = yaml.safe_load("\n".join(services.settings(postgres(folder), log)))

    settings = Settings.model_validate(written)
    assert settings.bus.kafka is not None
    assert settings.bus.kafka.servers == tuple(log.bootstrap.split(","))
    assert settings.bus.kafka.replication == 3
    assert settings.store.postgres is not None
