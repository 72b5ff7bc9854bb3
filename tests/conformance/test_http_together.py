"""Requests that begin like the one before them, and those of many connections at once: faster, and the same in all else."""

import asyncio
import json
import random
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest
from conformance.api_bench import an_api
from conformance.test_http_short_way import a_post, an_answer, connection, event, told

from hub.api import server
from hub.api.server import _Connection
from hub.control.keys import Scope
from hub.errors import StoreRefused


def parsed_requests(api):
    """Return how many requests the parser saw on each open connection."""
    return [each._request_count for each in api.serving._server._open]


async def answered(reader, count):
    return [json.loads((await an_answer(reader))[2])["results"][0] for _ in range(count)]


async def test_a_connections_next_events_are_answered_without_being_parsed():
    async with an_api() as api, connection(api) as (reader, writer):
        ids = []
        for deal in range(1, 12):
            writer.write(a_post(api, event(deal=deal)))
            ids += [result["id"] for result in await answered(reader, 1)]
        assert ids == [row.ref for row in api.rows()]
        assert parsed_requests(api) == [1]

        writer.write(a_post(api, event(deal=12), more="X: another head\r\n"))
        await answered(reader, 1)
        writer.write(a_post(api, event(deal=13), more="X: another head\r\n"))
        await answered(reader, 1)
        assert parsed_requests(api) == [2]
        assert api.serving.counters["answered_the_short_way"] == 13


async def test_after_a_request_in_pieces_heads_are_known_again():
    async with an_api() as api, connection(api) as (reader, writer):
        batch = a_post(api, [event(deal=deal) for deal in range(1, 4)], more="X: a batch\r\n")
        for part in (batch[:250], batch[250:300], batch[300:]):
            writer.write(part)
            await asyncio.sleep(0.02)
        await answered(reader, 1)
        for deal in range(4, 8):
            writer.write(a_post(api, event(deal=deal)))
            await answered(reader, 1)

        assert parsed_requests(api) == [2]


@pytest.mark.parametrize("wrong", [False, True])
async def test_a_body_that_comes_after_its_head_is_taken_with_it(wrong):
    async with an_api() as api, connection(api) as (reader, writer):
        for deal in range(1, 8):
            head, _, body = a_post(api, event(deal=deal, lots="many" if wrong else "1")).partition(
                b"\r\n\r\n"
            )
            writer.write(head + b"\r\n\r\n")
            await asyncio.sleep(0.01)
            writer.write(body)
            (result,) = await answered(reader, 1)
            assert result["status"] == ("rejected" if wrong else "accepted")
        assert api.serving.counters["answered_the_short_way"] == (0 if wrong else 6)
        assert parsed_requests(api) == [7 if wrong else 1]


async def test_a_head_whose_body_does_not_come_is_not_waited_for_longer_than_another():
    async with an_api() as api, connection(api) as (reader, writer):
        post = a_post(api, event())
        for _ in range(2):
            writer.write(post)
            await answered(reader, 1)
        (connected,) = api.serving._server._open
        writer.write(post[: post.index(b"\r\n\r\n") + 4])
        async with asyncio.timeout(10):
            while not connected.held:
                await asyncio.sleep(0.01)
        now = asyncio.get_running_loop().time()

        assert not connected.is_overdue(now)
        assert connected.is_overdue(now + server.HEAD_WITHIN.total_seconds())


async def test_an_event_that_takes_the_long_way_is_answered_in_its_place():
    async with an_api() as api, connection(api) as (reader, writer):
        for deal, wrong in enumerate(["1", "many", "2", "many"], 1):
            writer.write(a_post(api, event(deal=deal, lots=wrong)))
            (result,) = await answered(reader, 1)
            assert result["status"] == ("rejected" if wrong == "many" else "accepted")
        assert api.serving.counters["answered_the_short_way"] == 2
        assert parsed_requests(api) == [3]  # the first, and both that the parser had to look at after all


