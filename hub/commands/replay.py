"""`hub replay`: events delivered once more, counted, begun, followed and steered at a terminal."""

import asyncio
import json
import sys
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn

from hub.clock import Clock, SystemClock, iso
from hub.commands.client import show, wait
from hub.commands.moments import moment_or_age
from hub.commands.remote import RemoteHub
from hub.errors import ConfigError

_EVERY: Final = timedelta(milliseconds=400)
_LISTED: Final = ("id", "endpoint", "state", "queued", "expected", "left_out", "reason", "created_at")
_OVER: Final = frozenset({"done", "cancelled"})
_LARGEST_PAGE: Final = "500"


def start_replay(
    url: str,
    api_key: str,
    endpoint: str,
    *,
    event: str,
    since: str,
    until: str,
    types: list[str],
    account: str,
    missing: bool,
    rate: int,
    preview: bool,
    yes: bool,
    follow: bool,
    as_json: bool,
) -> int:
    """Count, ask, begin and follow; return 1 when there is nothing to replay, or nobody said yes."""
    clock = SystemClock()
    body: dict[str, Any] = {"missing": missing, "rate": rate} | ({"event": event} if event else {})
    for name, text in (("since", since), ("until", until)):
        if text:
            body[name] = _time(text, f"--{name}", clock)
    body |= ({"types": types} if types else {}) | ({"account": account} if account else {})
    hub, path = RemoteHub(url, api_key), f"/v1/endpoints/{quote(endpoint, safe='')}/replay"
    counted = wait(hub.ask("POST", path, query={"preview": "true"}, body=body))
    if preview or not counted["queued"]:
        print(json.dumps(counted) if as_json else _counted(counted))
        return 0 if counted["queued"] else 1
    if not yes and not _agreed(counted, as_json=as_json):
        return 1
    begun = wait(hub.ask("POST", path, body=body))
    return _follow(hub, begun, clock, as_json=as_json) if follow else _say(begun, as_json=as_json)


def replay_delivery(url: str, api_key: str, delivery: str, *, as_json: bool) -> int:
    """Have one delivery made once more."""
    hub = RemoteHub(url, api_key)
    begun = wait(hub.ask("POST", f"/v1/deliveries/{quote(delivery, safe='')}/replay"))
    return _say(begun, as_json=as_json)


def list_replays(url: str, api_key: str, *, endpoint: str, state: str, as_json: bool) -> int:
    """Print the newest."""
    query = {"limit": _LARGEST_PAGE}
    query |= ({"endpoint": endpoint} if endpoint else {}) | ({"state": state} if state else {})
    page = wait(RemoteHub(url, api_key).ask("GET", "/v1/replays", query=query))
    show(page["items"], _LISTED, as_json=as_json)
    if page["next"] is not None:
        print(f"and more: these are the newest {len(page['items'])}", file=sys.stderr)
    return 0


def show_replay(url: str, api_key: str, replay: str, *, follow: bool, as_json: bool) -> int:
    """Print how far one is, or follow it to its end."""
    hub = RemoteHub(url, api_key)
    found = wait(hub.ask("GET", _path(replay)))
    return _follow(hub, found, SystemClock(), as_json=as_json) if follow else _say(found, as_json=as_json)


def turn_replay(url: str, api_key: str, replay: str, verb: str, *, as_json: bool) -> int:
    """Pause, resume or cancel one."""
    return _say(wait(RemoteHub(url, api_key).ask("POST", f"{_path(replay)}/{verb}")), as_json=as_json)


def _path(replay: str) -> str:
    return f"/v1/replays/{quote(replay, safe='')}"


def _time(text: str, option: str, clock: Clock) -> str:
    at = moment_or_age(text, option, clock)
    assert at is not None
    return iso(at)


def _agreed(counted: dict[str, Any], *, as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here: look with --preview first, then begin with --yes")
    print(_counted(counted))
    return input("begin? [y/N] ").strip().lower() in {"y", "yes"}


def _counted(counted: dict[str, Any]) -> str:
    least = "" if counted["complete"] else "at least "
    stands = f"{counted['delivered']} were delivered before, {counted['waiting']} wait already"
    told = f"{least}{counted['queued']} would be delivered: of {counted['matching']} that match, {stands}"
    return told + (f"; from {counted['first']} to {counted['last']}" if counted["first"] else "")


def _say(replay: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(replay))
        return 0
    of = "" if replay["expected"] is None else f" of {replay['expected']}"
    why = f" ({replay['reason']})" if replay["reason"] else ""
    print(
        f"{replay['id']}  {replay['state']}{why}: {replay['queued']}{of} queued, {replay['left_out']} left out"
    )
    return 0


def _follow(hub: RemoteHub, replay: dict[str, Any], clock: Clock, *, as_json: bool) -> int:
    """Show a bar until it is over; return 1 if it was cancelled. Interrupted, it leaves the replay running."""
    try:
        ended = asyncio.run(_until_over(hub, replay, clock, quiet=as_json))
    except KeyboardInterrupt:
        print(
            f"it goes on by itself: hub replay show --follow {replay['id']}, or hub replay cancel {replay['id']}",
            file=sys.stderr,
        )
        raise
    _say(ended, as_json=as_json)
    return 0 if ended["state"] == "done" else 1


async def _until_over(hub: RemoteHub, replay: dict[str, Any], clock: Clock, *, quiet: bool) -> dict[str, Any]:
    expected = replay["expected"]
    count = (MofNCompleteColumn(),) if expected else ()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        *count,
        console=Console(stderr=True),
        disable=quiet,
    )
    with bar:
        task = bar.add_task(replay["state"], total=expected or 1.0)
        while True:
            done = replay["queued"] if expected else replay["progress"]
            bar.update(task, completed=done, description=replay["state"])
            if replay["state"] in _OVER:
                return replay
            await clock.sleep(_EVERY)
            replay = await hub.ask("GET", _path(replay["id"]))
