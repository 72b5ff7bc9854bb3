"""Deliveries of a running hub, as lists and in every detail there is on record."""

import json
import sys
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from rich.console import Console

from hub.clock import SystemClock, iso
from hub.commands.client import show, wait
from hub.commands.moments import moment_or_age
from hub.commands.remote import RemoteHub

_PAGE: Final = 500
_COLUMNS: Final = ("id", "event", "state", "attempts", "created_at", "next_attempt_at")
_STEPS: Final = (
    ("dns", "dns"),
    ("connect", "connect"),
    ("tls", "tls"),
    ("first_byte", "first byte"),
    ("total", "total"),
)


def list_deliveries(
    url: str, api_key: str, asked: Mapping[str, str], *, since: str, most: int, as_json: bool
) -> int:
    """Print them: those that wait, then those that ended, the newest first."""
    query = {name: value for name, value in asked.items() if value} | {"limit": str(min(most, _PAGE))}
    if since:
        query["since"] = _since(since)
    hub, found = RemoteHub(url, api_key), list[dict[str, Any]]()
    after: str | None = ""
    while after is not None and len(found) < most:
        page = wait(hub.ask("GET", "/v1/deliveries", query=query | ({"after": after} if after else {})))
        found += page["items"]
        after = page["next"]
    show(found[:most], _COLUMNS, as_json=as_json)
    if not as_json and (after is not None or len(found) > most):
        print(
            f"there may be more: these are {min(len(found), most)}, ask for others with --most",
            file=sys.stderr,
        )
    return 0


def show_delivery(url: str, api_key: str, name: str, *, as_json: bool) -> int:
    told = _attempts(url, api_key, name)
    if as_json:
        print(json.dumps(told["delivery"]))
        return 0
    _heading(told["delivery"])
    for attempt in told["items"]:
        _say(f"  {attempt['number']:>3}  {_in_short(attempt)}")
    return 0


def show_attempts(url: str, api_key: str, name: str, *, as_json: bool) -> int:
    told = _attempts(url, api_key, name)
    if as_json:
        print(json.dumps(told["items"]))
        return 0
    _heading(told["delivery"])
    if not told["items"]:
        _say("  nothing was tried yet")
    for attempt in told["items"]:
        _attempt(attempt)
    return 0


def _attempt(attempt: Mapping[str, Any]) -> None:
    _say(f"\nattempt {attempt['number']}  {_in_short(attempt)}")
    if attempt["remote_address"]:
        secured = attempt["tls"] or "no TLS"
        connection = f"a {attempt['connection']}" if attempt["connection"] else "no"
        _say(f"  went to    {attempt['remote_address']}, {secured}, {connection} connection")
    steps = [
        f"{shown} {attempt['timings_us'][name] / 1000:g} ms"
        for name, shown in _STEPS
        if attempt["timings_us"][name] is not None
    ]
    _say(f"  took       {', '.join(steps)}")
    request = attempt["request"]
    if request is not None:
        _say(f"  asked      {request['method']} to {request['host']}, {request['body_bytes']} bytes")
        for header, value in request["headers"]:
            _say(f"             {header}: {value}")
    for number, (header, value) in enumerate(attempt["response_headers"]):
        _say(f"  {'' if number else 'answered':<11}{header}: {value}")
    if attempt["response_headers_left_out"]:
        _say(f"             and {attempt['response_headers_left_out']} headers that were not kept")
    if attempt["response"]:
        _say(f"  {'said' if attempt['status'] else 'because':<11}{attempt['response']}")
    if attempt["next_attempt_at"]:
        _say(f"  again      {attempt['next_attempt_at']}")


def _in_short(attempt: Mapping[str, Any]) -> str:
    what = " ".join(
        str(part) for part in (attempt["outcome"], attempt["status"], attempt["error"]) if part is not None
    )
    return f"{attempt['at']}  {what}, {attempt['latency_ms']:g} ms"


def _heading(delivery: Mapping[str, Any]) -> None:
    _say(f"{delivery['id']}  [{delivery['state']}]")
    _say(f"  event {delivery['event']}, since {delivery['created_at']}, {delivery['attempts']} attempts")
    if delivery["next_attempt_at"]:
        _say(f"  next  {delivery['next_attempt_at']}")


def _attempts(url: str, api_key: str, name: str) -> dict[str, Any]:
    path = f"/v1/deliveries/{quote(name, safe='')}/attempts"
    return dict(wait(RemoteHub(url, api_key).ask("GET", path)))


def _since(text: str) -> str:
    """Return a moment as the API reads it: an age such as 2h is taken from now. Raises ConfigError."""
    at = moment_or_age(text, "--since", SystemClock())
    assert at is not None
    return iso(at)


def _say(text: str) -> None:
    # Some of it came from outside: nothing of it steers the terminal.
    plain = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
    Console(highlight=False).print(plain, soft_wrap=True, markup=False)
