"""A connection's side of an exchange, without a socket: what is believed of what arrives, in whatever pieces."""

import asyncio
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp.http import HttpProcessingError

from hub.clock import ManualClock
from hub.dispatch.answer import Answer
from hub.dispatch.line import KEEP, READ_AT_MOST, Familiar, Line, OutOfTurn

CLOCK = ManualClock(datetime(2026, 6, 23, tzinfo=UTC))
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
SHORT = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"
HINTED = b"HTTP/1.1 103 Early Hints\r\nLink: y\r\n\r\n" + SHORT


class Wire(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.written, self.closed = [], False

    def write(self, data):
        self.written.append(data)

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True


class Heard(Answer):
    def __init__(self):
        self.problems = []

    def over(self, problem, at):
        self.problems.append(problem)

    @property
    def said(self):
        return self.status, dict(self.headers), self.raw, self.kept


class House:
    """Lines of one process, with what is kept of them."""

    def __init__(self):
        self.familiar, self.lines, self.kept = Familiar(), set(), []

    def line(self):
        line, wire = Line(CLOCK, self.lines, self.familiar), Wire()
        line.connection_made(wire)
        line.keep = self.kept.append
        return line, wire

    def asked(self, *pieces, line=None):
        line = line or self.line()[0]
        answer = Heard()
        line.ask(b"POST", answer)
        for piece in pieces:
            line.data_received(piece)
        return answer


@pytest.mark.parametrize("said", [EMPTY, SHORT, CHUNKED, HINTED], ids=["204", "short", "chunked", "hinted"])
async def test_an_answer_is_the_same_in_whatever_pieces_it_comes(said):
    house = House()
    whole = house.asked(said)
    assert whole.problems == [None]
    assert whole.status in {200, 204}
    assert whole.kept in {b"ok", b""}

    again = house.asked(said)
    for at in range(1, len(said)):
        pieces = House().asked(said[:at], said[at:])
        assert (pieces.problems, pieces.said) == ([None], whole.said)
    one_by_one = House().asked(*[said[at : at + 1] for at in range(len(said))])

    assert (again.problems, again.said) == (one_by_one.problems, one_by_one.said) == ([None], whole.said)
    assert len(house.kept) == 2


async def test_a_kept_connection_answers_again_and_again_and_otherwise():
    house = House()
    line, wire = house.line()

    said = [house.asked(text, line=line).said[0::3] for text in (SHORT, EMPTY, CHUNKED, SHORT, EMPTY)]

    assert said == [(200, b"ok"), (204, b""), (200, b"ok"), (200, b"ok"), (204, b"")]
    assert house.kept == [line] * 5
    assert not wire.closed


@pytest.mark.parametrize("said", [EMPTY, SHORT, CHUNKED], ids=["204", "short", "chunked"])
@pytest.mark.parametrize(
    "more", [b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 9", EMPTY, b"HTTP/1.1 103 Hints\r\n\r\n"]
)
async def test_the_beginning_of_another_answer_ends_the_connection_and_is_not_learnt(said, more):
    house = House()
    for _ in range(2):
        line, wire = house.line()
        answer = house.asked(said + more, line=line)

        assert answer.problems == [None]
        assert answer.status in {200, 204}
        assert (house.kept, wire.closed, line.may_be_asked()) == ([], True, False)
    assert house.familiar.get(said + more) is None


async def test_what_arrives_unasked_ends_the_connection():
    house = House()
    fresh, fresh_wire = house.line()
    kept, kept_wire = house.line()
    house.asked(EMPTY, line=kept)
    fresh.data_received(b"220 mail.example.com ESMTP\r\n")
    kept.data_received(EMPTY)

    for line, wire in ((fresh, fresh_wire), (kept, kept_wire)):
        assert wire.closed
        assert not line.may_be_asked()
        with pytest.raises(OutOfTurn):
            line.ask(b"POST", Heard())
    assert fresh_wire.written == []


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
    ids=["close", "1.0", "101"],
)
async def test_a_connection_is_kept_only_when_it_goes_on_and_nothing_is_left_in_it(said):
    house = House()
    for _ in range(2):
        line, wire = house.line()
        assert house.asked(said, line=line).problems == [None]
        assert wire.closed
        assert not line.may_be_asked()
    assert house.kept == []


async def test_an_answer_without_a_length_ends_with_its_connection():
    house = House()
    line, _ = house.line()
    answer = house.asked(b"HTTP/1.1 200 OK\r\n\r\nall", b" of it", line=line)
    assert answer.problems == []

    line.connection_lost(None)

    assert (answer.problems, answer.kept, house.kept, house.lines) == ([None], b"all of it", [], set())


@pytest.mark.parametrize(
    ("pieces", "lost", "problem", "status"),
    [
        ([], None, aiohttp.ServerDisconnectedError, None),
        ([], ConnectionResetError(104, "reset"), aiohttp.ClientOSError, None),
        ([b"HTTP/1.1 2"], None, aiohttp.ServerDisconnectedError, None),
        ([SHORT[:-1]], None, aiohttp.ClientPayloadError, 200),
        ([CHUNKED[:-3]], ConnectionResetError(104, "reset"), aiohttp.ClientPayloadError, 200),
        ([b"SSH-2.0-OpenSSH_9.0\r\n"], None, HttpProcessingError, None),
        ([CHUNKED[:-10], b"zz\r\nrubbish"], None, HttpProcessingError, 200),
    ],
)
async def test_whoever_asked_is_told_once_what_went_wrong(pieces, lost, problem, status):
    house = House()
    line, _ = house.line()
    answer = house.asked(*pieces, line=line)
    line.connection_lost(lost)

    assert [type(each) for each in answer.problems] == [problem]
    assert answer.status == status
    assert house.kept == []


async def test_of_a_long_body_the_first_part_is_kept_and_the_rest_is_not_waited_for():
    house = House()
    line, wire = house.line()
    answer = house.asked(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", line=line)
    for _ in range(READ_AT_MOST // 16_384 + 1):
        line.data_received(b"x" * 16_384)

    assert (answer.problems, answer.status, answer.kept) == ([None], 200, b"x" * KEEP)
    assert wire.closed


async def test_whoever_hung_up_is_not_told():
    house = House()
    line, wire = house.line()
    answer = house.asked(SHORT[:10], line=line)

    line.hang_up()
    line.data_received(SHORT[10:])
    line.connection_lost(None)

    assert answer.problems == []
    assert wire.closed


async def test_no_more_is_remembered_than_is_worth_it():
    house = House()
    line, _ = house.line()
    for n in range(2_000):
        house.asked(b"HTTP/1.1 200 OK\r\nX-Id: %d\r\nContent-Length: 0\r\n\r\n" % n, line=line)
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2_000
    house.asked(long, line=line)

    assert house.familiar.get(long) is None
    assert len(house.familiar) <= 512
