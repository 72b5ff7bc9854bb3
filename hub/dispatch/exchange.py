"""One webhook's request and answer over HTTP/1.1, on a kept connection where there is one.

aiohttp's connector opens connections; its session and its pool stay out of it: cookies, redirects, proxies, hooks and
default headers, none of which a webhook wants, cost more than the exchange.
"""

import asyncio
from collections.abc import Mapping
from typing import final

import aiohttp
import yarl
from aiohttp.client_reqrep import ConnectionKey
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.answer import Answer
from hub.dispatch.connections import Connections
from hub.dispatch.line import Line
from hub.dispatch.opening import making
from hub.dispatch.pool import Pool, Pools

_TARGETS = 4_096


@final
class Awaited(Answer):
    """The answer somebody waits for."""

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        """Return when it is there; raises what went wrong."""
        await self._waiter

    @override
    def over(self, problem: Exception | None, at: float) -> None:
        if self._waiter.done():
            return  # nobody waits any more
        if problem is None:
            self._waiter.set_result(None)
        else:
            self._waiter.set_exception(problem)


@final
class Target(aiohttp.ClientRequest):
    """What a connection has to know of a URL, how a request to it begins, and the connections that are kept to it."""

    def __init__(self, url: yarl.URL, pools: Pools) -> None:
        if url.scheme not in {"http", "https"}:
            raise aiohttp.NonHttpUrlClientError(url)
        super().__init__("POST", url, loop=asyncio.get_running_loop())
        self.begins = f"POST {self.url.raw_path_qs} HTTP/1.1\r\nHost: {self.url.host_port_subcomponent}\r\n"
        self._key = super().connection_key
        self.pool: Pool = pools.to(self._key)

    @property
    @override
    def connection_key(self) -> ConnectionKey:
        return self._key

    def request(self, lines: str, body: bytes) -> bytes:
        """Return the whole request; `lines` are its headers, as `header_lines` makes them."""
        return f"{self.begins}{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def header_lines(headers: Mapping[str, str]) -> str:
    """Return headers as they are sent; raises ValueError for one that would end its own line."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\0" in lines:
        raise ValueError("a header must not contain a line break")
    return lines


@final
class Exchange:
    """Owns the connector it is given; the caller bounds the time."""

    def __init__(self, connector: Connections, clock: Clock) -> None:
        self._connector = connector
        self._clock = clock
        self._pools = Pools(clock)
        self._targets: dict[yarl.URL, Target] = {}

    async def close(self) -> None:
        self._pools.close()
        await self._connector.close()

    async def post(self, url: yarl.URL, headers: Mapping[str, str], body: bytes, answer: Awaited) -> None:
        """POST once and fill in the answer; raises what aiohttp raises."""
        target = self.target(url)
        request = target.request(header_lines(headers), body)
        line = target.pool.take(self._clock.monotonic()) or await self._open(target, answer)
        try:
            line.ask(request, answer)
            await answer.wait()
        except BaseException:
            line.hang_up()  # what is left of the answer must not reach the next one
            raise

    def target(self, url: yarl.URL) -> Target:
        """Return what is known of where a URL leads; raises what aiohttp raises for one that cannot be asked."""
        target = self._targets.get(url)
        if target is None:
            if len(self._targets) >= _TARGETS:
                self._targets.clear()
            target = self._targets[url] = Target(url, self._pools)
        return target

    def known(self, url: yarl.URL) -> Target | None:
        return self._targets.get(url)

    async def _open(self, target: Target, answer: Answer) -> Line:
        making.set(answer)
        line = await self._connector.open(target)
        line.keep = target.pool.keep
        return line
