"""Client tokens of a running hub, issued and revoked by hand."""

import json
from typing import Any
from urllib.parse import quote

from hub.commands.client import show, wait
from hub.commands.remote import RemoteHub


def create_token(
    url: str,
    api_key: str,
    client: str,
    *,
    accounts: list[str],
    events: list[str],
    expires_in: str,
    as_json: bool,
) -> int:
    body: dict[str, Any] = {"client": client, "expires_in": expires_in}
    if accounts:
        body["accounts"] = accounts
    if events:
        body["events"] = events
    made = wait(RemoteHub(url, api_key).ask("POST", "/v1/tokens", body=body))
    if as_json:
        print(json.dumps(made))
    else:
        print(
            f"{made['token']}\nshown this once; its id is {made['id']}, and it is valid until {made['expires_at']}"
        )
    return 0


def list_tokens(url: str, api_key: str, client: str, *, as_json: bool) -> int:
    found: list[dict[str, Any]] = []
    query = {"limit": "500"} | ({"client": client} if client else {})
    while True:
        page = wait(RemoteHub(url, api_key).ask("GET", "/v1/tokens", query=query))
        found += page["items"]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    show(found, ("id", "client", "accounts", "events", "issued_by", "expires_at"), as_json=as_json)
    return 0


def revoke_token(url: str, api_key: str, token_id: str, client: str) -> int:
    hub = RemoteHub(url, api_key)
    if client:
        gone = wait(hub.ask("DELETE", "/v1/tokens", query={"client": client}))["revoked"]
        print(f"{gone} tokens of {client} no longer work")
    else:
        wait(hub.ask("DELETE", f"/v1/tokens/{quote(token_id, safe='')}"))
        print(f"{token_id} no longer works")
    return 0
