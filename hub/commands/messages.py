"""Commands about what was written to clients, and the devices they take push messages on."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

from hub.commands.remote import RemoteHub
from hub.errors import ConfigError


def list_messages(url: str, api_key: str, client: str, most: int, *, as_json: bool) -> int:
    """Print what was written to a client, the newest first."""
    found = asyncio.run(_messages(RemoteHub(url, api_key), client, most))
    if as_json:
        print(json.dumps(found))
        return 0
    if not found:
        print(f"nothing was written to {client}")
    for message in found:
        ended = message.get("status") or message.get("outcome") or "unknown"
        reason = message.get("error") or message.get("reason") or ""
        print(
            f"{message['at']}  {message['channel']:<8}  {message['address']:<32}  {ended:<11}  "
            f"{message['template']}{_of_workflow(message)}  {reason}".rstrip()
        )
    return 0


def _of_workflow(message: dict[str, Any]) -> str:
    """Return the version of the workflow, behind one of a message by name if there is one."""
    version = message.get("version", "")[:8]
    if not version:
        return ""
    return f" ({version})" if "@" in message["template"] else f"@{version}"


def list_devices(url: str, api_key: str, client: str, *, as_json: bool) -> int:
    found = asyncio.run(RemoteHub(url, api_key).ask("GET", f"/v1/clients/{quote(client, safe='')}/devices"))
    if as_json:
        print(json.dumps(found["items"]))
        return 0
    if not found["items"]:
        print(f"{client} has no device that takes push messages")
    for device in found["items"]:
        print(f"{device['id']}  {device['platform']:<8}  told of at {device['seen_at']}")
    return 0


def remove_device(url: str, api_key: str, client: str, device: str) -> int:
    path = f"/v1/clients/{quote(client, safe='')}/devices/{quote(device, safe='')}"
    asyncio.run(RemoteHub(url, api_key).ask("DELETE", path))
    print(f"{device} is gone: nothing is sent to it any more")
    return 0


async def _messages(hub: RemoteHub, client: str, most: int) -> list[dict[str, Any]]:
    if not 1 <= most <= 100_000:
        raise ConfigError("--most is a number from 1 to 100000")
    found: list[dict[str, Any]] = []
    query = {"limit": str(min(most, 500))}
    while True:
        page = await hub.ask("GET", f"/v1/clients/{quote(client, safe='')}/messages", query=query)
        found += page["items"]
        if page["next"] is None or len(found) >= most:
            return found[:most]
        query["after"] = page["next"]
