"""`hub approvals`: what waits for a person, looked at and decided at a terminal."""

import json
import sys
from typing import Any
from urllib.parse import quote

from hub.commands.client import wait
from hub.commands.pages import read_pages, say_more
from hub.commands.remote import RemoteHub
from hub.commands.shown import print_table, say, say_quoted
from hub.errors import ConfigError

_COLUMNS = ("id", "state", "due", "permission", "account", "title")


def list_approvals(
    url: str, api_key: str, *, state: str, workflow: str, account: str, permission: str, as_json: bool
) -> int:
    """Print them, the newest first."""
    asked = {"state": state, "workflow": workflow, "account": account, "permission": permission}
    found, more = read_pages(RemoteHub(url, api_key), "/v1/approvals", asked)
    if as_json:
        print(json.dumps(found))
        return 0
    print_table(
        (*_COLUMNS, "votes"),
        ((*(str(row[column] or "") for column in _COLUMNS), _names(row["votes"])) for row in found),
    )
    say_more(found, more=more)
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
        say(f"{row['id']} is {row['state']}{votes}")
    return 0


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise ConfigError("say that you have looked at it: give its --hash, or --yes")
    if input("approve this? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise ConfigError("nothing was decided")


def _show(row: dict[str, Any]) -> None:
    question = row["question"] or {}
    say(f"{row['title']}  [{row['state']}]")
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
            say(f"  {label + ':':<12}{value}")
    if question.get("text"):
        say()
        say_quoted(question["text"])  # an event may have written a part of it
    say()
    say("if it is approved:")
    for action in question.get("actions", []):
        say(f"  {action['verb']} {json.dumps(action['params'])}{_open_points(action)}")
    if not question.get("actions"):
        say("  nothing is done at the broker")
    for name, shown in question.get("shown", {}).items():
        say()
        say(f"{name}:")
        say_quoted(json.dumps(shown, indent=2))
    for vote in (*row["votes"], *row["refused"]):
        refused = f", which did not count: {vote['refused']}" if vote.get("refused") else ""
        comment = f": {vote['comment']}" if vote.get("comment") else ""
        say()
        say(f"{vote['at']}  {vote['name']}: {vote['decision']}{comment}{refused}")


def _open_points(action: dict[str, Any]) -> str:
    later = f"; known only then: {', '.join(action['later'])}" if action.get("later") else ""
    problem = f"; as it stands it would fail: {action['problem']}" if action.get("problem") else ""
    return later + problem


def _names(votes: list[dict[str, Any]]) -> str:
    return ", ".join(f"{vote['name']}: {vote['decision']}" for vote in votes)


def _path(name: str) -> str:
    return f"/v1/approvals/{quote(name, safe='')}"
