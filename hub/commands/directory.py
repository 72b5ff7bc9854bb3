"""Commands about the directory of a running hub: files of clients and of account profiles."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hub.clock import SystemClock
from hub.commands.file_bar import file_bar
from hub.commands.remote import RemoteHub
from hub.errors import ConfigError
from hub.ingest.directory_files import DirectoryFile, Progress

_CLIENT = "client="
_CSV = frozenset({".csv", ".tsv", ".txt"})
_NDJSON = frozenset({".ndjson", ".jsonl", ".json"})


def import_file(
    file: Path, url: str, path: str, api_key: str, start: int, *, is_csv: bool | None, as_json: bool
) -> int:
    """Send a file; the exit code is 1 if a line was refused."""
    if not file.is_file():
        raise ConfigError(
            f"there is no file {file}: name a CSV file with a header, or NDJSON, one row a line"
        )
    if not api_key:
        raise ConfigError("an API key is needed: set HUB_KEY in the environment, or give --key")
    sender = DirectoryFile(url, path, api_key, SystemClock(), is_csv=_is_csv(file, is_csv))
    with file_bar(file, "sending", hidden=as_json) as show:

        def moved(sent: Progress) -> None:
            said = (
                f"line {sent.line}: {sent.accepted} changed, {sent.duplicates} known, {sent.rejected} refused"
            )
            show(sent.bytes_done, said)

        sent = asyncio.run(sender.send(file, first_line=start, on_progress=moved))
    _report(sent, as_json=as_json)
    return 1 if sent.rejected else 0


def add_suppression(
    url: str, api_key: str, whom: str, channel: str, reason: str, category: str = "", *, as_json: bool
) -> int:
    """`whom` is an address, or client=ID."""
    client = whom.removeprefix(_CLIENT) if whom.startswith(_CLIENT) else None
    named = {"client": client} if client is not None else {"address": whom}
    body = {**named, "channel": channel, "reason": reason} | ({"category": category} if category else {})
    made = asyncio.run(RemoteHub(url, api_key).ask("POST", "/v1/suppressions", body=body))
    what = f"no {category} is sent" if category else "nothing is sent"
    what += "" if channel == "all" else f" by {channel}"
    print(json.dumps(made) if as_json else f"{what} to {whom} any more; the entry is {made['id']}")
    return 0


def list_suppressions(url: str, api_key: str, *, as_json: bool) -> int:
    found = asyncio.run(_all(RemoteHub(url, api_key)))
    if as_json:
        print(json.dumps(found))
        return 0
    if not found:
        print("nobody is suppressed")
    for entry in found:
        whom = entry["address"] if "address" in entry else _CLIENT + entry["client"]
        way = "/".join(filter(None, (entry["channel"], entry.get("category"))))
        print(f"{entry['id']}  {way:<15}  {whom}  {entry['reason']}")
    return 0


def remove_suppression(url: str, api_key: str, entry_id: str) -> int:
    path = f"/v1/suppressions/{quote(entry_id, safe='')}"
    asyncio.run(RemoteHub(url, api_key).ask("DELETE", path))
    print(f"{entry_id} is gone: messages go there again")
    return 0


async def _all(hub: RemoteHub) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query = {"limit": "500"}
    while True:
        page = await hub.ask("GET", "/v1/suppressions", query=query)
        found += page["items"]
        if page["next"] is None:
            return found
        query["after"] = page["next"]


def _is_csv(file: Path, said: bool | None) -> bool:
    if said is not None:
        return said
    suffix = file.suffix.lower()
    if suffix not in _CSV | _NDJSON:
        raise ConfigError(f"cannot tell what {file.name} is: say --csv or --ndjson")
    return suffix in _CSV


def _report(sent: Progress, *, as_json: bool) -> None:
    if as_json:
        refused = [
            {
                "line": each.line,
                "id": each.id,
                "errors": [
                    {"field": error.field, "reason": error.reason, "fix": error.fix} for error in each.errors
                ],
            }
            for each in sent.refusals
        ]
        counts = {"accepted": sent.accepted, "duplicates": sent.duplicates, "rejected": sent.rejected}
        print(json.dumps({**counts, "lines": sent.line, "refusals": refused}))
        return
    print(f"{sent.accepted} changed, {sent.duplicates} were known, {sent.rejected} refused")
    for each in sent.refusals:
        for error in each.errors:
            fix = f"; {error.fix}" if error.fix else ""
            print(f"  line {each.line}: {error.field}: {error.reason}{fix}")
