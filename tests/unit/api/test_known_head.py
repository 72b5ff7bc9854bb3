"""A head that is known is compared and not parsed; what the parser would have said is what comes of it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, RawRequestMessage
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.api.known_head import KnownHead, known_head, still_to_come
from hub.control.keys import ApiKey, Principal

WHO = Principal(ApiKey("key_1", b"h", "crm", (), (), 0))
NAMES = st.sampled_from(["Content-Length", "content-length", "CONTENT-LENGTH", "cOnTeNt-LeNgTh"])
MORE = st.lists(
    st.sampled_from(
        [
            "X-API-Key: hub_1",
            "Accept: */*",
            "X: Content-Length: 7",
            "X-Content-Length: 8",
            "Content-Length-X: 9",
            "Empty:",
            "Via: a\tb",
        ]
    ),
    max_size=4,
)
BODIES = st.binary(max_size=40)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def parsed(loop: asyncio.AbstractEventLoop, data: bytes) -> list[tuple[RawRequestMessage, bytes | None]]:
    """Return what the framework's parser makes of some bytes; None for a body that is not complete."""
    found: Any
    found, _, _ = HttpRequestParser(BaseProtocol(loop), loop, 2**16).feed_data(data)
    return [
        (message, b"".join(payload._buffer) if payload.is_eof() else None)
        if payload.__class__.__name__ == "StreamReader"
        else (message, b"")
        for message, payload in found
    ]


def a_head(name: str, before: list[str], behind: list[str], space: str = " ") -> tuple[str, str]:
    lines = "".join(f"{line}\r\n" for line in before)
    return (
        f"POST /v1/events HTTP/1.1\r\nHost: a\r\n{lines}{name}:{space}",
        "".join(f"\r\n{line}" for line in behind) + "\r\n\r\n",
    )


def a_request(head: tuple[str, str], body: bytes) -> bytes:
    return f"{head[0]}{len(body)}{head[1]}".encode() + body


def said(message: RawRequestMessage) -> tuple[Any, ...]:
    others = [pair for pair in message.raw_headers if pair[0].lower() != b"content-length"]
    return message.method, message.path, message.version, others, message.should_close, message.chunked


@given(NAMES, MORE, MORE, st.sampled_from(["", " ", "\t", "  "]), BODIES, BODIES)
def test_a_head_that_was_parsed_is_known_again_with_any_body(
    name: str, before: list[str], behind: list[str], space: str, first: bytes, second: bytes
) -> None:
    head = a_head(name, before, behind, space)

    known = known_head(a_request(head, first), WHO)

    assert known is not None
    assert known.who is WHO
    assert known.body(a_request(head, second)) == second


@settings(max_examples=400)
@given(MORE, MORE, BODIES, st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=6), st.integers(0, 8))))
def test_whatever_is_taken_for_known_is_what_the_parser_would_have_taken_it_for(
    loop: asyncio.AbstractEventLoop,
    before: list[str],
    behind: list[str],
    body: bytes,
    damage: list[tuple[int, bytes, int]],
) -> None:
    whole = a_request(a_head("Content-Length", before, behind), body)
    known = known_head(whole, WHO)
    assert known is not None
    ((first, _),) = parsed(loop, whole)
    changed = whole
    for at, put, length in damage:
        changed = changed[:at] + put + changed[at + length :]

    found = known.body(changed)

    if found is not None:
        ((message, payload),) = parsed(loop, changed)
        assert payload == found
        assert said(message) == said(first)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: \r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: -0\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: +2\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 2 \r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 2\r\n\r\n{",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}{",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 000002\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 2\r\nX: y\r\n\r\n{}",
        b"POST /v1/eventz HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_anything_else_is_the_parsers_business(data: bytes) -> None:
    known = known_head(b"POST /v1/events HTTP/1.1\r\nContent-Length: 4\r\n\r\nnull", WHO)
    assert known == KnownHead(b"POST /v1/events HTTP/1.1\r\nContent-Length: ", b"\r\n\r\n", WHO)

    assert known.body(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nX: y\r\n Content-Length: 2\r\n\r\n",
    ],
)
def test_a_head_whose_length_is_not_plain_is_not_remembered(data: bytes) -> None:
    assert known_head(data, WHO) is None


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET", None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 0),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}\r\n", None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{", 1),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n", 12),
        (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", None),
    ],
)
def test_it_is_told_how_much_of_a_request_is_still_to_come(
    loop: asyncio.AbstractEventLoop, data: bytes, left: int | None
) -> None:
    message, _ = parsed(loop, data)[0]

    assert still_to_come(data, message) == left
