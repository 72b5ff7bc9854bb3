"""What the fault proxy says it does to a network, it does."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator

import pytest
from processes.fault_proxy import FaultProxy


class Way:
    """A client of an echo server, by way of the proxy."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.proxy.port)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(100_000):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def way() -> AsyncIterator[Way]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield Way(proxy)


async def told(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    writer.write(data)
    await writer.drain()
    async with asyncio.timeout(5):
        return await reader.readexactly(len(data))


async def hears_nothing(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.2):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def test_without_faults_everything_passes_in_order(way: Way) -> None:
    reader, writer = await way.connect()
    data = bytes(range(256)) * 2_000

    async with asyncio.TaskGroup() as group:
        answer = group.create_task(reader.readexactly(len(data)))
        writer.write(data)
        await writer.drain()

    assert answer.result() == data
    writer.close()


async def test_latency_counts_for_each_way(way: Way) -> None:
    reader, writer = await way.connect()
    way.proxy.latency = 0.1
    before = time.monotonic()

    await told(reader, writer, b"ping")

    assert time.monotonic() - before >= 0.2
    writer.close()


async def test_a_cut_ends_what_is_connected_and_refuses_what_comes_until_it_is_healed(way: Way) -> None:
    reader, writer = await way.connect()
    await told(reader, writer, b"ping")

    await way.proxy.cut()

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await told(reader, writer, b"ping")
    with pytest.raises(ConnectionRefusedError):
        await way.connect()
    await way.proxy.heal()
    reader, writer = await way.connect()
    assert await told(reader, writer, b"pong") == b"pong"
    writer.close()


async def test_a_reset_strikes_what_is_connected_and_nothing_that_comes_after(way: Way) -> None:
    reader, writer = await way.connect()
    await told(reader, writer, b"ping")

    way.proxy.reset()

    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    reader, writer = await way.connect()
    assert await told(reader, writer, b"pong") == b"pong"
    writer.close()


async def test_silence_holds_everything_back_and_loses_nothing(way: Way) -> None:
    reader, writer = await way.connect()
    way.proxy.silence()
    newcomer, its_writer = await way.connect()
    for each in (writer, its_writer):
        each.write(b"ping")

    assert await hears_nothing(reader)
    assert await hears_nothing(newcomer)
    await way.proxy.heal()

    async with asyncio.timeout(5):
        assert await reader.readexactly(4) == b"ping"
        assert await newcomer.readexactly(4) == b"ping"
    writer.close()
    its_writer.close()


async def test_a_stranded_connection_never_hears_anything_again(way: Way) -> None:
    reader, writer = await way.connect()
    await told(reader, writer, b"ping")
    way.proxy.strand()
    writer.write(b"pong")
    await way.proxy.heal()

    assert await hears_nothing(reader)
    reader, its_writer = await way.connect()
    assert await told(reader, its_writer, b"pong") == b"pong"
    writer.close()
    its_writer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only there the proxy can lose packets")
async def test_who_has_the_network_watch_over_a_stranded_connection_finds_out(way: Way) -> None:
    reader, writer = await way.connect()
    await told(reader, writer, b"ping")
    watched = writer.get_extra_info("socket")
    watched.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
    way.proxy.strand()
    writer.write(b"pong")

    with pytest.raises(OSError, match="timed out"):
        async with asyncio.timeout(10):
            await reader.read(1)
    writer.close()


async def test_a_server_that_is_down_is_told_to_the_client_at_once() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with FaultProxy(port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)

        async with asyncio.timeout(5):
            assert await reader.read(1) == b""
        writer.close()
