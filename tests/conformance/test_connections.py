"""What is on record about connections, over real sockets: their peers, their TLS, and how long each step took."""

import asyncio
import socket
import ssl
import threading
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
import yarl
from aiohttp.abc import AbstractResolver
from conformance.raw_server import raw_server

from hub.clock import SystemClock
from hub.dispatch import resolver
from hub.dispatch.connections import Connections
from hub.dispatch.delivery import Delivered, ErrorClass, Unreachable
from hub.dispatch.resolver import PooledResolver
from hub.dispatch.safe_http import AiohttpTransport, base_headers

TLS = Path(__file__).parents[1] / "vectors" / "tls"
SLOW = 0.05
SLOW_US = int(SLOW * 1e6)


@asynccontextmanager
async def receiver(
    *, tls=None, wait=0.0, host="127.0.0.1", answer=b"HTTP/1.1 204 No Content\r\nServer: test\r\n\r\n"
):
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                await asyncio.sleep(wait)
                writer.write(answer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writers.remove(writer)
            writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


class Names(AbstractResolver):
    def __init__(self, address="127.0.0.1", wait=0.0):
        self.address, self.wait = address, wait

    async def resolve(self, host, port=0, family=socket.AF_INET):
        await asyncio.sleep(self.wait)
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        return [
            {"hostname": host, "host": self.address, "port": port, "family": family, "proto": 0, "flags": 0}
        ]

    async def close(self):
        pass


def trusting():
    return ssl.create_default_context(cafile=str(TLS / "localhost.crt"))


def serving():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")
    return context


@asynccontextmanager
async def transport(**options):
    options = {"deadline": timedelta(seconds=5), "allow_loopback": True} | options
    async with AiohttpTransport(SystemClock(), **options) as sending:
        yield sending


async def post(sending, url):
    return await sending.send(yarl.URL(url), base_headers(), b"{}")


async def test_the_steps_of_a_new_connection_are_timed_and_of_a_kept_one_only_the_answer():
    async with (
        receiver(tls=serving(), wait=SLOW) as port,
        transport(ssl_context=trusting(), resolver=Names(wait=SLOW)) as sending,
    ):
        first = await post(sending, f"https://hooks.example.com:{port}/")
        second = await post(sending, f"https://hooks.example.com:{port}/")

    assert isinstance(first, Delivered)
    assert isinstance(second, Delivered)
    seen, kept = first.seen, second.seen
    assert (seen.address, seen.tls, seen.reused) == ("127.0.0.1", "TLSv1.3", False)
    assert seen.dns_us >= SLOW_US * 0.9
    assert seen.connect_us > 0
    assert seen.tls_us > 0
    assert seen.first_byte_us >= SLOW_US * 0.9
    assert seen.dns_us + seen.connect_us + seen.tls_us + seen.first_byte_us <= first.latency_us
    assert list(seen.headers) == [(b"Server", b"test")]
    assert (kept.address, kept.tls, kept.reused) == ("127.0.0.1", "TLSv1.3", True)
    assert (kept.dns_us, kept.connect_us, kept.tls_us) == (None, None, None)
    assert SLOW_US * 0.9 <= kept.first_byte_us <= second.latency_us


async def test_without_tls_there_is_no_step_of_that_name():
    async with receiver() as port, transport() as sending:
        outcome = await post(sending, f"http://127.0.0.1:{port}/")

    assert (outcome.seen.tls, outcome.seen.tls_us) == ("", None)
    assert outcome.seen.connect_us > 0


async def test_an_attempt_that_never_connects_has_a_record_of_how_far_it_came():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with transport(resolver=Names()) as sending:
        outcome = await post(sending, f"http://hooks.example.com:{port}/")

    assert isinstance(outcome, Unreachable)
    assert outcome.seen.address == "127.0.0.1"
    assert outcome.seen.dns_us is not None
    assert (outcome.seen.connect_us, outcome.seen.first_byte_us) == (None, None)


async def test_a_deadline_counts_looking_a_name_up():
    async with transport(resolver=Names(wait=30), deadline=timedelta(seconds=0.3)) as sending:
        outcome = await post(sending, "http://hooks.example.com/")

    assert isinstance(outcome, Unreachable)
    assert outcome.error is ErrorClass.TIMEOUT
    assert outcome.latency_us < 2_000_000
    assert (outcome.seen.dns_us, outcome.seen.address) == (None, "")


async def test_a_lookup_that_hangs_in_the_system_holds_nothing_up(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(resolver.socket, "getaddrinfo", lambda *_: over.wait(10))
    try:
        async with transport(resolver=PooledResolver(), deadline=timedelta(seconds=0.3)) as sending:
            outcome = await post(sending, "http://hooks.example.com/")
    finally:
        over.set()

    assert outcome.error is ErrorClass.TIMEOUT
    assert outcome.latency_us < 2_000_000


async def test_a_certificate_for_another_name_is_a_tls_error_and_nothing_is_sent():
    async with (
        receiver(tls=serving()) as port,
        transport(ssl_context=trusting(), resolver=Names()) as sending,
    ):
        outcome = await post(sending, f"https://other.example.com:{port}/")

    assert outcome.error is ErrorClass.TLS
    assert outcome.seen.first_byte_us is None


async def test_the_address_of_an_inner_receiver_is_on_no_record():
    async with receiver() as port, transport(allow_loopback=False, resolver=Names()) as sending:
        outcome = await post(sending, f"http://hooks.example.com:{port}/")

    assert outcome.error is ErrorClass.BLOCKED
    assert outcome.seen.address == ""


async def test_who_is_at_the_other_end_is_checked_on_the_socket_itself(monkeypatch):
    """The first look gone, the second still keeps the request from being written."""
    heard = []

    async def listen(reader, writer):
        heard.append(await reader.read(100))
        writer.close()

    monkeypatch.setattr(Connections, "_open_socket", lambda self, info: socket.socket(*info[:3]))

    async with raw_server(listen) as port, transport(allow_loopback=False, resolver=Names()) as sending:
        outcome = await post(sending, f"http://hooks.example.com:{port}/")
        async with asyncio.timeout(5):
            while not heard:
                await asyncio.sleep(0.01)

    assert outcome.error is ErrorClass.BLOCKED
    assert heard == [b""]


async def test_with_neither_look_the_request_would_arrive(monkeypatch):
    monkeypatch.setattr(Connections, "_why_not", lambda self, address: None)

    async with receiver() as port, transport(allow_loopback=False, resolver=Names()) as sending:
        assert isinstance(await post(sending, f"http://hooks.example.com:{port}/"), Delivered)


class Flipping(Names):
    """A name that leads somewhere else at every lookup: to where it may, then to where it may not."""

    def __init__(self, *addresses):
        super().__init__()
        self.addresses, self.asked = addresses, 0

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.address = self.addresses[self.asked % len(self.addresses)]
        self.asked += 1
        return await super().resolve(host, port, family)


async def test_a_thousand_flips_of_a_name_open_no_socket_to_the_inside():
    closing = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    async with (
        receiver(answer=closing, host="0.0.0.0") as port,
        transport(
            allow_loopback=False,
            networks=[ip_network("127.0.0.2/32")],  # stands for a public one
            resolver=Flipping("127.0.0.2", "127.0.0.1", "127.0.0.2", "::1"),
        ) as sending,
    ):
        connector = sending._exchange._connector
        connector._use_dns_cache = False
        opened, made = [], connector._socket_factory

        def noting(info):
            opened.append((info[4][0], made(info)))
            return opened[-1][1]

        connector._socket_factory = noting
        outcomes = [await post(sending, f"http://hooks.example.com:{port}/") for _ in range(1_000)]

    assert [isinstance(outcome, Delivered) for outcome in outcomes] == [True, False] * 500
    assert {outcome.error for outcome in outcomes[1::2]} == {ErrorClass.BLOCKED}
    assert [address for address, _ in opened] == ["127.0.0.2"] * 500


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
)
async def test_no_proxy_of_the_environment_is_gone_through(monkeypatch, name):
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with (
        receiver(tls=serving()) as secured,
        receiver() as plain,
        transport(ssl_context=trusting(), resolver=Names()) as sending,
    ):
        assert isinstance(await post(sending, f"https://hooks.example.com:{secured}/"), Delivered)
        assert isinstance(await post(sending, f"http://hooks.example.com:{plain}/"), Delivered)
