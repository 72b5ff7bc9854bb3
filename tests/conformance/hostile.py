"""A town of receivers that mean harm, each on a port of its own, in a process of its own.

``python hostile.py CERTIFICATE KEY`` prints `hostile is ready at {name: port}` and, for each name read from its standard
input, what it counted there as JSON: connections, requests, and bytes sent.
"""

import asyncio
import gzip
import json
import socket
import ssl
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(b"\0" * 50_000_000, 9, mtime=0)

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Behaviour = Callable[["Town", str, Writer], Awaitable[None]]


class Town:
    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}

    async def send(self, name: str, writer: Writer, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.counts[name]["bytes"] += len(data)


async def slow_headers(town: Town, name: str, writer: Writer) -> None:
    await town.send(name, writer, OK)
    while True:
        await town.send(name, writer, b"X-A: b\r\n")
        await asyncio.sleep(0.1)


async def slow_body(town: Town, name: str, writer: Writer) -> None:
    await town.send(name, writer, OK + b"Content-Length: 100000\r\n\r\n")
    while True:
        await town.send(name, writer, b"x")
        await asyncio.sleep(0.1)


async def huge_body(town: Town, name: str, writer: Writer) -> None:
    await town.send(name, writer, OK + b"Content-Length: 209715200\r\n\r\n")
    for _ in range(3200):
        await town.send(name, writer, b"y" * 65536)


async def endless_body(town: Town, name: str, writer: Writer) -> None:
    await town.send(name, writer, OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        await town.send(name, writer, b"1\r\nx\r\n" * 1000)


async def gzip_bomb(town: Town, name: str, writer: Writer) -> None:
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB)
    await town.send(name, writer, OK + head + BOMB)


async def reset(town: Town, name: str, writer: Writer) -> None:
    _reset(writer)


async def reset_in_the_body(town: Town, name: str, writer: Writer) -> None:
    await town.send(name, writer, OK + b"Content-Length: 1000\r\n\r\nhello")
    _reset(writer)


async def half_close(town: Town, name: str, writer: Writer) -> None:
    writer.write_eof()
    await asyncio.sleep(30)


async def short_body(town: Town, name: str, writer: Writer) -> None:
    await town.send(name, writer, OK + b"Content-Length: 10\r\n\r\nshort")


async def two_lengths(town: Town, name: str, writer: Writer) -> None:
    await town.send(name, writer, OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")


async def continue_flood(town: Town, name: str, writer: Writer) -> None:
    while True:
        await town.send(name, writer, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


async def hints_flood(town: Town, name: str, writer: Writer) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\n" + b"Link: </%d>\r\n" % 7 * 50 + b"\r\n"
    while True:
        await town.send(name, writer, hint * 100)


async def redirect(town: Town, name: str, writer: Writer) -> None:
    to = b"Location: http://169.254.169.254/latest/meta-data/\r\n"
    await town.send(name, writer, b"HTTP/1.1 307 Temporary Redirect\r\n" + to + b"Content-Length: 0\r\n\r\n")


async def endless_headers(town: Town, name: str, writer: Writer) -> None:
    await town.send(name, writer, OK)
    while True:
        await town.send(name, writer, b"X-Header: value\r\n" * 1000)


async def endless_line(town: Town, name: str, writer: Writer) -> None:
    await town.send(name, writer, OK + b"X-Header: ")
    while True:
        await town.send(name, writer, b"v" * 65536)


async def garbage(town: Town, name: str, writer: Writer) -> None:
    await town.send(name, writer, b"\x00\xff not http at all \r\n\r\n" * 50)


async def silence(town: Town, name: str, writer: Writer) -> None:
    await asyncio.sleep(30)


async def early_close(town: Town, name: str, writer: Writer) -> None:
    writer.close()


BEHAVIOURS: dict[str, Behaviour] = {
    each.__name__: each
    for each in (
        slow_headers,
        slow_body,
        huge_body,
        endless_body,
        gzip_bomb,
        reset,
        reset_in_the_body,
        half_close,
        short_body,
        two_lengths,
        continue_flood,
        hints_flood,
        redirect,
        endless_headers,
        endless_line,
        garbage,
        silence,
        early_close,
    )
}
AT_ONCE = frozenset({"early_close"})  # does not wait for a request


def _reset(writer: Writer) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def main(certificate: str, key: str) -> None:
    town = Town()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def open_one(name: str, behave: Behaviour, tls: ssl.SSLContext | None = None) -> int:
        town.counts[name] = Counter()

        async def serve(reader: Reader, writer: Writer) -> None:
            town.counts[name]["connections"] += 1
            try:
                if name not in AT_ONCE:
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    await reader.readexactly(length)
                    town.counts[name]["requests"] += 1
                await behave(town, name, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, backlog=512)
        return int(server.sockets[0].getsockname()[1])

    async def no_tls(reader: Reader, writer: Writer) -> None:
        town.counts["bad_tls"]["connections"] += 1
        try:
            await reader.read(100)
            writer.write(b"\x16\x03\x03\x40\x00" + b"\xee" * 4000)
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    ports = {name: await open_one(name, behave) for name, behave in BEHAVIOURS.items()}
    ports["untrusted"] = await open_one("untrusted", redirect, context)
    town.counts["bad_tls"] = Counter()
    bad = await asyncio.start_server(no_tls, "127.0.0.1", 0, backlog=512)
    ports["bad_tls"] = bad.sockets[0].getsockname()[1]
    print("hostile is ready at", json.dumps(ports), flush=True)
    loop = asyncio.get_running_loop()
    # A thread of its own reads: the town stays as busy as it likes.
    while name := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        print(json.dumps(town.counts[name]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
