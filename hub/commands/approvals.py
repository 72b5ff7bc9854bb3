"""`hub approvals`: what waits for a person, looked at and decided at a terminal."""

import json
import sys
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub.commands.client import wait
from hub.commands.remote import RemoteHub
from hub.errors import ConfigError

PAGE = 500
MOST = 5_000
_COLUMNS = ("id", "state", "due", "permission", "account", "title")


def list_approvals(
    url: str, api_key: str, *, state: str, workflow: str, account: str, permission: str, as_json: bool
) -> int:
    """Print them, the newest first."""
    asked = {"state": state, "workflow": workflow, "account": account, "permission": permission}
    query = {name: value for name, value in asked.items() if value} | {"limit": str(PAGE)}
    hub, found = RemoteHub(url, api_key), list[dict[str, Any]]()
    after: str | None = ""
    while after is not None and len(found) < MOST:
        page = wait(hub.ask("GET", "/v1/approvals", query={**query, "after": after} if after else query))
        found += page["items"]
        after = page["next"]
    if as_json:
        print(json.dumps(found))
        return 0
    table = Table()
    for column in (*_COLUMNS, "votes"):
        table.add_column(column, overflow="fold")  # an id that is cut cannot be used
    for row in found:
        cells = [str(row[column] or "") for column in _COLUMNS]
        table.add_row(*(escape(cell) for cell in (*cells, _names(row["votes"]))))
    console = Console()
    (console if console.is_terminal else Console(width=400)).print(table)
    if after is not None:
        print(f"and more: these are the newest {len(found)}", file=sys.stderr)
    return 0


def show_approval(url: str, api_key: str, name: str, *, as_json: bool) -> int:
    row = wait(RemoteHub(url, api_key).ask("GET", _path(name)))
    if as_json:
        print(json.dumps(row))
    else:
        _show(row)
    return 0


def decide_approval(
    url: str,
    api_key: str,
    name: str,
    decision: str,
    *,
    comment: str,
    seen: str,
    sure: bool,
    as_json: bool,
) -> int:
    """Decide what was looked at: with its hash, or by looking at it here and saying yes."""
    hub = RemoteHub(url, api_key)
    if not seen and decision == "approve":
        row = wait(hub.ask("GET", _path(name)))
        if not sure:
            _show(row)
            _confirm()
        seen = row["hash"]
    body = {"decision": decision, "comment": comment} | ({"hash": seen} if seen else {})
    row = wait(hub.ask("POST", f"{_path(name)}/decision", body=body))
    if as_json:
        print(json.dumps(row))
    else:
        needed = row["question"]["quorum"]
        votes = f" ({len(row['votes'])} of {needed})" if row["state"] == "open" else ""
        _say(f"{row['id']} is {row['state']}{votes}")
    return 0


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise ConfigError("say that you have looked at it: give its --hash, or --yes")
    if input("approve this? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise ConfigError("nothing was decided")


def _show(row: dict[str, Any]) -> None:
    question = row["question"] or {}
    _say(f"{row['title']}  [{row['state']}]")
    for label, value in (
        ("id", row["id"]),
        ("workflow", f"{row['workflow']}, step {row['step']}"),
        ("account", row["account"] or row["key"]),
        ("permission", f"{row['permission']}, {question.get('quorum', 1)} to approve"),
        ("not by", ", ".join(question.get("not_by", []))),
        ("due", row["due"]),
        ("hash", row["hash"]),
    ):
        if value:
            _say(f"  {label + ':':<12}{value}")
    if question.get("text"):
        _say(f"\n{question['text'].strip()}")
    _say("\nif it is approved:")
    for action in question.get("actions", []):
        _say(f"  {action['verb']} {json.dumps(action['params'])}{_open_points(action)}")
    if not question.get("actions"):
        _say("  nothing is done at the broker")
    for name, shown in question.get("shown", {}).items():
        _say(f"\n{name}: {json.dumps(shown, indent=2)}")
    for vote in (*row["votes"], *row["refused"]):
        refused = f", which did not count: {vote['refused']}" if vote.get("refused") else ""
        comment = f": {vote['comment']}" if vote.get("comment") else ""
        _say(f"\n{vote['at']}  {vote['name']}: {vote['decision']}{comment}{refused}")


def _open_points(action: dict[str, Any]) -> str:
    later = f"; known only then: {', '.join(action['later'])}" if action.get("later") else ""
    problem = f"; as it stands it would fail: {action['problem']}" if action.get("problem") else ""
    return later + problem


def _names(votes: list[dict[str, Any]]) -> str:
    return ", ".join(f"{vote['name']}: {vote['decision']}" for vote in votes)


def _path(name: str) -> str:
    return f"/v1/approvals/{quote(name, safe='')}"


def _say(text: str) -> None:
    # What is shown came from outside: nothing in it may steer the terminal, or hide what is approved.
    text = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
    Console(highlight=False).print(text, soft_wrap=True, markup=False)
