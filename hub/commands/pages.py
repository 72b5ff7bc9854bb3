"""Lists of a running hub, read page by page."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hub.commands.client import wait
from hub.commands.remote import RemoteHub

PAGE = 500
MOST = 5_000


def read_pages(hub: RemoteHub, path: str, asked: Mapping[str, str]) -> tuple[list[dict[str, Any]], bool]:
    """Return what a list holds, as much as anybody reads, and whether there is more; what is asked for by "" is not."""
    query = {name: value for name, value in asked.items() if value} | {"limit": str(PAGE)}
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None and len(found) < MOST:
        page = wait(hub.ask("GET", path, query={**query, "after": after} if after else query))
        found += page["items"]
        after = page["next"]
    return found, after is not None


def say_more(found: Sequence[object], *, more: bool) -> None:
    if more:
        print(f"and more: these are the newest {len(found)}", file=sys.stderr)
