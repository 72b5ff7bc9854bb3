"""The way to one CRM: evenly spaced requests, nothing while it asked for rest, and its whole answer."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, final
from urllib.parse import quote, urlencode

import structlog
import yarl

from hub.clock import MICROSECOND, SECOND_US, Clock
from hub.dispatch.channels.crm.answers import NotNow, Verdict
from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.channels.one_exchange import Lost, NotSent, Reply, exchange
from hub.dispatch.channels.rest import Rest
from hub.dispatch.endpoint_url import EndpointUrlInvalid, parse_endpoint_url
from hub.errors import ConfigError

_MOST_WAITING: Final = 1_000
_SAID_AGAIN_US: Final = 300 * SECOND_US

log = structlog.get_logger(__name__)


def whole() -> float:
    """Return the share of a process that carries out everything."""
    return 1.0


@final
class Line:
    """`name` is the CRM's in hub.yaml. Each process that carries out intents has one of its own for each CRM.

    `share` is how much of the rate is its own now, more than nothing: together they make no more requests than one would.
    """

    def __init__(
        self,
        name: str,
        way_out: WayOut,
        clock: Clock,
        *,
        rate: float,
        timeout_s: float,
        share: Callable[[], float] = whole,
    ) -> None:
        self.name = name
        self._way_out = way_out
        self.clock = clock
        self._rate = rate
        self._share = share
        self._within = timedelta(seconds=timeout_s)
        self._next_us = 0  # when the next request may go
        self._rest = Rest(clock)
        self._why = ""
        self._said_at = -_SAID_AGAIN_US

    async def ask(
        self, method: str, url: yarl.URL, headers: Mapping[str, str], body: object = None
    ) -> Reply | NotSent | Lost | NotNow:
        """Make one request when it is its turn."""
        await self.turn()
        return await self.ask_now(method, url, headers, body)

    async def ask_now(
        self, method: str, url: yarl.URL, headers: Mapping[str, str], body: object = None
    ) -> Reply | NotSent | Lost | NotNow:
        """Make one request whose turn it is, unless the CRM asked for rest while it waited."""
        if (rest := self.resting()) is not None:
            return rest
        content = None if body is None else encoded(body)
        heads = headers if content is None else {"Content-Type": "application/json", **headers}
        return await exchange(self._way_out, method, url, heads, content, self._within)

    def resting(self) -> NotNow | None:
        """Return why nothing is asked for now, and for how long; None while it may be."""
        left = self._rest.left_us()
        return NotNow(f"{self.name} takes nothing for now: {self._why}", left) if left else None

    def rest(self, for_us: int, why: str) -> None:
        if self._rest.begin(for_us):
            self._why = why

    def heard(self, verdict: Verdict) -> None:
        """Learn from what was answered: rest if it goes for everything, and call for whoever can put it right."""
        if not isinstance(verdict, NotNow):
            return
        if verdict.all and verdict.after_us > 0:
            self.rest(verdict.after_us, verdict.reason)
        now_us = self.clock.now_us()
        if verdict.ours and now_us - self._said_at >= _SAID_AGAIN_US:
            self._said_at = now_us
            log.error("crm.not_set_up", crm=self.name, reason=verdict.reason)

    async def turn(self) -> None:
        """Wait until the next request may go."""
        now_us = self.clock.now_us()
        every_us = int(SECOND_US / (self._rate * self._share()))
        if self._next_us - now_us > _MOST_WAITING * every_us:
            self._next_us = now_us  # the clock was set back
        turn = max(self._next_us, now_us)
        self._next_us = turn + every_us
        if turn > now_us:
            await self.clock.sleep((turn - now_us) * MICROSECOND)


def checked_url(name: str, text: str, *, allow_loopback: bool, networks: Any = ()) -> str:
    """Return the beginning of a CRM's address. Raises ConfigError for one that is not called."""
    try:
        parse_endpoint_url(text, allow_loopback=allow_loopback, networks=networks)
    except EndpointUrlInvalid as error:
        raise ConfigError(f"{name}: {error}") from None
    if not text.startswith("https://") and not allow_loopback:
        raise ConfigError(f"{name}: what signs the hub in is sent over https only")
    return text.rstrip("/")


def under(base: str, *parts: str, **query: str) -> yarl.URL:
    """Return an address of which no part can leave its place, whatever it holds."""
    path = "".join(f"/{quote(part, safe='')}" for part in parts)
    more = f"?{urlencode(query, quote_via=quote)}" if query else ""
    return yarl.URL(f"{base}{path}{more}", encoded=True)


def encoded(value: object) -> bytes:
    """Return JSON in which a number has exactly the digits it has."""
    return _write(value).encode()


def _write(value: object) -> str:
    match value:
        case Decimal():
            return format(value, "f")
        case dict():
            return (
                "{"
                + ",".join(f"{json.dumps(str(name))}:{_write(each)}" for name, each in value.items())
                + "}"
            )
        case list() | tuple():
            return "[" + ",".join(map(_write, value)) + "]"
        case _:
            return json.dumps(value)
