"""`hub runs`: what runs, looked at and brought to the live version of its workflow at a terminal."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub.commands.client import wait
from hub.commands.remote import RemoteHub

PAGE = 500
MOST = 5_000
_COLUMNS = ("id", "workflow", "key", "state", "at")
_DONE = frozenset({"moved", "would move"})


def list_runs(url: str, api_key: str, *, workflow: str, key: str, state: str, as_json: bool) -> int:
    """Print them, the newest first."""
    asked = {"workflow": workflow, "key": key, "state": state}
    query = {name: value for name, value in asked.items() if value} | {"limit": str(PAGE)}
    hub, found = RemoteHub(url, api_key), list[dict[str, Any]]()
    after: str | None = ""
    while after is not None and len(found) < MOST:
        page = wait(hub.ask("GET", "/v1/runs", query={**query, "after": after} if after else query))
        found += page["items"]
        after = page["next"]
    if as_json:
        print(json.dumps(found))
        return 0
    _table(
        (*_COLUMNS, "version"), ((*(row[name] for name in _COLUMNS), row["version"][:12]) for row in found)
    )
    if after is not None:
        print(f"and more: these are the newest {len(found)}", file=sys.stderr)
    return 0


def show_run(url: str, api_key: str, name: str, *, as_json: bool) -> int:
    row = wait(RemoteHub(url, api_key).ask("GET", f"/v1/runs/{quote(name, safe='')}"))
    if as_json:
        print(json.dumps(row))
        return 0
    detail = row["detail"] or {}
    _say(f"{row['id']}  [{row['state']}]")
    for label, value in (
        ("workflow", f"{row['workflow']}, version {row['version'][:12]}, {detail.get('mode', '')}"),
        ("key", row["key"]),
        ("began", f"{row['at']}, by {detail.get('caused_by', '')}"),
        ("stands", detail.get("reason", "")),
    ):
        if value:
            _say(f"  {label + ':':<10}{value}")
    for step, result in detail.get("steps", {}).items():
        _say(f"  step {step}: {json.dumps(result)}")
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
        _say("no run is of an older version")
        return 0
    _table(
        ("run", "from", "to", "state", "why"),
        (
            (each["run"], each["version"][:12], (each["live"] or "")[:12], each["state"], _why(each))
            for each in found
        ),
    )
    told = f"{len(found) - stays} {'would move' if dry_run else 'moved'}, {stays} "
    _say(told + ("would stay" if dry_run else "did not"))
    return 1 if stays else 0


def _why(moved: dict[str, Any]) -> str:
    left_out = ", ".join(moved["left_out"])
    told = f"{'would be ' if moved['state'] != 'moved' else ''}left out: {left_out}" if left_out else ""
    return "; ".join(part for part in (moved["reason"], told) if part)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")  # an id that is cut cannot be used
    for row in rows:
        table.add_row(*(escape(_plain(str(cell))) for cell in row))
    console = Console()
    (console if console.is_terminal else Console(width=400)).print(table)


def _say(text: str) -> None:
    Console(highlight=False).print(_plain(text), soft_wrap=True, markup=False)


def _plain(text: str) -> str:
    """Return a text in which nothing steers the terminal: some of it came from outside."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
