"""Commands that ask a running hub: keys, why, ingest."""

import asyncio
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hub.clock import SystemClock, iso
from hub.commands.moments import moment as when
from hub.commands.remote import RemoteHub
from hub.commands.shown import print_table
from hub.errors import ConfigError
from hub.ingest.files import FileClient
from hub.ingest.files import Progress as Posted

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


def ingest_file(file: Path, url: str, api_key: str, start: int, *, as_json: bool) -> int:
    if not file.is_file():
        raise ConfigError(f"there is no file {file}: name an NDJSON file, one event a line")
    if not api_key:
        raise ConfigError("an API key is needed: set HUB_KEY in the environment, or give --key")
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=as_json,
    )
    with bar:
        task = bar.add_task("posting", total=max(file.stat().st_size, 1))

        def moved(posted: Posted) -> None:
            said = f"line {posted.line}: {posted.accepted} accepted, {posted.duplicates} known, {posted.rejected} refused"
            bar.update(task, completed=posted.bytes_done, description=said)

        posted = wait(FileClient(url, api_key, SystemClock()).post(file, first_line=start, on_progress=moved))
    _report(posted, as_json=as_json)
    return 1 if posted.rejected else 0


def _report(posted: Posted, *, as_json: bool) -> None:
    refused = [
        {
            "line": each.line,
            "errors": [{"field": error.field, "reason": error.reason} for error in each.result.errors or ()],
        }
        for each in posted.refusals
    ]
    counts = {"accepted": posted.accepted, "duplicates": posted.duplicates, "rejected": posted.rejected}
    if as_json:
        print(json.dumps({**counts, "lines": posted.line, "refusals": refused}))
        return
    print(f"{posted.accepted} accepted, {posted.duplicates} were known, {posted.rejected} refused")
    for each in posted.refusals:
        for error in each.result.errors or ():
            print(
                f"  line {each.line}: {error.field}: {error.reason}" + (f"; {error.fix}" if error.fix else "")
            )


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
