"""Asking a receiver whether it wants to be called, before anything is sent to it: the handshake of CloudEvents webhooks.

`OPTIONS` with `WebHook-Request-Origin` says who asks, and `WebHook-Request-Rate` how many deliveries a minute are meant.
The receiver allows it with `WebHook-Allowed-Origin`, and may allow fewer with `WebHook-Allowed-Rate`.
"""

import asyncio
import math
import re
from collections.abc import Mapping
from typing import Final, Protocol, final

import aiohttp
import yarl
from typing_extensions import override

from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.safe_http import USER_AGENT, classify

ORIGIN: Final = "hub"
WITHIN_S: Final = 10.0
_MINUTE: Final = 60
_RATE: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


class Refusal(Exception):
    """The receiver did not agree; the text says why, and nothing of what it sent."""


class Challenger(Protocol):
    async def ask(self, url: yarl.URL, headers: Mapping[str, str], rate: float | None) -> float | None:
        """Return how many deliveries a second the receiver allows, None for as many as one likes. Raises Refusal."""


@final
class OptionsChallenger(Challenger):
    """`headers` are the endpoint's own: a receiver may ask for its password here too."""

    def __init__(self, way_out: WayOut, *, origin: str = ORIGIN, within_s: float = WITHIN_S) -> None:
        self._way_out = way_out
        self._origin = origin
        self._within_s = within_s

    @override
    async def ask(self, url: yarl.URL, headers: Mapping[str, str], rate: float | None) -> float | None:
        asked = {**headers, "User-Agent": USER_AGENT, "WebHook-Request-Origin": self._origin}
        if rate is not None:
            asked["WebHook-Request-Rate"] = str(max(math.ceil(rate * _MINUTE), 1))
        try:
            async with (
                asyncio.timeout(self._within_s),
                self._way_out.open("OPTIONS", url, asked, None) as response,
            ):
                status, said = response.status, response.headers.copy()
        except (aiohttp.ClientError, OSError, ValueError) as problem:  # TimeoutError is an OSError
            raise Refusal(f"the receiver cannot be asked: {classify(problem)[1]}") from None
        if not 200 <= status < 300:
            raise Refusal(f"the receiver answered OPTIONS with {status}")
        allowed = said.get("WebHook-Allowed-Origin", "").strip()
        if allowed not in {"*", self._origin}:
            raise Refusal(f"its answer does not hold WebHook-Allowed-Origin: {self._origin}")
        return _per_second(said.get("WebHook-Allowed-Rate"))


def _per_second(text: str | None) -> float | None:
    if text is None or text.strip() == "*":
        return None
    if not _RATE.fullmatch(text.strip()):
        raise Refusal("its WebHook-Allowed-Rate is no whole number of requests a minute")
    return int(text.strip()) / _MINUTE
