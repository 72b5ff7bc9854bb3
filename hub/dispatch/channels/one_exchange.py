"""One request to a service of the outside and its whole answer, bounded; what went wrong says whether it may have been taken."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import aiohttp
import yarl

from hub.dispatch.channels.bounded_json import read_json
from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.connections import AddressDenied
from hub.dispatch.safe_http import USER_AGENT

LARGEST_ANSWER: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """`retry_after` as it stood there; `content` None: larger than an answer may be."""

    status: int
    retry_after: str | None
    content: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Return the object the answer is; an empty one where it is none, or none that is read."""
        try:
            found = read_json(self.content or b"")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing left this machine."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """It was sent, and no whole answer came."""

    reason: str


async def exchange(
    way_out: WayOut,
    method: str,
    url: yarl.URL,
    headers: Mapping[str, str],
    body: bytes | None,
    within: timedelta,
) -> Reply | NotSent | Lost:
    """Send once. Nothing of what is sent, and no address, is repeated in a reason."""
    heads = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity", **headers}
    try:
        async with (
            asyncio.timeout(within.total_seconds()),
            way_out.open(method, url, heads, body) as response,
        ):
            return Reply(
                response.status,
                response.headers.get("Retry-After"),
                await whole(response.content),
                response.headers,
            )
    except aiohttp.ClientConnectorError as problem:
        if isinstance(problem.os_error, AddressDenied):
            return NotSent("the host leads to an address that is not public")
        return NotSent("no connection could be made")
    except aiohttp.ConnectionTimeoutError:
        return NotSent("no connection could be made in time")
    except TimeoutError:
        return Lost(f"no whole answer within {within.total_seconds():g} s")
    except (aiohttp.ClientError, OSError, ValueError):
        return Lost("the connection broke off, or the answer is not well-formed HTTP")


async def whole(stream: aiohttp.StreamReader) -> bytes | None:
    """Return all that comes, None where it is larger than an answer may be."""
    found = bytearray()
    while len(found) <= LARGEST_ANSWER:
        chunk = await stream.read(LARGEST_ANSWER + 1 - len(found))
        if not chunk:
            return bytes(found)
        found += chunk
    return None
