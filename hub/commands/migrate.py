"""`hub migrate`: what a hub past one machine stands on, made or brought up to date; and a hub on one machine moved onto it."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from hub import logs
from hub.clock import SystemClock
from hub.commands.reaching import when_reachable
from hub.config import Settings, load
from hub.durations import duration
from hub.errors import ConfigError

try:
    from hub.bus.kafka.topics import ensure
    from hub.commands.moving import Moved, move_hub
    from hub.parts import retention
    from hub.store.postgres.database import open_database
    from hub.store.postgres.migrate import migrate
    from hub.store.postgres.prune import PostgresPruner
except ImportError as error:  # a bare install has neither client
    raise ConfigError(
        f"{error.name} is not installed: a hub on Kafka and PostgreSQL needs the extra, pip install 'hub[scaled]'"
    ) from error

SECOND = timedelta(seconds=1)
T = TypeVar("T")


def run_migrate(
    config: Path | None,
    *,
    data: Path | None = None,
    to: Path | None = None,
    keep: bool = False,
    wait: str = "",
    as_json: bool,
) -> int:
    logs.set_up()  # to standard error: what is said on standard output may be JSON
    if data is None and to is None:
        return asyncio.run(_migrate(_scaled(config), _patience(wait), as_json=as_json))
    if wait:
        raise ConfigError("a move does not wait for servers: leave --wait out, and run it when they answer")
    if data is None or to is None or config is not None:
        raise ConfigError(
            "to move a hub, name the data folder it is in and the configuration it goes to: hub migrate --data DIR --to hub.yaml"
        )
    return interruptible(_move(data, _scaled(to), keep=keep, as_json=as_json))


def _patience(text: str) -> timedelta:
    try:
        return duration(text) if text else timedelta()
    except ValueError as error:
        raise ConfigError(f"--wait {text}: {error}") from error


def _scaled(path: Path | None) -> Settings:
    settings = load(path)
    if not settings.is_scaled:
        raise ConfigError(
            "a hub on one machine brings its data folder up to date when it starts; `hub migrate` is for store.postgres and bus.kafka"
        )
    return settings


def interruptible(work: Coroutine[Any, Any, int]) -> int:
    """Run a move that may be stopped at any moment; what is not committed is not lost either, it is moved again."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        print("stopped: run the same command again, and it goes on from where it is", file=sys.stderr)
        return 130


async def _move(data: Path, settings: Settings, *, keep: bool, as_json: bool) -> int:
    moved = await move_hub(data, settings, keep=keep, show=not as_json)
    if as_json:
        print(json.dumps(_as_json(moved)))
    else:
        _tell(moved, data, keep=keep)
    return 0 if moved.is_same else 1


def _as_json(moved: Moved) -> dict[str, object]:
    tables = [
        {
            "table": each.table,
            "rows": each.there.rows,
            "digest": each.there.hex,
            "expected_rows": each.expected,
            "expected_digest": each.here.hex,
            "same": each.is_same,
        }
        for each in moved.compared
    ]
    return {"to": moved.to, "moved": moved.is_same, "already": moved.already, "tables": tables}


def _tell(moved: Moved, data: Path, *, keep: bool) -> None:
    console = Console(highlight=False)

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False)

    if moved.already:
        say(f"{data} was moved to {moved.to} already: nothing to do")
        return
    for each in moved.compared:
        say(
            f"{each.table:<17}{each.there.rows:>13,} rows  {each.there.hex[:16]}  {'same' if each.is_same else 'DIFFERS'}"
        )
    if not moved.is_same:
        differing = ", ".join(each.table for each in moved.compared if not each.is_same)
        say(
            f"not moved: {differing} of {moved.to} is not what the folder says, so something else wrote there. Empty it (drop the "
            "database and create it again) and run the same command again"
        )
        return
    say(f"moved to {moved.to}: every table says the same on both sides")
    if keep:
        say(f"{data} is kept as it was: run a hub there or here, and never both")


async def _migrate(settings: Settings, wait: timedelta, *, as_json: bool) -> int:
    assert settings.store.postgres is not None
    assert settings.bus.kafka is not None
    kafka = settings.bus.kafka
    dsn = settings.store.address()
    clock = SystemClock()
    until = clock.monotonic() + wait.total_seconds()

    async def insist(ask: Callable[[], Awaitable[T]]) -> T:
        left = max(until - clock.monotonic(), 0) * SECOND
        return await when_reachable(ask, clock, patience=left)

    async def prepare() -> None:
        async with open_database(dsn, connections=2) as database:
            await PostgresPruner(database, clock, retention(settings)).prepare()

    schema = await insist(lambda: migrate(dsn))
    await insist(prepare)
    await insist(lambda: ensure(kafka, clock))
    topics = [kafka.live, kafka.bulk, kafka.samples]
    if as_json:
        print(json.dumps({"schema": schema, "topics": topics}))
        return 0
    console = Console(highlight=False)
    console.print(f"PostgreSQL: schema {schema}", soft_wrap=True)
    console.print(f"Kafka: {', '.join(topics)}", soft_wrap=True)
    return 0
