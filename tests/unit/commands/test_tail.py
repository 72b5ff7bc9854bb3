"""`hub tail`: what arrives in pieces is read whole, a lost connection is taken up again, a refusal is final."""

import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from hub.clock import ManualClock
from hub.commands.sse import LONGEST, Event, Reader
from hub.commands.tail import Following, plain
from hub.errors import RecordMalformed, SourceRefused
from hub.testing import MORNING

STREAM = (
    b': hello\nretry: 5\n\nid: 1\ndata: {"a":1}\n\nid: 2\n: beat\n\nid: 3\r\nevent: x\r\ndata: one\r\n'
    b"data: two\r\n\r\ndata:  spaced\n\nid: nul\x00\ndata: z\n\ndata: never ended"
)  # fmt: skip
READ = [
    Event("message", '{"a":1}', "1"),
    Event("x", "one\ntwo", "3"),
    Event("message", " spaced", "3"),
    Event("message", "z", "3"),
]


@given(st.lists(st.integers(1, len(STREAM) - 1)))
def test_events_are_read_whole_however_they_are_cut(cuts: list[int]) -> None:
    reader, found = Reader(), list[Event]()
    edges = [0, *sorted(set(cuts)), len(STREAM)]

    for start, end in itertools.pairwise(edges):
        found += reader.feed(STREAM[start:end])

    assert found == READ
    assert reader.place == "3"


@pytest.mark.parametrize("start", [b"data: ", b"data: x\ndata: "])
def test_what_is_longer_than_any_event_is_refused(start: bytes) -> None:
    reader = Reader()
    chunks = (start, b"x" * LONGEST, b"x\n", b"data: y\n")

    with pytest.raises(RecordMalformed):
        [list(reader.feed(chunk)) for chunk in chunks]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ok é ☃", "ok é ☃"),
        ("\x1b[2J", "\\u001b[2J"),
        ("a\nb", "a\\u000ab"),
        ("\u202e", "\\u202e"),
        ("\x9b", "\\u009b"),
    ],
)
def test_a_terminal_shows_text_and_does_not_obey_it(text: str, shown: str) -> None:
    assert plain(text) == shown


class FlakyHub:
    """Answers each connection from a list: bytes, after which the connection breaks, or a status."""

    def __init__(self) -> None:
        self.answers: list[bytes | int] = []
        self.asked: list[tuple[str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.headers.get("Last-Event-ID", ""), request.query_string))
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            return web.json_response({"detail": "said so"}, status=answer)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(answer)
        assert request.transport is not None
        request.transport.close()  # in the middle of it
        return response


@pytest.fixture
async def flaky(aiohttp_server: Any) -> tuple[FlakyHub, str]:
    hub, app = FlakyHub(), web.Application()
    app.router.add_get("/v1/events/stream", hub.answer)
    server = await aiohttp_server(app)
    return hub, str(server.make_url("")).rstrip("/")


class Quick(ManualClock):
    """Sleeping takes no time, and is written down."""

    def __init__(self) -> None:
        super().__init__(MORNING)
        self.slept: list[float] = []

    async def sleep(self, duration: timedelta) -> None:
        self.slept.append(duration.total_seconds())


def frames(*numbers: int) -> bytes:
    return b"".join(b"id: p%d\ndata: %s\n\n" % (n, json.dumps({"n": n}).encode()) for n in numbers)


async def test_a_lost_connection_is_taken_up_again_where_it_was(flaky: tuple[FlakyHub, str]) -> None:
    hub, url = flaky
    hub.answers = [frames(1, 2) + b'id: p3\ndata: {"n"', 503, 429, b": x\nid: p9\n\n", frames(3, 4, 5)]
    shown: list[dict[str, Any]] = []
    said: list[str] = []
    clock = Quick()

    await Following(url, "k", {"type": "trade.*"}, shown.append, clock, count=5, say=said.append).run()

    assert [event["n"] for event in shown] == [1, 2, 3, 4, 5]
    assert [place for place, _ in hub.asked] == ["", "p2", "p2", "p2", "p9"]
    assert {query for _, query in hub.asked} == {"type=trade.*"}
    assert clock.slept == [0.5, 1, 2, 0.5]
    assert len(said) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_refusal_is_told_and_not_tried_again(flaky: tuple[FlakyHub, str], status: int) -> None:
    hub, url = flaky
    hub.answers = [status]

    with pytest.raises(SourceRefused, match=f"{status}: said so"):
        await Following(url, "k", {}, lambda _: None, Quick()).run()


async def test_a_stream_that_cannot_go_on_says_why(flaky: tuple[FlakyHub, str]) -> None:
    hub, url = flaky
    hub.answers = [frames(1) + b"event: hub.too_old\ndata: it is gone\n\n"]

    with pytest.raises(SourceRefused, match="it is gone"):
        await Following(url, "k", {}, lambda _: None, Quick()).run()


async def test_what_is_no_event_ends_it(flaky: tuple[FlakyHub, str]) -> None:
    hub, url = flaky
    hub.answers = [b"data: <html>\n\n"]

    with pytest.raises(RecordMalformed):
        await Following(url, "k", {}, lambda _: None, Quick()).run()
