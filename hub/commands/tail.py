"""Shows events as they happen, and goes on where it was when the connection is lost."""

import asyncio
import contextlib
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, final

import aiohttp
import orjson
from rich.console import Console
from rich.text import Text

from hub.clock import Clock, SystemClock, iso
from hub.commands.moments import moment_or_age
from hub.commands.remote import refusal
from hub.commands.sse import Reader
from hub.errors import ConfigError, RecordMalformed, SourceRefused, SourceUnavailable

_SILENT: Final = 45.0  # seconds: the hub beats every 15
_FIRST_WAIT, _LONGEST_WAIT = timedelta(milliseconds=500), timedelta(seconds=10)
_COME_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
_COLOURS: Final = {
    "trade": "green", "position": "green", "order": "cyan", "balance": "yellow", "credit": "yellow", "bonus": "yellow",
    "deposit": "yellow", "withdrawal": "yellow", "margin_call": "red", "stop_out": "red", "equity": "magenta",
    "margin": "magenta", "account": "blue", "client": "blue", "challenge": "bright_cyan",
}  # fmt: skip

Show = Callable[[dict[str, Any]], None]


def run_tail(
    url: str,
    api_key: str,
    patterns: Sequence[str],
    *,
    account: str,
    client: str,
    where: str,
    since: str,
    count: int,
    as_json: bool,
) -> int:
    if not api_key:
        raise ConfigError("an API key is needed: set HUB_KEY in the environment, or give --key")
    clock = SystemClock()
    given = {
        "type": ",".join(patterns),
        "account": account,
        "client": client,
        "where": where,
        "since": _since(since, clock),
    }
    query = {name: value for name, value in given.items() if value}
    follower = Following(url, api_key, query, _as_json if as_json else _coloured(), clock, count=count)
    try:
        with contextlib.suppress(KeyboardInterrupt):  # how one stops looking is no failure
            asyncio.run(follower.run())
    except BrokenPipeError:
        # Whoever reads has seen enough; what is still to be flushed goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


@final
class Following:
    """`count` 0 goes on for ever. Each event is shown once, however often the connection is lost."""

    def __init__(
        self,
        url: str,
        key: str,
        query: Mapping[str, str],
        show: Show,
        clock: Clock,
        *,
        count: int = 0,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
        self._query = dict(query)
        self._show = show
        self._clock = clock
        self._left = count
        self._say = say or _say
        self._wait = _FIRST_WAIT
        self.place = ""

    async def run(self) -> None:
        """Raise SourceRefused when the hub will not have it, however often it is asked."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENT)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout, trust_env=False) as session:
            while True:
                try:
                    if await self._follow(session):
                        return
                    reason = "the stream ended"
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    if isinstance(error, BrokenPipeError):
                        raise
                    reason = str(error) or type(error).__name__
                except SourceUnavailable as error:
                    reason = str(error)
                self._say(f"{reason}; trying again in {self._wait.total_seconds():g} s")
                await self._clock.sleep(self._wait)
                self._wait = min(self._wait * 2, _LONGEST_WAIT)

    async def _follow(self, session: aiohttp.ClientSession) -> bool:
        """Show what comes; return whether that was enough."""
        headers = {"Last-Event-ID": self.place} if self.place else {}
        async with session.get(
            f"{self._url}/v1/events/stream", params=self._query, headers=headers, allow_redirects=False
        ) as response:
            if response.status != 200:
                said = refusal(response.status, await response.content.read(65_536))
                raise SourceUnavailable(said) if response.status in _COME_AGAIN else SourceRefused(said)
            reader = Reader(self.place)
            async for chunk in response.content.iter_any():
                self._wait = _FIRST_WAIT
                for event in reader.feed(chunk):
                    if event.name != "message":
                        raise SourceRefused(event.data)
                    self._show_event(event.data)
                    self.place = event.place
                    if self._left == 1:
                        return True
                    self._left = max(self._left - 1, 0)
                self.place = reader.place
        return False

    def _show_event(self, data: str) -> None:
        try:
            event = orjson.loads(data)
        except ValueError as error:
            raise RecordMalformed(f"{self._url} does not answer like a hub: an event is no JSON") from error
        self._show(event)


def _since(text: str, clock: Clock) -> str:
    """Return a time as the hub reads it, from a time or from how long ago."""
    at = moment_or_age(text, "--since", clock)
    return iso(at) if at is not None else ""


def _as_json(event: dict[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(event).decode() + "\n")
    sys.stdout.flush()


def _coloured() -> Show:
    console = Console(highlight=False)

    def show(event: dict[str, Any]) -> None:
        account = event.get("account")
        where = f"{account['server']}:{account['login']}" if account else ""
        name = str(event["type"])
        line = Text(f"{plain(str(event['timestamp'])):<24}  ", style="dim")
        line.append(f"{plain(name):<26}", style=_COLOURS.get(name.partition(".")[0], "white"))
        line.append(f"  {plain(where):<20}  ", style="bold")
        line.append(plain(json.dumps(event["data"], ensure_ascii=False)), style="")
        console.print(line, soft_wrap=True)

    return show


def plain(text: str) -> str:
    """Return text that a terminal shows and does not obey: what traders call things is theirs to choose."""
    return "".join(
        letter if unicodedata.category(letter)[0] != "C" else f"\\u{ord(letter):04x}" for letter in text
    )


def _say(text: str) -> None:
    print(f"hub: {text}", file=sys.stderr)
