"""`hub endpoints`: asks a running hub about its endpoints, and shows what it says."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from rich.console import Console
from rich.markup import escape

from hub.commands.client import show, wait
from hub.commands.pages import read_pages
from hub.commands.remote import RemoteHub
from hub.durations import duration
from hub.errors import ConfigError

_MOST = 256 * 1024
_LISTED = ("id", "kind", "url", "topic", "events", "state", "reason")


def wishes(**given: Any) -> dict[str, Any]:
    """Return what the command line names, as the API wants it. Raises ConfigError for what cannot be read."""
    body = {name: value for name, value in given.items() if value is not None and value != []}
    if "transform" in body:
        body["transform"] = _text(body["transform"], "--transform")
    if "schedule" in body:
        body["schedule"] = _waits(body["schedule"])
    secret = [_header(line, "--secret-header") for line in body.pop("secret_headers", None) or ()]
    plain = [_header(line, "--header") for line in body.pop("headers", None) or ()]
    if secret or plain:
        body["headers"] = dict([*plain, *secret])
        body["secret_headers"] = [name for name, _ in secret]
    return body


def add(
    url: str,
    api_key: str,
    target: str,
    events: list[str],
    body: dict[str, Any],
    *,
    disabled: bool,
    as_json: bool,
) -> int:
    kind, _, topic = target.partition(":")
    where = {"kind": "kafka", "topic": topic} if kind == "kafka" else {"url": target}
    asked = {**where, "events": events, **body} | ({"enabled": False} if disabled else {})
    made = wait(RemoteHub(url, api_key).ask("POST", "/v1/endpoints", body=asked))
    if as_json:
        print(json.dumps(made))
        return 0
    print(f"endpoint {made['id']} gets {', '.join(made['events'])}")
    if made["state"] != "enabled":
        print(f"it is disabled{': ' + made['reason'] if made['reason'] else ''}")
    _print_key(made)
    return 0


def _print_key(made: dict[str, Any]) -> None:
    if made["public_key"]:
        print(f"public key, to verify with: {made['public_key']}")
    if made["secret"]:
        print(f"secret, shown this once: {made['secret']}")


def change(url: str, api_key: str, endpoint_id: str, body: dict[str, Any], *, as_json: bool) -> int:
    if not body:
        raise ConfigError("nothing to change: name something, such as --rate 50 or --reset where")
    return _shown(wait(RemoteHub(url, api_key).ask("PATCH", _path(endpoint_id), body=body)), as_json=as_json)


def list_all(url: str, api_key: str, *, as_json: bool) -> int:
    found, _ = read_pages(RemoteHub(url, api_key), "/v1/endpoints", {})
    show(found, _LISTED, as_json=as_json)
    return 0


def show_one(url: str, api_key: str, endpoint_id: str, *, as_json: bool) -> int:
    return _shown(wait(RemoteHub(url, api_key).ask("GET", _path(endpoint_id))), as_json=as_json)


def remove(url: str, api_key: str, endpoint_id: str, *, as_json: bool) -> int:
    wait(RemoteHub(url, api_key).ask("DELETE", _path(endpoint_id)))
    print(
        json.dumps({"removed": endpoint_id}) if as_json else f"{endpoint_id} is gone, and what waited for it"
    )
    return 0


def send_test(url: str, api_key: str, endpoint_id: str, *, as_json: bool) -> int:
    sent = wait(RemoteHub(url, api_key).ask("POST", f"{_path(endpoint_id)}/test"))
    print(
        json.dumps(sent)
        if as_json
        else f"{sent['event']} is on its way: GET /v1/deliveries?event={sent['event']} says how it went"
    )
    return 0


def rotate(
    url: str,
    api_key: str,
    endpoint_id: str,
    *,
    kind: str | None,
    grace: str,
    secret_file: str | None,
    as_json: bool,
) -> int:
    try:
        seconds = 0.0 if grace == "0" else duration(grace).total_seconds()
    except ValueError as error:
        raise ConfigError(f"--grace: {error}") from None
    body: dict[str, Any] = {"grace": seconds} | ({"kind": kind} if kind else {})
    if secret_file:
        body["secret"] = _text(f"@{secret_file}", "--secret-file").strip()
    made = wait(RemoteHub(url, api_key).ask("POST", f"{_path(endpoint_id)}/secret/rotate", body=body))
    if as_json:
        print(json.dumps(made))
        return 0
    _print_key(made)
    for key in made["keys"][1:]:
        print(f"{key['id']} signs beside it until {key['until']}")
    return 0


def preview(
    url: str,
    api_key: str,
    endpoint_id: str,
    *,
    event: str | None,
    sample: str | None,
    tried: dict[str, Any],
    as_json: bool,
) -> int:
    body: dict[str, Any] = {"event": event} if event else {}
    if sample is not None:
        try:
            body["sample"] = orjson.loads(_text(sample, "--sample"))
        except ValueError as error:
            raise ConfigError(f"--sample is no JSON ({error}): write an object with type and data") from None
    if tried:
        body["change"] = tried
    seen = wait(RemoteHub(url, api_key).ask("POST", f"{_path(endpoint_id)}/preview", body=body))
    if as_json:
        print(json.dumps(seen))
        return 0 if seen["would_send"] else 1
    console = Console(highlight=False, soft_wrap=True)
    verdict = "would be sent" if seen["would_send"] else "would not be sent"
    console.print(f"{escape(seen['event']['type'])} {escape(seen['event']['id'])} [bold]{verdict}[/bold]")
    console.print(f"  {escape(seen['problem'] or seen['why'])}")
    request = seen["request"]
    if request is not None:
        console.print()
        console.print(f"{request['method'] or 'record'} {escape(request['url'])}")
        for name, value in request["headers"].items():
            console.print(f"{escape(name)}: {escape(value)}")
        console.print(f"\n{escape(request['body'])}")
    return 0 if seen["would_send"] else 1


def _shown(endpoint: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(endpoint))
        return 0
    console = Console(highlight=False, soft_wrap=True)
    for name, value in endpoint.items():
        if value not in (None, [], {}, ""):
            said = value if isinstance(value, str) else json.dumps(value)
            console.print(f"{name:<15} {escape(said)}")
    return 0


def _path(endpoint_id: str) -> str:
    return f"/v1/endpoints/{quote(endpoint_id, safe='')}"


def _text(given: str, option: str) -> str:
    if not given.startswith("@"):
        return given
    path = Path(given[1:])
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{option}: cannot read {path} ({type(error).__name__})") from error
    if len(text) > _MOST:
        raise ConfigError(f"{option}: {path} has more than {_MOST} characters")
    return text


def _header(line: str, option: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise ConfigError(
            f"{option} is written 'Name: value'"
        )  # the line is not repeated: it may hold a secret
    return name.strip(), _text(value.strip(), option).strip()


def _waits(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError("--schedule is seconds with commas between, such as 5,60,600") from None
