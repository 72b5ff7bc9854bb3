"""Commands that ask a running hub: keys, why."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any, TypeVar
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape

from hub.clock import iso
from hub.commands.moments import moment as when
from hub.commands.remote import RemoteHub
from hub.commands.shown import print_table

T = TypeVar("T")


def create_key(
    url: str, api_key: str, name: str, scopes: list[str], permissions: list[str], *, as_json: bool
) -> int:
    body = {"name": name, "scopes": scopes} | ({"permissions": permissions} if permissions else {})
    made = wait(RemoteHub(url, api_key).ask("POST", "/v1/keys", body=body))
    if as_json:
        print(json.dumps(made))
    else:
        print(f"{made['key']}\nshown this once; its id is {made['id']}")
    return 0


def list_keys(url: str, api_key: str, *, as_json: bool) -> int:
    found = wait(RemoteHub(url, api_key).ask("GET", "/v1/keys"))["items"]
    show(found, ("id", "name", "scopes", "permissions", "created_at", "last_used"), as_json=as_json)
    return 0


def revoke_key(url: str, api_key: str, key_id: str) -> int:
    wait(RemoteHub(url, api_key).ask("DELETE", f"/v1/keys/{quote(key_id, safe='')}"))
    print(f"{key_id} no longer works")
    return 0


def ask_why(url: str, api_key: str, workflow: str, key: str, *, event: str, at: str, as_json: bool) -> int:
    query = {"key": key} | ({"event": event} if event else {})
    moment = when(at, "--at")
    if moment is not None:
        query["at"] = iso(moment)
    said = wait(
        RemoteHub(url, api_key).ask("GET", f"/v1/workflows/{quote(workflow, safe='')}/why", query=query)
    )
    if as_json:
        print(json.dumps(said))
        return 0
    console = Console(highlight=False)
    console.print(f"[bold]{escape(said['workflow'])}[/bold] for {escape(said['key'])}")
    _stands(console, "then", said["then"])
    if said["note"]:
        console.print(f"  [dim]{escape(said['note'])}[/dim]", soft_wrap=True)
    _stands(console, "now", said["now"])
    for reason in said["decided"]:
        console.print(
            f"  {escape(str(reason['at']))}  {escape(reason['outcome'])}: {escape(reason['text'])}",
            soft_wrap=True,
        )
    if not said["decided"] and not event:
        console.print(
            "  nothing was decided for it yet" if not at else "  nothing was decided for it till then"
        )
    return 0


def _stands(console: Console, when: str, reasons: list[dict[str, Any]]) -> None:
    """Show how the triggers stand, the nearest to its goal first."""
    for reason in sorted(reasons, key=lambda each: -(each["share"] or 0)):
        console.print(f"  {when:<6}  {escape(reason['outcome'])}: {escape(reason['text'])}", soft_wrap=True)
        for remains in reason["remains"]:
            console.print(f"            {escape(remains)}", soft_wrap=True)


def show(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows))
        return
    print_table(columns, ([_cell(row[column]) for column in columns] for row in rows))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def wait(work: Awaitable[T]) -> T:
    async def run() -> T:
        return await work

    return asyncio.run(run())