async def test_a_key_that_is_revoked_is_refused_though_its_head_is_known():
    async with an_api() as api, connection(api) as (reader, writer):
        secret, key = await api.keys.create("leaver", ["events:write"])
        api.secrets["leaver"] = secret
        for deal in (1, 2):
            writer.write(a_post(api, event(deal=deal), key="leaver"))
            await answered(reader, 1)
        assert parsed_requests(api) == [1]

        await api.keys.revoke(key.id)
        writer.write(a_post(api, event(deal=3), key="leaver"))
        status, _, _ = await an_answer(reader)

    assert status == 401
    assert len(api.rows()) == 2


async def test_pressure_is_told_though_a_head_is_known():
    async with an_api() as api, connection(api) as (reader, writer):
        for deal in (1, 2):
            writer.write(a_post(api, event(deal=deal)))
            await answered(reader, 1)
        api.busy[0] = 3.0
        writer.write(a_post(api, event(deal=3)))

        assert (await an_answer(reader))[0] == 503


async def test_many_connections_events_share_one_call_of_the_log_and_each_gets_its_own_answer():
    calls = []
    async with an_api() as api, AsyncExitStack() as stack:
        plain = api.log.real.append

        async def counted(facts, **more):
            calls.append(len(facts))
            return await plain(facts, **more)

        api.log.real.append = counted
        connections = [await stack.enter_async_context(connection(api)) for _ in range(30)]
        for number, (_, writer) in enumerate(connections, 1):
            writer.write(a_post(api, event(deal=number // 2)))  # every deal from two of them
        results = [(await answered(reader, 1))[0] for reader, _ in connections]

    assert sum(calls) == 30
    assert len(calls) < 30
    assert sorted(result["status"] for result in results) == ["accepted"] * 16 + ["duplicate"] * 14
    assert {result["id"] for result in results} == {row.ref for row in api.rows()}


async def test_one_event_that_the_store_refuses_spoils_no_other():
    async with an_api() as api, AsyncExitStack() as stack:
        plain = api.log.real.append

        async def refusing(facts, **more):
            if any(b'"deal":13,' in bytes(fact.content) for fact in facts):
                raise StoreRefused("thirteen")
            return await plain(facts, **more)

        api.log.real.append = refusing
        connections = [await stack.enter_async_context(connection(api)) for _ in range(20)]
        for number, (_, writer) in enumerate(connections, 1):
            writer.write(a_post(api, event(deal=number)))
        statuses = [(await an_answer(reader))[0] for reader, _ in connections]

    assert statuses == [202] * 12 + [503] + [202] * 7
    assert len(api.rows()) == 19


async def test_a_connection_that_fails_keeps_no_other_waiting(monkeypatch):
    plain, failing = _Connection.answered, []

    def answered(self, answer):
        if not failing:
            failing.append(self)
            raise RuntimeError("a bug")
        plain(self, answer)

    monkeypatch.setattr(_Connection, "answered", answered)
    async with an_api() as api, AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connection(api)) for _ in range(10)]
        for number, (_, writer) in enumerate(connections, 1):
            writer.write(a_post(api, event(deal=number)))
        answers = [asyncio.ensure_future(an_answer(reader)) for reader, _ in connections]
        while sum(answer.done() for answer in answers) < 9:
            await asyncio.sleep(0.01)
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)
        failing[0].transport.abort()


async def test_a_store_that_is_away_is_told_to_all_who_wait_for_it():
    async with an_api() as api, AsyncExitStack() as stack:
        api.log.broken = True
        connections = [await stack.enter_async_context(connection(api)) for _ in range(10)]
        for number, (_, writer) in enumerate(connections, 1):
            writer.write(a_post(api, event(deal=number)))
        answers = [await an_answer(reader) for reader, _ in connections]

    assert {(status, headers["retry-after"]) for status, headers, _ in answers} == {(503, "1")}


