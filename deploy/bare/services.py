"""Real Apache Kafka and PostgreSQL as plain processes on this machine: to try the hub on them, and for its tests.

`python deploy/bare/services.py up` needs Python's standard library alone, so it runs before anything is installed.
Both listen on 127.0.0.1 only, keep their data in one folder, and come back with it on the same ports.
"""

import argparse
import base64
import fcntl
import json
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kafka_jars import fetch, jars_folder
from kafka_service import Kafka, KafkaNode
from postgres_service import Postgres
from service import Service, Trouble, free_ports, make_folder


@dataclass(frozen=True)
class Kept:
    """What must be the same whenever the services of a folder start again."""

    postgres: int = 0
    kafka: tuple[tuple[int, int], ...] = ()
    cluster: str = ""


def keep(folder: Path, change: Callable[[Kept], Kept]) -> Kept:
    """Return what is kept in the folder after the change, which is there before anything starts on it."""
    make_folder(folder, 0o711 if os.geteuid() == 0 else 0o700)
    path = folder / "services.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        read = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        old = Kept(**{**read, "kafka": tuple((port, other) for port, other in read.get("kafka", ()))})
        new = change(old)
        if new != old:
            path.with_suffix(".new").write_text(json.dumps(asdict(new)), encoding="utf-8")
            path.with_suffix(".new").replace(path)
    return new


def postgres(folder: Path, port: int = 0) -> Postgres:
    """Return the PostgreSQL of a folder, to be started; a port once chosen stays until another is named."""

    def chosen(kept: Kept) -> Kept:
        if kept.postgres and port not in {0, kept.postgres} and at(kept.postgres).process is not None:
            raise Trouble(
                f"PostgreSQL in {folder} already runs on port {kept.postgres}: stop it first with `down`"
            )
        return replace(kept, postgres=port or kept.postgres or free_ports(1)[0])

    def at(port: int) -> Postgres:
        return Postgres(folder / "postgres", port)

    return at(keep(folder, chosen).postgres)


def kafka(folder: Path, nodes: int = 1, jars: Path | None = None, *, advertised: int | None = None) -> Kafka:
    """Return the Kafka of a folder, to be started. How many nodes it has is settled for good the first time.

    `advertised` is the port one node alone sends its clients to.
    """
    if advertised is not None and nodes != 1:
        raise Trouble(
            f"{nodes} nodes cannot all be found at port {advertised}: advertise one node's, or none"
        )

    def chosen(kept: Kept) -> Kept:
        if kept.kafka:
            return kept
        ports = free_ports(2 * nodes)
        return replace(kept, kafka=tuple(zip(ports[::2], ports[1::2], strict=True)), cluster=new_cluster())

    kept = keep(folder, chosen)
    if len(kept.kafka) != nodes:
        raise Trouble(
            f"{folder} holds a Kafka of {len(kept.kafka)}, not {nodes}: choose another folder with --dir"
        )
    return Kafka(
        tuple(
            KafkaNode(
                folder / f"kafka-{node}",
                port,
                controller,
                node,
                kept.kafka,
                kept.cluster,
                jars or jars_folder(),
                advertised,
            )
            for node, (port, controller) in enumerate(kept.kafka, 1)
        )
    )


def new_cluster() -> str:
    """Return a name for a cluster: 16 bytes in base64, which must not begin with a dash, as one in 64 would."""
    return base64.urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode().rstrip("=")


def default_folder() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/hub-services")  # the account PostgreSQL runs as cannot enter root's home
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "hub" / "services"


def here(folder: Path, *, only: str | None) -> list[Service]:
    """Return the services this folder has, whether they run or not."""
    kept = keep(folder, lambda kept: kept)
    found: list[Service] = []
    if kept.postgres and only != "kafka":
        found.append(postgres(folder))
    if kept.kafka and only != "postgres":
        found.extend(kafka(folder, len(kept.kafka)).nodes)
    return found


def up(options: argparse.Namespace) -> int:
    # What cannot be is found out before anything starts.
    database = postgres(options.dir, options.port) if options.only != "kafka" else None
    log = kafka(options.dir, options.kafka_nodes) if options.only != "postgres" else None
    if database is not None:
        database.start()
    if log is not None:
        fetch(jars_folder())
        log.start()
    say(f"Running, with their data in {options.dir}. For hub.yaml:", "", *settings(database, log))
    return 0


def settings(database: Postgres | None, log: Kafka | None) -> list[str]:
    """Return the lines of hub.yaml that make the hub use them."""
    lines: list[str] = []
    if database is not None:
        lines.append(f'store: {{postgres: "{database.dsn("hub")}"}}')
    if log is not None:
        lines.append(f'bus: {{kafka: {{servers: "{log.bootstrap}", replication: {len(log.nodes)}}}}}')
    return lines


def down(options: argparse.Namespace) -> int:
    kept = keep(options.dir, lambda kept: kept)
    if kept.kafka and options.only != "postgres":
        kafka(options.dir, len(kept.kafka)).stop()
    if kept.postgres and options.only != "kafka":
        postgres(options.dir).stop()
    say(f"Stopped. What they stored is still in {options.dir}.")
    return 0


def status(options: argparse.Namespace) -> int:
    """Exit code 0: everything this folder has is running."""
    services = here(options.dir, only=options.only)
    for service in services:
        process = service.process
        state = f"runs as process {process.pid}" if process else "does not run"
        say(f"{service.name} at 127.0.0.1:{service.port} {state}")
    if not services:
        say(f"Nothing was ever started in {options.dir}.")
    return 0 if services and all(service.process for service in services) else 1


def fetch_jars(_: argparse.Namespace) -> int:
    fetch(jars_folder())
    say(f"Kafka's jars are in {jars_folder()}.")
    return 0


def say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


def port(word: str) -> int:
    number = int(word)
    if not 1024 <= number <= 65_535:
        raise argparse.ArgumentTypeError("a port from 1024 to 65535")
    return number


def main(words: Sequence[str] | None = None) -> int:
    summary, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=summary, epilog=details)
    commands = parser.add_subparsers(required=True)
    for command, does in ((up, "start them"), (down, "stop them"), (status, "say what runs")):
        one = commands.add_parser(command.__name__, help=does)
        one.set_defaults(command=command)
        one.add_argument(
            "--dir", type=Path, default=default_folder(), help="their data (default: %(default)s)"
        )
        one.add_argument("--only", choices=("kafka", "postgres"))
        if command is up:
            one.add_argument("--kafka-nodes", type=int, choices=(1, 3), default=1)
            one.add_argument("--port", type=port, default=0, help="PostgreSQL's; without it any that is free")
    one = commands.add_parser("fetch", help="bring Kafka's jars with Maven, and check them")
    one.set_defaults(command=fetch_jars)
    options = parser.parse_args(words)
    try:
        if "dir" in options:
            options.dir = options.dir.expanduser().absolute()
        return int(options.command(options))
    except Trouble as trouble:
        sys.stderr.write(f"{trouble}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
