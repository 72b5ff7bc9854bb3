"""`hub runs`: what runs, looked at and brought to the live version of its workflow at a terminal."""

import json
from typing import Any
from urllib.parse import quote

from hub.commands.client import wait
from hub.commands.pages import read_pages, say_more
from hub.commands.remote import RemoteHub
from hub.commands.shown import print_table, say

_COLUMNS = ("id", "workflow", "key", "state", "at")
_DONE = frozenset({"moved", "would move"})


def list_runs(url: str, api_key: str, *, workflow: str, key: str, state: str, as_json: bool) -> int:
    """Print them, the newest first."""
    asked = {"workflow": workflow, "key": key, "state": state}
    found, more = read_pages(RemoteHub(url, api_key), "/v1/runs", asked)
    if as_json:
        print(json.dumps(found))
        return 0
    print_table(
        (*_COLUMNS, "version"),
        ((*(str(row[name]) for name in _COLUMNS), row["version"][:12]) for row in found),
    )
    say_more(found, more=more)
    return 0


def show_run(url: str, api_key: str, name: str, *, as_json: bool) -> int:
    row = wait(RemoteHub(url, api_key).ask("GET", f"/v1/runs/{quote(name, safe='')}"))
    if as_json:
        print(json.dumps(row))
        return 0
    detail = row["detail"] or {}
    say(f"{row['id']}  [{row['state']}]")
    for label, value in (
        ("workflow", f"{row['workflow']}, version {row['version'][:12]}, {detail.get('mode', '')}"),
        ("key", row["key"]),
        ("began", f"{row['at']}, by {detail.get('caused_by', '')}"),
        ("stands", detail.get("reason", "")),
    ):
        if value:
            say(f"  {label + ':':<10}{value}")
    for step, result in detail.get("steps", {}).items():
        say(f"  step {step}: {json.dumps(result)}")
    return 0


def migrate_runs(url: str, api_key: str, workflow: str, *, run: str, dry_run: bool, as_json: bool) -> int:
    """Have them go over, page by page; return 1 when any stays where it is."""
    body: dict[str, Any] = {"workflow": workflow, "dry_run": dry_run} | ({"run": run} if run else {})
    hub, found = RemoteHub(url, api_key), list[dict[str, Any]]()
    after: str | None = ""
    while after is not None:
        page = wait(hub.ask("POST", "/v1/runs/migrate", body={**body, "after": after} if after else body))
        found += page["items"]
        after = page["next"]
    stays = sum(each["state"] not in _DONE for each in found)
    if as_json:
        print(json.dumps(found))
        return 1 if stays else 0
    if not found:
        say("no run is of an older version")
        return 0
    print_table(
        ("run", "from", "to", "state", "why"),
        (
            (each["run"], each["version"][:12], (each["live"] or "")[:12], each["state"], _why(each))
            for each in found
        ),
    )
    told = f"{len(found) - stays} {'would move' if dry_run else 'moved'}, {stays} "
    say(told + ("would stay" if dry_run else "did not"))
    return 1 if stays else 0


def _why(moved: dict[str, Any]) -> str:
    left_out = ", ".join(moved["left_out"])
    told = f"{'would be ' if moved['state'] != 'moved' else ''}left out: {left_out}" if left_out else ""
    return "; ".join(part for part in (moved["reason"], told) if part)
