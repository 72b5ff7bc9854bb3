"""One event in one POST is answered a short way; nobody can tell but by the time it takes."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from conformance.api_bench import an_api

from hub.api import server
from hub.control.keys import Scope
from hub.ingest.receive import Receiver

EVENT = {
    "type": "trade.closed",
    "timestamp": "2026-06-23T08:59:00Z",
    "account": {"server": "live-1", "login": 1001},
    "data": {"deal": 7, "position": 7, "symbol": "EURUSD", "side": "buy", "lots": "1.5", "profit": "2.00"},
}


def event(**changes):
    return {**EVENT, "data": {**EVENT["data"], **changes}}


def body_of(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def a_post(api, value, *, path="/v1/events", key=Scope.EVENTS_WRITE, more="", host=None):
    body = body_of(value)
    secret = f"Authorization: Bearer {api.secrets[key]}\r\n" if key else ""
    kind = "" if "Content-Type" in more else "Content-Type: application/json\r\n"
    host = host or f"127.0.0.1:{api.serving.port}"
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{secret}{kind}{more}Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


@asynccontextmanager
async def connection(api):
    reader, writer = await asyncio.open_connection("127.0.0.1", api.serving.port)
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.close()


async def an_answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return int(head[0].split(" ")[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def told(api, *posts):
    """Return what each post was answered, on one connection; without what differs from one answer to the next."""
    answers = []
    async with connection(api) as (reader, writer):
        for post in posts:
            writer.write(post)
            status, headers, body = await an_answer(reader)
            assert headers.pop("x-request-id")
            assert headers.pop("date")
            headers.pop("server", None)
            answers.append((status, headers, json.loads(body)))
    return answers


CASES = {
    "one": ([event()], {}, 1),
    "twice": ([event(), event()], {}, 2),
    "the same deal told otherwise": ([event(), event(lots="9")], {}, 2),
    "a field that is wrong": ([event(lots="many")], {}, 0),
    "a type nobody knows": ([{**EVENT, "type": "trade.cloesd"}], {}, 0),
    "a duplicate key": ([b'{"type":"trade.closed",' + body_of(EVENT)[1:]], {}, 0),
    "an array of one": ([[event()]], {}, 0),
    "no JSON": ([b"{"], {}, 0),
    "nothing": ([b""], {}, 0),
    "no key": ([event()], {"key": None}, 0),
    "a key without the scope": ([event()], {"key": Scope.EVENTS_READ}, 0),
    "another host": ([event()], {"host": "evil.example.com"}, 0),
    "a foreign page": ([event()], {"more": "Origin: https://evil.example.com\r\n"}, 0),
    "another type of content": ([event()], {"more": "Content-Type: text/plain\r\n"}, 0),
    "a character set": ([event()], {"more": "Content-Type: application/json; charset=utf-8\r\n"}, 0),
    "compressed": ([event()], {"more": "Content-Encoding: gzip\r\n"}, 0),
    "longer than one event is": ([body_of(event()) + b" " * 20_000], {}, 0),
}


@pytest.mark.parametrize(("values", "how", "short"), CASES.values(), ids=CASES.keys())
async def test_both_ways_give_the_same_answer(values, how, short):
    async with an_api() as api:
        one_way = await told(api, *(a_post(api, value, **how) for value in values))
        assert api.serving.counters["answered_the_short_way"] == short
        rows = [(row.ref, row.body) for row in api.rows()]
    async with an_api() as api:
        other = await told(api, *(a_post(api, value, path="/v1/events?lane=live", **how) for value in values))
        assert api.serving.counters["answered_the_short_way"] == 0
        assert [(row.ref, row.body) for row in api.rows()] == rows

    assert one_way == other


async def test_a_store_that_cannot_be_written_is_told_the_same_way():
    async with an_api() as api:
        api.log.broken = True
        short, long = await told(api, a_post(api, event()), a_post(api, event(), path="/v1/events?lane=live"))
        assert api.serving.counters["answered_the_short_way"] == 1

    assert short == long
    assert short[0] == 503
    assert short[1]["retry-after"] == "1"


async def test_a_quick_reader_that_fails_leaves_the_event_to_the_long_way(monkeypatch):
    async with an_api() as api:

        def fails(*_, **__):
            raise RuntimeError("a bug")

        monkeypatch.setattr(Receiver, "quick", fails)
        ((status, _, _),) = await told(api, a_post(api, event()))

        assert status == 202
        assert api.serving.counters["answered_the_short_way"] == 0


async def test_pressure_is_told():
    async with an_api() as api:
        api.busy[0] = 3.0
        ((status, headers, _),) = await told(api, a_post(api, event()))

    assert (status, headers["retry-after"]) == (503, "3")


async def test_requests_sent_without_waiting_are_answered_in_order():
    async with an_api() as api, connection(api) as (reader, writer):
        posts = [a_post(api, event(deal=deal)) for deal in range(1, 301)]
        posts[100] = a_post(api, [event(deal=101)])  # one that takes the long way, in the middle
        writer.write(b"".join(posts))
        ids = [json.loads((await an_answer(reader))[2])["results"][0]["id"] for _ in posts]

        assert ids == [row.ref for row in api.rows()]
        assert len(set(ids)) == 300


async def test_whoever_does_not_read_its_answers_is_answered_once_it_does():
    async with an_api() as api, connection(api) as (reader, writer):
        posts = b"".join(a_post(api, event(deal=deal)) for deal in range(1, 3_001))
        sending = asyncio.ensure_future(_send(writer, posts))
        while not api.rows():
            await asyncio.sleep(0.01)
        for _ in range(3_000):
            status, _, _ = await an_answer(reader)
            assert status == 202
        await sending


async def _send(writer, data):
    for start in range(0, len(data), 65_536):
        writer.write(data[start : start + 65_536])
        await writer.drain()


@pytest.mark.parametrize("cut", [10, 60, -20, -1])
async def test_a_request_in_two_pieces_is_answered(cut):
    async with an_api() as api, connection(api) as (reader, writer):
        post = a_post(api, event())
        writer.write(post[:cut])
        await asyncio.sleep(0.05)
        writer.write(post[cut:] + a_post(api, event(deal=8)))

        assert [(await an_answer(reader))[0] for _ in range(2)] == [202, 202]


async def test_other_requests_share_the_connection():
    async with an_api() as api, connection(api) as (reader, writer):
        get = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{api.serving.port}\r\n\r\n".encode()
        writer.write(a_post(api, event()) + get + a_post(api, event(deal=8)) + get)

        statuses = [(await an_answer(reader))[0] for _ in range(4)]

    assert statuses[0] == statuses[2] == 202
    assert statuses[1] == statuses[3]


async def test_what_is_in_hand_is_answered_before_the_hub_stops_listening():
    release = asyncio.Event()
    async with an_api() as api:
        plain = api.log.real.append

        async def slow(facts, **more):
            await release.wait()
            return await plain(facts, **more)

        api.log.real.append = slow
        reader, writer = await asyncio.open_connection("127.0.0.1", api.serving.port)
        writer.write(a_post(api, event()))
        async with asyncio.timeout(10):
            while api.serving.waiting == 0:
                await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.1, release.set)
    # Leaving waits for what is in hand.
    async with asyncio.timeout(10):
        assert (await an_answer(reader))[0] == 202
    writer.close()


async def test_a_sender_that_hangs_up_before_its_answer_hurts_nobody():
    release = asyncio.Event()
    async with an_api() as api:
        plain = api.log.real.append

        async def slow(facts, **more):
            await release.wait()
            return await plain(facts, **more)

        api.log.real.append = slow
        async with connection(api) as (_, writer):
            writer.write(a_post(api, event()))
            async with asyncio.timeout(10):
                while api.serving.waiting == 0:
                    await asyncio.sleep(0.01)
        release.set()
        ((status, _, _),) = await told(api, a_post(api, event()))

        assert status == 202
        assert len(api.rows()) == 1


async def test_a_connection_that_idles_after_its_answer_is_closed(monkeypatch):
    monkeypatch.setattr(server, "IDLE_WITHIN", timedelta(seconds=0.2))
    async with an_api() as api, connection(api) as (reader, writer):
        writer.write(a_post(api, event()))
        assert (await an_answer(reader))[0] == 202

        assert await reader.read() == b""


async def test_a_connection_whose_event_never_gets_to_disk_is_closed(monkeypatch):
    monkeypatch.setattr(server, "REQUEST_WITHIN", timedelta(seconds=0.2))
    async with an_api() as api:

        async def never(facts, **more):
            await asyncio.get_running_loop().create_future()

        api.log.real.append = never
        async with connection(api) as (reader, writer):
            writer.write(a_post(api, event()))

            assert await reader.read() == b""
