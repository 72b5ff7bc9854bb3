"""The devices clients take push messages on: a token names one, and belongs to one client at a time."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Literal, NamedTuple, Protocol

MOST_DEVICES: Final = 20  # of one client
Platform = Literal["android", "ios", "web"]


class Device(NamedTuple):
    """`seen_at` is when its app last told of the token, in µs."""

    id: str
    client: str
    token: str
    platform: str
    added_at: int
    seen_at: int


class Devices(Protocol):
    async def put(self, device: Device, *, most: int = MOST_DEVICES) -> bool:
        """Write a device down, in place of the same token whoever had it; return whether the client did not have it.

        Of more than `most`, the one that was not told of for longest goes.
        """

    async def remove(self, client: str, device_id: str) -> bool:
        """Return whether the client had it."""

    async def drop(self, device_id: str, token_seen_at: int) -> bool:
        """Remove one whose token is dead, unless its app has told of it since; return whether it went."""

    async def of_client(self, client: str) -> Sequence[Device]:
        """Return a client's devices, the one last told of first."""

    async def reached_by(self, client: str | None, account: str) -> Sequence[Device]:
        """Return the devices of a client, or of the client an account belongs to."""


def device_id(token: str) -> str:
    return f"dev_{sha256(token.encode()).hexdigest()[:24]}"
