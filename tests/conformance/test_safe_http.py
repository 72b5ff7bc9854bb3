"""The delivery client against receivers that mean harm, over real sockets."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp.abc
import pytest
import yarl
from conformance.raw_server import raw_server

from hub.clock import SystemClock
from hub.dispatch.delivery import Aborted, Delivered, ErrorClass, Gone, Refused, Unreachable
from hub.dispatch.line import KEEP
from hub.dispatch.safe_http import AiohttpTransport, base_headers

DEADLINE = timedelta(seconds=1.5)


@asynccontextmanager
async def receiver(behave):
    """Serve every connection with `behave(reader, writer)` after its request was read; yield the URL and the requests."""
    requests = []
    writers = set()

    async def serve(reader, writer):
        writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                requests.append((head, await reader.readexactly(length)))
                if await behave(writer) is None:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield yarl.URL(f"http://127.0.0.1:{port}/hook"), requests
    finally:
        for writer in list(writers):
            writer.transport.abort()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def transport(**options):
    options = {"deadline": DEADLINE, "allow_loopback": True} | options
    async with AiohttpTransport(SystemClock(), **options) as sending:
        yield sending


def answer(text, *, keep=False):
    async def behave(writer):
        writer.write(text.encode() if isinstance(text, str) else text)
        await writer.drain()
        return True if keep else None

    return behave


async def post(behave, **options):
    async with receiver(behave) as (url, requests), transport(**options) as sending:
        started = time.perf_counter()
        outcome = await sending.send(url, base_headers(), b'{"id":"evt_1"}')
        assert time.perf_counter() - started <= DEADLINE.total_seconds() + 1
        return outcome, requests


async def test_an_answer_of_204_is_delivered_and_the_request_says_only_what_it_must():
    outcome, requests = await post(answer("HTTP/1.1 204 No Content\r\n\r\n"))

    assert isinstance(outcome, Delivered)
    head, body = requests[0]
    names = {line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:] if line}
    assert body == b'{"id":"evt_1"}'
    assert names == {
        b"host",
        b"content-type",
        b"user-agent",
        b"accept",
        b"accept-encoding",
        b"content-length",
    }


async def test_one_connection_is_kept_for_many_deliveries():
    connections = []

    async def behave(writer):
        connections.append(writer.get_extra_info("peername"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    async with receiver(behave) as (url, _), transport() as sending:
        for _ in range(5):
            assert isinstance(await sending.send(url, base_headers(), b"{}"), Delivered)

    assert len(set(connections)) == 1


async def test_a_redirect_is_a_failure_and_is_never_followed():
    outcome, requests = await post(
        answer("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n")
    )

    assert isinstance(outcome, Refused)
    assert outcome.status == 302
    assert len(requests) == 1


async def test_410_is_gone():
    outcome, _ = await post(answer("HTTP/1.1 410 Gone\r\nContent-Length: 3\r\n\r\nbye"))

    assert isinstance(outcome, Gone)
    assert outcome.response == b"bye"


async def test_retry_after_is_heard():
    outcome, _ = await post(answer("HTTP/1.1 503 X\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"))

    assert isinstance(outcome, Refused)
    assert outcome.retry_after_us == 120_000_000


@pytest.mark.parametrize(
    ("answered", "kind"),
    [
        ("200 OK\r\nWebhook-Delivery: disable", Delivered),
        ("200 OK\r\nwebhook-delivery: abort", Delivered),
        ("503 Busy\r\nWebhook-Delivery: Disable", Gone),
        ("422 No\r\nwebhook-delivery: abort", Aborted),
        ("422 No\r\nwebhook-delivery: perhaps", Refused),
    ],
)
async def test_a_receiver_is_heard_that_wants_no_more_or_not_this_one(answered, kind):
    outcome, _ = await post(answer(f"HTTP/1.1 {answered}\r\nContent-Length: 0\r\n\r\n"))

    assert isinstance(outcome, kind)
    if isinstance(outcome, Delivered):
        assert outcome.farewell == ("disable" in answered)


async def test_an_endpoint_may_have_a_shorter_time_limit_than_the_others():
    async with receiver(never) as (url, _), transport(deadline=timedelta(seconds=30)) as sending:
        started = time.perf_counter()
        outcome = await sending.within(0.3).send(url, base_headers(), b"{}")

    assert isinstance(outcome, Unreachable)
    assert outcome.error is ErrorClass.TIMEOUT
    assert time.perf_counter() - started < 5


async def endless_body(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        await writer.drain()


async def test_an_endless_body_is_cut_off_and_the_answer_counts_as_given():
    outcome, _ = await post(endless_body)

    assert isinstance(outcome, Delivered)
    assert outcome.response == b"x" * KEEP


async def test_two_hundred_megabytes_announced_are_not_read():
    sent = 0

    async def huge(writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 209715200\r\n\r\n")
        for _ in range(3200):
            writer.write(b"y" * 65536)
            await writer.drain()
            sent += 65536

    outcome, _ = await post(huge)

    assert isinstance(outcome, Refused)
    assert len(outcome.response) == KEEP
    assert sent < 20_000_000


async def drip_body(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.1)


async def drip_headers(writer):
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-A: b\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)


async def never(writer):
    await asyncio.sleep(30)


async def endless_informational(writer):
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("behave", [drip_body, drip_headers, never])
async def test_whoever_takes_for_ever_is_given_up_at_the_deadline(behave):
    outcome, _ = await post(behave)

    assert isinstance(outcome, Unreachable)
    assert outcome.error is ErrorClass.TIMEOUT


async def test_a_few_announcements_before_an_answer_are_passed_over():
    outcome, _ = await post(
        answer("HTTP/1.1 103 Early Hints\r\n\r\n" * 16 + "HTTP/1.1 204 No Content\r\n\r\n")
    )

    assert isinstance(outcome, Delivered)


async def test_endless_announcements_are_not_listened_to_till_the_deadline():
    outcome, _ = await post(endless_informational)

    assert isinstance(outcome, Unreachable)
    assert outcome.error is ErrorClass.BODY
    assert "announcement" in outcome.reason


@pytest.mark.parametrize(
    "text",
    [
        "HTTP/1.1 200 OK\r\n" + "".join(f"X-{n}: y\r\n" for n in range(5000)) + "Content-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: " + "y" * 100_000 + "\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nrubbish",
        "SSH-2.0-OpenSSH_9.0\r\n",
        "\x00\x01\x02\x03\r\n\r\n",
        "HTTP/9.9 999 ?\r\n\r\n",
    ],
)
async def test_an_answer_that_is_no_proper_http_is_an_outcome(text):
    outcome, _ = await post(answer(text))

    assert isinstance(outcome, Unreachable)
    assert outcome.error in {ErrorClass.BODY, ErrorClass.CONNECT}
    assert outcome.reason


async def test_an_answer_that_is_compressed_is_not_unpacked():
    bomb = b"\x1f\x8b" + b"\x00" * 200
    outcome, _ = await post(
        answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 202\r\n\r\n" + bomb)
    )

    assert isinstance(outcome, Delivered)
    assert outcome.response == bomb


async def test_cookies_are_neither_kept_nor_sent():
    async with (
        receiver(answer("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", keep=True)) as (
            url,
            requests,
        ),
        transport() as sending,
    ):
        await sending.send(url, base_headers(), b"{}")
        await sending.send(url, base_headers(), b"{}")

    assert all(b"cookie" not in head.lower() for head, _ in requests)


async def test_a_kept_connection_that_was_closed_costs_no_attempt():
    answers = iter(
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ]
    )

    async def behave(writer):
        text = next(answers)
        writer.write(text)
        return True if text else None

    async with receiver(behave) as (url, requests), transport() as sending:
        first = await sending.send(url, base_headers(), b"1")
        second = await sending.send(url, base_headers(), b"2")

    assert isinstance(first, Delivered)
    assert isinstance(second, Delivered)
    assert [body for _, body in requests] == [b"1", b"2", b"2"]


async def test_a_closed_port_is_a_connect_error():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async with transport() as sending:
        outcome = await sending.send(yarl.URL(f"http://127.0.0.1:{port}/"), base_headers(), b"{}")

    assert isinstance(outcome, Unreachable)
    assert outcome.error is ErrorClass.CONNECT


async def test_plain_text_behind_https_is_a_tls_error():
    async with receiver(answer("HTTP/1.1 200 OK\r\n\r\n")) as (url, _), transport() as sending:
        outcome = await sending.send(url.with_scheme("https"), base_headers(), b"{}")

    assert isinstance(outcome, Unreachable)
    assert outcome.error in {ErrorClass.TLS, ErrorClass.CONNECT, ErrorClass.TIMEOUT}


class Flipping(aiohttp.abc.AbstractResolver):
    """A name that was public when it was checked and leads inside when it is used."""

    def __init__(self, *addresses):
        self.addresses = addresses

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
            for address in self.addresses
        ]

    async def close(self):
        pass


@pytest.mark.parametrize(
    "addresses",
    [("127.0.0.1",), ("127.0.0.1", "10.0.0.1"), ("::1",), ("::ffff:127.0.0.1",), ("169.254.169.254",)],
)
async def test_a_name_that_leads_inside_is_never_connected_to(addresses):
    async with (
        receiver(answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (url, requests),
        transport(allow_loopback=False, resolver=Flipping(*addresses)) as sending,
    ):
        outcome = await sending.send(url.with_host("hooks.example.com"), base_headers(), b"{}")

    assert isinstance(outcome, Unreachable)
    assert outcome.error is ErrorClass.BLOCKED
    assert requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254", "2130706433", "127.1"])
async def test_an_address_written_in_the_url_is_checked_at_the_socket_too(host):
    async with transport(allow_loopback=False) as sending:
        outcome = await sending.send(yarl.URL(f"http://{host}:9/"), base_headers(), b"{}")

    assert isinstance(outcome, Unreachable)
    assert outcome.error is ErrorClass.BLOCKED


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    outcome, _ = await post(answer("HTTP/1.1 204 No Content\r\n\r\n"))

    assert isinstance(outcome, Delivered)


async def test_a_name_that_does_not_exist_is_a_dns_error():
    class Nowhere(Flipping):
        async def resolve(self, host, port=0, family=socket.AF_INET):
            raise OSError("no such name")

    async with transport(resolver=Nowhere()) as sending:
        outcome = await sending.send(yarl.URL("http://hooks.example.com/"), base_headers(), b"{}")

    assert isinstance(outcome, Unreachable)
    assert outcome.error is ErrorClass.DNS


async def test_a_hostile_crowd_does_not_slow_a_healthy_receiver():
    good = answer("HTTP/1.1 204 No Content\r\n\r\n")  # each takes a connection of its own
    hang = asyncio.Semaphore(0)

    async def hangs(writer):
        hang.release()
        await never(writer)

    async with (
        receiver(endless_body) as (bad, _),
        receiver(hangs) as (hanging, _),
        receiver(good) as (healthy, _),
        transport(deadline=timedelta(minutes=1)) as sending,
        asyncio.TaskGroup() as group,
    ):
        hung = [group.create_task(sending.send(hanging, base_headers(), b"{}")) for _ in range(20)]
        for _ in hung:
            await hang.acquire()
        for _ in range(20):
            group.create_task(sending.send(bad, base_headers(), b"{}"))
        # A machine with other work to do makes everything late. Whoever had to wait for one that hangs would have to wait
        # until it was given up; and what they cost is counted by the work of this thread, which has the receivers' in it.
        worked = time.thread_time()
        for _ in range(30):
            assert isinstance(await sending.send(healthy, base_headers(), b"{}"), Delivered)
        worked = time.thread_time() - worked
        waits = [not task.done() for task in hung]
        for task in hung:
            task.cancel()

    assert all(waits)
    assert worked < 1.0


async def test_a_body_too_long_for_one_write_arrives_whole():
    body = bytes(range(256)) * 2_000
    async with (
        receiver(answer("HTTP/1.1 204 No Content\r\n\r\n")) as (url, requests),
        transport() as sending,
    ):
        assert isinstance(await sending.send(url, base_headers(), body), Delivered)

    assert [received for _, received in requests] == [body]


async def test_a_line_break_in_a_header_is_not_sent():
    headers = base_headers()
    headers["webhook-id"] = "evt_1\r\nX-More: yes"
    async with (
        receiver(answer("HTTP/1.1 204 No Content\r\n\r\n")) as (url, requests),
        transport() as sending,
    ):
        assert isinstance(await sending.send(url, headers, b"{}"), Unreachable)

    assert requests == []


async def test_a_kept_connection_that_just_closes_is_not_written_to():
    async with (
        receiver(answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", keep=True)) as (url, requests),
        transport() as sending,
    ):
        await sending.send(url, base_headers(), b"1")
        (kept,) = sending._exchange._connector._lines
        # Nobody was told yet that it is gone.
        kept.transport.abort()

        assert isinstance(await sending.send(url, base_headers(), b"2"), Delivered)

    assert [body for _, body in requests] == [b"1", b"2"]


async def test_an_answer_that_comes_before_its_request_is_not_believed():
    async def behave(writer):
        # The second answer is for a request that was not made yet.
        writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        return True

    async with receiver(behave) as (url, requests), transport() as sending:
        assert isinstance(await sending.send(url, base_headers(), b"1"), Refused)
        (kept,) = sending._exchange._connector._lines
        async with asyncio.timeout(5):
            while kept.may_be_asked():
                await asyncio.sleep(0.01)
        second = await sending.send(url, base_headers(), b"2")

    assert isinstance(second, Refused)
    assert [body for _, body in requests] == [b"1", b"2"]


async def test_a_receiver_that_speaks_first_is_told_apart_from_one_that_hangs_up():
    async def greet(reader, writer):
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    async with raw_server(greet) as port, transport() as sending:
        outcome = await sending.send(yarl.URL(f"http://127.0.0.1:{port}/"), base_headers(), b"{}")

    assert isinstance(outcome, Unreachable)
    assert outcome.error in {ErrorClass.CONNECT, ErrorClass.BODY}


async def test_the_status_of_an_answer_that_breaks_off_is_recorded():
    outcome, _ = await post(answer("HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\nshort"))

    assert isinstance(outcome, Unreachable)
    assert outcome.error is ErrorClass.BODY
    assert outcome.status == 202


async def test_a_path_with_a_query_is_asked_for_as_it_stands():
    async with (
        receiver(answer("HTTP/1.1 204 No Content\r\n\r\n")) as (url, requests),
        transport() as sending,
    ):
        await sending.send(url.with_path("/h%20k/ü").with_query("a=b c&d=é"), base_headers(), b"{}")

    assert requests[0][0].split(b"\r\n")[0] == b"POST /h%2520k/%C3%BC?a=b+c&d=%C3%A9 HTTP/1.1"
