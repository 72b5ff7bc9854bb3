"""What becomes of a message whose process does not do what it is there for."""

import sys
from datetime import timedelta

import pytest

from hub.dispatch.channels.chat_processes import ChatProcesses, Cut, NeverBegun
from hub.dispatch.channels.chat_wire import Begun, Done, Order, encode_line

ORDER = Order("json://a", "", "x", urgent=False, seconds=20, allow_loopback=False, networks=())
BEGUN, DONE = (encode_line(line).decode() for line in (Begun(), Done(taken=True)))


def a_process(*says: str) -> ChatProcesses:
    """Return one whose processes answer an order with these lines and end."""
    program = f"import sys\nsys.stdin.readline()\nfor line in {says!r}: print(line, flush=True)"
    return ChatProcesses(1, (sys.executable, "-S", "-E", "-c", program))


@pytest.mark.parametrize("says", [(), ("no line of ours",), ('{"type":"other"}',)])
async def test_one_that_ends_before_it_asks_anybody_has_sent_nothing(says: tuple[str, ...]) -> None:
    with pytest.raises(NeverBegun):
        await a_process(*says).send(ORDER, timedelta(seconds=20))


@pytest.mark.parametrize("says", [(BEGUN,), (BEGUN, "no line of ours")])
async def test_of_one_that_ends_while_it_asks_nobody_knows(says: tuple[str, ...]) -> None:
    with pytest.raises(Cut):
        await a_process(*says).send(ORDER, timedelta(seconds=20))


async def test_one_that_hangs_is_killed() -> None:
    program = f"import sys, time\nsys.stdin.readline()\nprint({BEGUN!r}, flush=True)\ntime.sleep(600)"
    processes = ChatProcesses(1, (sys.executable, "-S", "-E", "-c", program))

    with pytest.raises(Cut, match=r"no end within 0\.125 s"):
        await processes.send(ORDER, timedelta(seconds=0.1))


async def test_one_that_cannot_be_started_has_sent_nothing() -> None:
    with pytest.raises(NeverBegun, match="FileNotFoundError"):
        await ChatProcesses(1, ("/nowhere/python",)).send(ORDER, timedelta(seconds=20))


async def test_one_that_did_its_work_is_there_for_the_next_message() -> None:
    program = f"import sys\nfor line in sys.stdin: print({DONE!r}, flush=True)"
    processes = ChatProcesses(1, (sys.executable, "-S", "-E", "-c", program))

    pids = set()
    for _ in range(3):
        await processes.send(ORDER, timedelta(seconds=20))
        pids.add(processes._idle[0][0].pid)

    assert len(pids) == 1
    await processes.close()
