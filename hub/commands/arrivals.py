"""`hub arrivals`: what one process of a hub left for another that could never be taken, for a person to decide about."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from hub.bus.arrival import decode
from hub.config import load
from hub.errors import ConfigError, RecordMalformed
from hub.events.facts import Fact, stored

try:
    from hub.store.postgres.database import open_database
    from hub.store.postgres.refused import Refused, RefusedArrivals
except ImportError as error:  # a bare install has neither client
    raise ConfigError(
        f"{error.name} is not installed: a hub on Kafka and PostgreSQL needs the extra, pip install 'hub[scaled]'"
    ) from error

PAGE = 500
_LONGEST_REASON = 1_000


def list_arrivals(config: Path | None, *, dropped: bool, as_json: bool) -> int:
    """Print them; 1 says that some wait for a person."""

    async def work(arrivals: RefusedArrivals) -> int:
        after, waiting = 0, 0
        found: list[dict[str, Any]] = []
        while page := await arrivals.page(after, PAGE, dropped=dropped):
            after = page[-1].id
            waiting += sum(not each.is_dropped for each in page)
            found += [_told(each) for each in page]
        if as_json:
            print(json.dumps(found))
        else:
            for each in found:
                _say(f"{each['id']}  partition {each['partition']}  {each['about']}: {each['reason']}")
            _say(f"{waiting} waiting for a person" if waiting else "none waits for a person")
        return 1 if waiting else 0

    return _with(config, work)


def show_arrival(config: Path | None, number: int, *, as_json: bool) -> int:
    async def work(arrivals: RefusedArrivals) -> int:
        found = await arrivals.one(number)
        if found is None:
            raise _missing(number)
        told = {**_told(found), "body": base64.b64encode(found.body).decode()}
        if as_json:
            print(json.dumps(told))
        else:
            for name, value in told.items():
                _say(f"{name + ':':<11}{value if isinstance(value, str | int) else json.dumps(value)}")
        return 0

    return _with(config, work)


def retry_arrival(config: Path | None, number: int) -> int:
    async def work(arrivals: RefusedArrivals) -> int:
        if not await arrivals.retry(number):
            raise _missing(number)
        _say(
            f"{number} is left for its owner again; if that refuses it once more, `hub arrivals list` shows it"
        )
        return 0

    return _with(config, work)


def drop_arrival(config: Path | None, number: int, because: str) -> int:
    reason = " ".join(because.split())
    if not 0 < len(reason) <= _LONGEST_REASON or "\0" in reason:
        raise ConfigError(f"--because says in 1 to {_LONGEST_REASON} signs why this may be lost")

    async def work(arrivals: RefusedArrivals) -> int:
        if not await arrivals.drop(number, reason):
            raise _missing(number)
        _say(f"{number} is dropped; `hub arrivals list --dropped` still shows it")
        return 0

    return _with(config, work)


def _with(config: Path | None, work: Callable[[RefusedArrivals], Awaitable[int]]) -> int:
    settings = load(config)
    if not settings.is_scaled:
        raise ConfigError(
            "a hub on one machine leaves nothing for other processes: `hub arrivals` is for store.postgres and bus.kafka"
        )

    async def run() -> int:
        async with open_database(settings.store.address(), connections=2) as database:
            return await work(RefusedArrivals(database))

    return asyncio.run(run())


def _told(arrival: Refused) -> dict[str, Any]:
    told = {
        "id": arrival.id,
        "partition": arrival.partition,
        "reason": arrival.reason,
        "dropped": arrival.is_dropped,
    }
    try:
        left = decode(arrival.body, arrival.partition)
    except RecordMalformed:
        return {**told, "about": f"{len(arrival.body)} bytes nobody can read"}
    if isinstance(left, Fact):
        about = f"event {left.envelope.type} of {left.account or 'no account'}"
        return {**told, "about": about, "event": json.loads(stored(left.envelope))}
    return {
        **told,
        "about": f"{left.kind.name.lower()} for {left.key or 'no account'}",
        "ref": left.ref,
        "content": left.body.decode(errors="replace"),
    }


def _missing(number: int) -> ConfigError:
    return ConfigError(f"there is no refused arrival {number}: `hub arrivals list` shows those there are")


def _say(text: str) -> None:
    Console(highlight=False).print(text, soft_wrap=True, markup=False)
