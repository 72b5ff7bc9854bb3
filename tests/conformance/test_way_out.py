"""The way to providers, against ones that never come to an end: what is listened to is bounded, whatever is said."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import repeat

import pytest
import yarl
from conformance.raw_server import raw_server
from pydantic import SecretStr

from hub.clock import SystemClock
from hub.dispatch.addresses import in_house
from hub.dispatch.bounded_protocol import MOST_RECEIVED
from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.channels.one_exchange import Lost, NotSent, Reply, exchange
from hub.dispatch.channels.sms_twilio import SmsChannel, SmsSettings
from hub.dispatch.connections import AddressDenied
from hub.dispatch.endpoint_url import EndpointUrlInvalid

OK = b"HTTP/1.1 200 OK\r\n"
ENDLESS = 400  # times 16 KiB
WITHIN = timedelta(seconds=60)  # nothing here comes near it, unless a bound is gone


class Provider:
    """Says what it is given, for as long as somebody listens; `said` counts how much that was."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self.said = 0
        self.ended = asyncio.Event()
        self.url = yarl.URL()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for part in self._parts:
                writer.write(part)
                await writer.drain()
                self.said += len(part)
            writer.close()
        finally:
            self.ended.set()


@asynccontextmanager
async def a_provider(parts: Iterator[bytes]) -> AsyncIterator[Provider]:
    provider = Provider(parts)
    async with raw_server(provider.answer) as port:
        provider.url = yarl.URL(f"http://127.0.0.1:{port}/")
        yield provider


def endless(begins: bytes, part: bytes) -> Iterator[bytes]:
    yield begins
    yield from repeat(part * (16_384 // len(part) + 1), ENDLESS)


async def asked(parts: Iterator[bytes]) -> tuple[Reply | NotSent | Lost, int]:
    async with a_provider(parts) as provider:
        found = await exchange(WayOut(allow_loopback=True), "GET", provider.url, {}, None, WITHIN)
        async with asyncio.timeout(60):
            await provider.ended.wait()
        return found, provider.said


@pytest.mark.parametrize(
    "parts",
    [
        endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        endless(OK, b"X: y\r\n"),
        endless(OK, b"X" * 1_024),
        endless(b"", b"y" * 1_024),
    ],
    ids=["announcements", "headers", "one header", "no answer"],
)
async def test_one_that_never_comes_to_its_answer_is_cut_off(parts: Iterator[bytes]) -> None:
    found, said = await asked(parts)

    assert found == Lost("the connection broke off, or the answer is not well-formed HTTP")
    assert said < ENDLESS * 16_384


@pytest.mark.parametrize(
    "parts",
    [
        endless(OK + b"\r\n", b"x"),
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1_024 + b"\r\n"),
        endless(OK + b"Content-Length: 999999999\r\n\r\n", b"x"),
    ],
    ids=["until it closes", "chunks", "length"],
)
async def test_of_one_whose_answer_never_ends_the_status_is_known(parts: Iterator[bytes]) -> None:
    found, said = await asked(parts)

    assert isinstance(found, Reply)
    assert (found.status, found.content, found.json()) == (200, None, {})
    assert said < ENDLESS * 16_384


async def test_chunks_of_a_byte_cost_no_more_than_what_is_listened_to() -> None:
    found, _ = await asked(endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"))

    assert isinstance(found, Reply)
    assert found.content is not None
    assert len(found.content) < MOST_RECEIVED / 6


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"a": 1.5}', {"a": 1.5}),
        (b'{"a":' * 31 + b"{}" + b"}" * 31, True),
        (b'{"a":' * 32 + b"{}" + b"}" * 32, {}),
        (b'{"a":' * 9_000, {}),
        (b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", {}),
        (b'{"a": NaN}', {}),
        (b'{"a": ' + b"9" * 60_000 + b"}", {}),
        (b"[1]", {}),
        (b'"\xff"', {}),
        ('{"a": 1}'.encode("utf-16"), {}),
    ],
)
def test_an_answer_is_read_as_deep_as_answers_are(body: bytes, read: object) -> None:
    found = Reply(200, None, body).json()

    assert (bool(found) if read is True else found) == read


async def test_a_provider_in_a_network_of_ones_own_is_reached_only_where_that_is_opened() -> None:
    inside = SmsSettings(
        account_sid="AC1", auth_token=SecretStr("x"), sender="+1", url="https://sms.corp.internal"
    )
    opened = [in_house("10.20.0.0/16")]

    with pytest.raises(EndpointUrlInvalid):
        SmsChannel(inside, SystemClock())
    channel = SmsChannel(inside, SystemClock(), networks=opened)

    # Where the name leads is looked at when a socket is made for it.
    way_out = channel._way_out
    socket = way_out._socket((2, 1, 6, "", ("10.20.30.40", 443)))
    socket.close()
    for address in ("10.21.0.1", "169.254.169.254", "127.0.0.1"):
        with pytest.raises(AddressDenied):
            way_out._socket((2, 1, 6, "", (address, 443)))
