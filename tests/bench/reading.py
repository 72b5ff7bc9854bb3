"""Clients that read pages and streams, in a process of their own: raw sockets, kept open, and one poll for all of them.

Asks what it has to do on its standard input, a line of JSON at a time, and answers each on its standard output:

``{"host", "port", "pages": [REQUEST], "streams": [REQUEST]}`` opens a connection for each and reads the streams' heads;
``{"rate", "seconds"}`` reads each page in turn, on time whatever the answers do, and the streams beside them;
``{"seconds", "connections"}`` reads pages as fast as so many connections can.
"""

import json
import re
import select
import socket
import sys
import time
from collections import deque
from typing import Any

_DEAL = re.compile(rb'"deal":([0-9]+),')
_EVENTS_AFTER_S, _PAGES_AFTER_S = 1.0, 30.0  # for what is still under way when the time is over
_NS = 1_000_000_000


class Page:
    """One client who reads one page; `due` are the moments (ns) at which he wanted answers he has not got yet."""

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.socket = _connected(address)
        self.request = request
        self.due: deque[int] = deque()
        self._rest = b""

    def ask(self, due: int) -> None:
        self.due.append(due)
        if len(self.due) == 1:
            self.socket.sendall(self.request)

    def hear(self) -> int:
        """Return when the answer that is complete now was due, 0 while it is not complete."""
        data = self.socket.recv(65_536)
        assert data, "closed without an answer"
        answer = self._rest + data if self._rest else data
        head = answer.find(b"\r\n\r\n")
        at = answer.find(b"Content-Length: ", 0, head) if head >= 0 else -1
        if at < 0 or len(answer) < head + 4 + int(answer[at + 16 : answer.index(b"\r\n", at)]):
            self._rest = answer
            return 0
        assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
        self._rest = b""
        due = self.due.popleft()
        if self.due:
            self.socket.sendall(self.request)
        return due


class Stream:
    """One client who reads one stream of events, and notes when each deal arrived (ns)."""

    def __init__(self, address: tuple[str, int], request: bytes, arrived: dict[int, int]) -> None:
        self.socket = _connected(address)
        self.socket.sendall(request)
        self._arrived = arrived
        self._rest = b""

    def begin(self) -> None:
        assert self.socket.recv(4_096).startswith(b"HTTP/1.1 200")

    def hear(self) -> None:
        data = self.socket.recv(65_536)
        assert data, "the stream ended"
        now = time.monotonic_ns()
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for frame in whole:
            for deal in _DEAL.findall(frame):
                assert int(deal) not in self._arrived, "told twice"
                self._arrived[int(deal)] = now


class Clients:
    def __init__(self, asked: dict[str, Any]) -> None:
        address = (asked["host"], asked["port"])
        self.arrived: dict[int, int] = {}
        self.streams = [Stream(address, request.encode(), self.arrived) for request in asked["streams"]]
        for stream in self.streams:
            stream.begin()
        # Last, because a hub closes a connection that says nothing for ten seconds.
        self.pages = [Page(address, request.encode()) for request in asked["pages"]]
        self._poll = select.epoll()
        self._by_number: dict[int, Page | Stream] = {}
        for client in (*self.pages, *self.streams):
            self._poll.register(client.socket, select.EPOLLIN)
            self._by_number[client.socket.fileno()] = client

    def on_time(self, rate: float, seconds: float) -> dict[str, Any]:
        took: list[float] = []
        step, pages = int(_NS / rate), self.pages
        start = time.monotonic_ns()
        end, due, number, in_time = start + int(seconds * _NS), start, 0, 0
        while True:
            now = time.monotonic_ns()
            while due <= now and due < end:
                pages[number % len(pages)].ask(due)
                number += 1
                due += step
            if now < end:
                in_time = len(took)
            if due >= end and (len(took) == number or now > end + int(_PAGES_AFTER_S * _NS)):
                break
            self._hear(max(due - now, 0) / _NS if due < end else 0.05, took)
        until = time.monotonic() + _EVENTS_AFTER_S
        while time.monotonic() < until:
            self._hear(0.05, took)
        assert len(took) == number, f"{number - len(took)} pages were not answered"
        return {"took": took, "in_time": in_time, "arrived": self.arrived}

    def flat_out(self, seconds: float, connections: int) -> dict[str, Any]:
        begun = time.monotonic()
        took: list[float] = []
        asking = self.pages[:connections]
        for page in asking:
            page.ask(time.monotonic_ns())
        while time.monotonic() < begun + seconds:
            self._hear(0.05, took, again=True)
        count, wall = len(took), time.monotonic() - begun
        while len(took) < count + len(asking):
            self._hear(0.05, took)
        return {"count": count, "seconds": wall}

    def _hear(self, wait: float, took: list[float], *, again: bool = False) -> None:
        for number, _ in self._poll.poll(wait):
            client = self._by_number[number]
            if isinstance(client, Stream):
                client.hear()
            elif due := client.hear():
                now = time.monotonic_ns()
                took.append((now - due) / 1e6)
                if again:
                    client.ask(now)


def _connected(address: tuple[str, int]) -> socket.socket:
    made = socket.create_connection(address)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def main() -> None:
    clients: Clients | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        began = time.process_time()
        found: dict[str, Any] = {}
        if "pages" in asked:
            clients = Clients(asked)
        elif clients is not None and "rate" in asked:
            found = clients.on_time(asked["rate"], asked["seconds"])
        elif clients is not None:
            found = clients.flat_out(asked["seconds"], asked["connections"])
        print(json.dumps({**found, "cpu": time.process_time() - began}), flush=True)


if __name__ == "__main__":
    main()
