"""Whoever is slow to speak is cut off; the others do not notice."""

import asyncio
from datetime import timedelta

import pytest
from conformance.api_bench import ApiBench, an_api

from hub.api import bodies, server
from hub.control.keys import Scope


async def half_open(api: ApiBench, first: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.serving.port)
    writer.write(first)
    await writer.drain()
    return reader, writer


async def ends(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


@pytest.mark.parametrize(
    "first", [b"", b"POST /v1/eve", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "]
)
async def test_an_unfinished_head_is_cut_off(monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    monkeypatch.setattr(server, "HEAD_WITHIN", timedelta(milliseconds=50))
    monkeypatch.setattr(server, "_SWEEP_EVERY_S", 0.02)
    async with an_api() as api:
        waiting = [await half_open(api, first) for _ in range(20)]

        assert (await api.ask("GET", "/healthz", scope=None))[0] == 200
        for reader, writer in waiting:
            assert await ends(reader) == b""
            writer.close()

        assert api.serving.counters["overdue"] == 20


async def test_a_head_that_trickles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_WITHIN", timedelta(milliseconds=80))
    monkeypatch.setattr(server, "_SWEEP_EVERY_S", 0.02)
    async with an_api() as api:
        reader, writer = await half_open(api, b"GET /healthz HTTP/1.1\r\nX-Slow: ")

        async with asyncio.timeout(10):
            while not reader.at_eof():
                try:
                    writer.write(b"a")
                    await writer.drain()
                    await asyncio.wait_for(reader.read(1), 0.01)
                except TimeoutError:
                    continue
                except ConnectionError:
                    break

        assert api.serving.counters["overdue"] == 1
        writer.close()


async def test_a_body_that_never_comes_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "READ_WITHIN_S", 0.05)
    async with an_api() as api:
        head = (
            "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {api.secrets[Scope.ADMIN]}\r\nContent-Length: 100\r\n\r\n{{"
        )
        reader, writer = await half_open(api, head.encode())

        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_an_idle_connection_that_was_used_is_kept() -> None:
    async with an_api() as api:
        reader, writer = await half_open(api, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"

        connection = next(iter(api.serving._server._open))

        assert not connection.is_overdue(connection.server.loop.time() + 11)
        writer.close()


async def test_one_address_cannot_take_every_connection() -> None:
    async with an_api(most_per_address=3) as api:
        kept = [await half_open(api, b"") for _ in range(3)]

        reader, writer = await half_open(api, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")

        assert await ends(reader) == b""
        assert api.serving.counters["turned_away"] == 1
        for _, other in [*kept, (reader, writer)]:
            other.close()