async def test_what_follows_an_open_head_is_read_as_part_of_it():
    async with an_api() as api, connection(api) as (reader, writer):
        post = a_post(api, event())
        for _ in range(2):
            writer.write(post)
            await answered(reader, 1)
        assert parsed_requests(api) == [1]
        writer.write(post + b"POST /v1/events HTTP/1.1\r\nX: ")
        await answered(reader, 1)
        writer.write(a_post(api, event(deal=8)))
        await answered(reader, 1)

        assert parsed_requests(api) == [3]


@pytest.mark.parametrize("seed", range(12))
async def test_however_requests_are_cut_they_are_answered_as_if_they_were_parsed(seed, monkeypatch):
    dice = random.Random(seed)
    async with an_api() as api:
        get = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{api.serving.port}\r\n\r\n".encode()

    def stream(api):
        dice.seed(seed)
        kinds = [
            a_post(api, event(deal=deal, **dice.choice([{}, {}, {}, {"lots": "many"}])))
            for deal in range(1, 40)
        ]
        for at in dice.sample(range(39), 4):
            kinds[at] = dice.choice(
                [get, a_post(api, [event(deal=at)]), a_post(api, event(), key=Scope.EVENTS_READ)]
            )
        data, cuts, at = b"".join(kinds), [0], 0
        for kind in kinds:
            if dice.random() < 0.3:
                cuts.append(at + kind.index(b"\r\n\r\n") + 4)  # where its head ends
            at += len(kind)
            cuts.append(at)
        # Mostly where a request ends, sometimes within it, sometimes not at all.
        chosen = {cut for cut in cuts if dice.random() < 0.8} | {
            dice.randrange(len(data)) for _ in range(dice.choice([0, 0, 2]))
        }
        return data, sorted(chosen | {0, len(data)}), len(kinds)

    async def answers():
        async with an_api() as api, connection(api) as (reader, writer):
            data, cuts, count = stream(api)
            found = []
            reading = asyncio.ensure_future(_all(reader, count, found))
            for start, stop in pairwise(cuts):
                writer.write(data[start:stop])
                before = len(found)
                for _ in range(dice.choice([1, 5, 20])):
                    await asyncio.sleep(0)
                    if len(found) > before:
                        break
            await reading
            return found, [(row.ref, row.body) for row in api.rows()], parsed_requests(api)

    fast, rows, parsed_fast = await answers()
    monkeypatch.setattr(_Connection, "_is_idle", False)  # so that the parser sees everything
    slow, same_rows, parsed_slow = await answers()

    assert (fast, rows) == (slow, same_rows)
    assert parsed_fast <= parsed_slow


async def _all(reader, count, found):
    for _ in range(count):
        status, _, body = await an_answer(reader)
        found.append((status, body if status != 202 else json.loads(body)))


async def test_a_known_piece_with_more_behind_it_is_answered_in_order():
    async with an_api() as api:
        posts = [a_post(api, event(deal=deal)) for deal in range(1, 6)]
        async with connection(api) as (reader, writer):
            writer.write(posts[0])
            first = await answered(reader, 1)
            (connected,) = api.serving._server._open
            # Both within one turn of the loop, as two reads of the socket bring them.
            connected.data_received(posts[1])
            connected.data_received(posts[2] + posts[3])
            writer.write(posts[4])
            others = await answered(reader, 4)

        assert [result["id"] for result in first + others] == [row.ref for row in api.rows()]


async def test_who_hangs_up_before_its_turn_hurts_nobody():
    async with an_api() as api:
        async with connection(api) as (reader, writer):
            writer.write(a_post(api, event(deal=1)))
            await answered(reader, 1)
            (connected,) = api.serving._server._open
            connected.data_received(a_post(api, event(deal=2)))
            connected.data_received(b"")
            connected.transport.abort()
        async with connection(api) as (reader, writer):
            writer.write(a_post(api, event(deal=1)))
            await answered(reader, 1)
            (connected,) = api.serving._server._open
            connected.data_received(a_post(api, event(lots="many")))
            connected.transport.abort()
            connected.connection_lost(None)
        ((status, _, _),) = await told(api, a_post(api, event(deal=3)))

    assert status == 202
