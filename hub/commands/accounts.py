"""Commands that show what an account holds, and what was dealt on it."""

import json
from typing import Any
from urllib.parse import quote

from hub.commands.client import wait
from hub.commands.pages import PAGE, read_pages, say_more
from hub.commands.remote import RemoteHub
from hub.commands.shown import print_table, say
from hub.errors import ConfigError

_MOST = 100_000


def list_positions(url: str, api_key: str, account: str, *, as_json: bool) -> int:
    """Print the open positions of an account."""
    found, more = read_pages(RemoteHub(url, api_key), _path(account, "positions"), {})
    if as_json:
        print(json.dumps(found))
    elif not found:
        say(f"no position of {account} is known to be open")
    else:
        columns = ("ticket", "symbol", "side", "lots", "open_price", "price", "profit", "sl", "tp")
        print_table(columns, [[str(each[name] or "") for name in columns] for each in found])
    say_more(found, more=more)
    return 0


def list_deals(url: str, api_key: str, account: str, kind: str, most: int, *, as_json: bool) -> int:
    """Print an account's trades and movements of money, the newest first."""
    if not 1 <= most <= _MOST:
        raise ConfigError(f"--most is a number from 1 to {_MOST}")
    found, is_all = wait(_deals(RemoteHub(url, api_key), _path(account, "deals"), kind, most))
    if as_json:
        print(json.dumps(found))
        return 0
    for event in found:
        data = event["data"]
        what = [
            f"{name}={data[name]}"
            for name in ("position", "symbol", "side", "lots", "amount", "net_profit")
            if data.get(name)
        ]
        say(f"{event['timestamp']}  {event['type']:<18}  {'  '.join(what)}".rstrip())
    if not found:
        say(f"no deal of {account} is in the log")
    elif not is_all:
        say("there may be more: --most asks for them, as far back as the hub looks")
    return 0


async def _deals(hub: RemoteHub, path: str, kind: str, most: int) -> tuple[list[dict[str, Any]], bool]:
    found: list[dict[str, Any]] = []
    query = {"limit": str(min(most, PAGE))} | ({"kind": kind} if kind else {})
    while True:
        page = await hub.ask("GET", path, query=query)
        found += page["items"]
        if page["next"] is None or len(found) >= most:
            return found[:most], page["complete"]
        query["after"] = page["next"]


def _path(account: str, what: str) -> str:
    server, _, login = account.rpartition(":")
    if not server or not (login.isascii() and login.isdigit()):
        raise ConfigError(f"{account} is no account: say server:login, such as live-1:7001")
    return f"/v1/accounts/{quote(server, safe='')}/{login}/{what}"
