"""What goes over a kept connection without a task of its own, against receivers that were well until then."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import yarl
from conformance.raw_server import raw_server

from hub.clock import SystemClock
from hub.dispatch.delivery import Delivered, ErrorClass, Refused, Unreachable
from hub.dispatch.exchange import header_lines
from hub.dispatch.line import KEEP
from hub.dispatch.safe_http import AiohttpTransport, base_headers

WELL = b"HTTP/1.1 204 No Content\r\n\r\n"
DEADLINE = timedelta(seconds=1.5)


@asynccontextmanager
async def a_receiver(turns, deadline=DEADLINE):
    """Yield a way to one that answers WELL once on each connection and then as `turns` says, and what it was sent."""
    sent = []

    async def serve(reader, writer):
        try:
            for behave in (None, turns):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                sent.append((head, await reader.readexactly(length)))
                if behave is None:
                    writer.write(WELL)
                else:
                    await behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with (
        raw_server(serve) as port,
        AiohttpTransport(SystemClock(), deadline=deadline, allow_loopback=True) as sending,
    ):
        url = yarl.URL(f"http://127.0.0.1:{port}/hook")
        assert not sending.way(url).begin(header_lines(base_headers()), b"0", "", lambda _: None)
        assert isinstance(await sending.send(url, base_headers(), b"1"), Delivered)
        yield sending.way(url), sent


async def over(way, body=b"2"):
    told = asyncio.get_running_loop().create_future()
    assert way.begin(header_lines(base_headers()), body, "mine", told.set_result)
    flight = await told
    assert flight.about == "mine"
    return flight, flight.outcome()


def saying(*parts, hang=False):
    async def behave(reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
        if hang:
            await reader.read()

    return behave


async def test_an_answer_comes_to_the_same_as_one_that_was_waited_for():
    async with a_receiver(saying(b"HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno")) as (
        way,
        sent,
    ):
        _, outcome = await over(way)

    assert isinstance(outcome, Refused)
    assert (outcome.status, outcome.response, outcome.retry_after_us) == (503, b"no", 7_000_000)
    assert (outcome.seen.address, outcome.seen.reused) == ("127.0.0.1", True)
    assert outcome.seen.connect_us is None
    assert 0 <= outcome.seen.first_byte_us <= outcome.latency_us
    assert sent[1] == (sent[0][0], b"2")


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (saying(hang=True), ErrorClass.TIMEOUT),
        (saying(b"HTTP/1.1 200 OK\r\n", hang=True), ErrorClass.TIMEOUT),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", hang=True), ErrorClass.TIMEOUT),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), ErrorClass.BODY),
        (saying(b"SSH-2.0-OpenSSH_9.0\r\n"), ErrorClass.BODY),
        (saying(b"HTTP/1.1 100 Continue\r\n\r\n" * 17, hang=True), ErrorClass.BODY),
        (saying(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n", hang=True), ErrorClass.BODY),
        (saying(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 9_000, hang=True), ErrorClass.BODY),
    ],
    ids=["silence", "head", "body", "short", "garbage", "chatter", "headers", "line"],
)
async def test_whoever_means_harm_now_is_given_up_in_time(behave, error):
    async with a_receiver(behave) as (way, _):
        started = time.perf_counter()
        flight, outcome = await over(way)

    assert isinstance(outcome, Unreachable)
    assert outcome.error is error
    assert time.perf_counter() - started < DEADLINE.total_seconds() + 1
    assert not flight._line.may_be_asked()


async def test_of_an_endless_answer_the_first_part_is_kept():
    endless = [b"1000\r\n" + b"x" * 4_096 + b"\r\n"] * 100
    async with a_receiver(saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *endless)) as (
        way,
        _,
    ):
        flight, outcome = await over(way)

    assert isinstance(outcome, Delivered)
    assert outcome.response == b"x" * KEEP
    assert not flight._line.may_be_asked()


async def test_what_came_to_nothing_goes_once_more_on_a_connection_of_its_own():
    async with a_receiver(saying()) as (way, sent):
        flight, outcome = await over(way)
        assert outcome is None

        again = await way.once_more(flight, base_headers(), b"2")

    assert isinstance(again, Delivered)
    assert not again.seen.reused
    assert again.latency_us >= (flight._ended - flight.started) * 1e6
    assert [body for _, body in sent] == [b"1", b"2", b"2"]


async def test_a_shorter_time_limit_of_its_own_is_kept():
    async with a_receiver(saying(hang=True), deadline=timedelta(seconds=30)) as (way, _):
        short = way._transport.within(0.3).way(way._url)
        started = time.perf_counter()
        _, outcome = await over(short)

    assert outcome.error is ErrorClass.TIMEOUT
    assert 0.25 < time.perf_counter() - started < 5
