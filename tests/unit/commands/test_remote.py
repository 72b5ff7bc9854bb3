"""Asking a running hub, before anything is asked."""

import asyncio

import pytest

from hub.commands.remote import RemoteHub
from hub.errors import SourceRefused


@pytest.mark.parametrize("url", ["nonsense", "127.0.0.1:8800", "http://:x"])
def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    with pytest.raises(SourceRefused, match=f"^{url} is no address of a hub: write --url http://HOST:PORT$"):
        asyncio.run(RemoteHub(url, "hub_key").ask("GET", "/v1/keys"))
