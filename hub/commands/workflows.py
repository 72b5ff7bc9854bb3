"""Commands for workflows of a running hub: list them, start one by hand, let one go on, halt and resume all actions."""

import json
import sys
from typing import Any
from urllib.parse import quote

from hub.commands.client import show, wait
from hub.commands.remote import RemoteHub
from hub.errors import ConfigError


def list_workflows(url: str, api_key: str, *, as_json: bool) -> int:
    hub = RemoteHub(url, api_key)
    said = wait(hub.ask("GET", "/v1/workflows"))
    found = said["items"]
    tripped = {each["workflow"]: each for each in wait(hub.ask("GET", "/v1/halt"))["tripped"]}
    for each in found:
        each["stopped"] = tripped.get(each["id"], {}).get("because")
    show(found, ("id", "mode", "key", "triggers", "stopped"), as_json=as_json)
    for problem in said["problems"]:
        print(problem["text"], file=sys.stderr)  # files that are not live as they stand
    return 0


def start_workflow(
    url: str,
    api_key: str,
    workflow: str,
    key: str,
    inputs: list[str],
    trigger: str | None,
    once: str | None,
    *,
    as_json: bool,
) -> int:
    body: dict[str, Any] = {"key": key, "inputs": dict(_input(each) for each in inputs)}
    if trigger:
        body["trigger"] = trigger
    if once:
        body["idempotency_key"] = once
    said = wait(
        RemoteHub(url, api_key).ask("POST", f"/v1/workflows/{quote(workflow, safe='')}/start", body=body)
    )
    if as_json:
        print(json.dumps(said))
    else:
        again = ", as before" if said["duplicate"] else ""
        print(f"{said['run']} is asked for{again}; `hub why {workflow} {key}` says what came of it")
    return 0


def reset_workflow(url: str, api_key: str, workflow: str, because: str, *, as_json: bool) -> int:
    path = f"/v1/workflows/{quote(workflow, safe='')}/reset"
    _tell(
        wait(RemoteHub(url, api_key).ask("POST", path, body={"because": because})),
        f"{workflow} goes on, as its file says",
        as_json=as_json,
    )
    return 0


def halt_actions(url: str, api_key: str, because: str, *, as_json: bool) -> int:
    said = wait(RemoteHub(url, api_key).ask("POST", "/v1/halt", body={"because": because}))
    halted = said["halted"]
    _tell(
        said,
        f"no manager action leaves: halted at {halted['at']} by {halted['by']}: {halted['because']}",
        as_json=as_json,
    )
    return 0


def resume_actions(url: str, api_key: str, because: str, *, as_json: bool) -> int:
    said = wait(RemoteHub(url, api_key).ask("POST", "/v1/resume", body={"because": because}))
    _tell(said, "manager actions go again", as_json=as_json)
    return 0


def _tell(said: dict[str, Any], text: str, *, as_json: bool) -> None:
    print(json.dumps(said) if as_json else text)


def _input(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ConfigError(f"--input {text}: write it as NAME=VALUE")
    return name, value
