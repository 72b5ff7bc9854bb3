"""One endpoint's slow template holds up that endpoint, and nobody else."""

import asyncio
import threading
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from hub.clock import ManualClock
from hub.dispatch.formats import NotShaped
from hub.dispatch.workshop import RESTS, SLOW, SLOW_FOR, Workshop
from hub.testing import MORNING

BURN = 0.1


class Bench:
    """Formers that say what they cost; `done` has who was served, in order."""

    def __init__(self):
        self.clock = ManualClock(MORNING)
        self.used = threading.local()
        self.workshop = Workshop(self.clock, spent=lambda: getattr(self.used, "seconds", 0.0))
        self.done = []
        self.threads = {}

    def former(self, name, cost=0.0001, gate=None):
        bench = self

        class Former:
            content_type = "text/plain"

            def form(self, body):
                if gate is not None:
                    gate.wait(30)
                bench.used.seconds = getattr(bench.used, "seconds", 0.0) + cost
                bench.threads.setdefault(name, []).append(threading.current_thread().name)
                bench.done.append(name)
                if body == b"bad":
                    raise NotShaped("it cannot be filled in")
                return name.encode() + body

        return Former()

    def form(self, group, name, former, body=b"!"):
        return group.create_task(self.workshop.form(name, former, body))


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.workshop.close()


async def test_twenty_healthy_endpoints_go_on_while_one_burns_its_tenth_of_a_second_each_time(bench):
    slow = bench.former("slow", BURN)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        burning = [bench.form(group, "slow", slow) for _ in range(16)]  # all its connections, and first
        healthy = [
            bench.form(group, name, bench.former(name))
            for name in (f"ep_{number}" for number in range(20))
            for _ in range(10)
        ]
        await asyncio.wait(healthy)

        # The first showed what they are, and another may have begun apart; the rest wait for their thread to have rested.
        assert bench.done.count("slow") <= 2
        assert {task.result() for task in healthy} == {f"ep_{number}!".encode() for number in range(20)}

        while not all(task.done() for task in burning):  # and they come to their end
            await bench.clock.advance(timedelta(seconds=RESTS * BURN))
            await asyncio.sleep(0)
    assert bench.done.count("slow") == 16
    assert bench.threads["slow"][0].startswith("transforms")
    assert all(name.startswith("slow-transforms") for name in bench.threads["slow"][1:])


async def test_the_slow_ones_rest_between_two_so_that_the_hub_gets_its_turn(bench):
    slow = bench.former("slow", BURN)
    await bench.workshop.form("slow", slow, b"")
    await bench.workshop.form("slow", slow, b"")
    async with asyncio.TaskGroup() as group:
        third = bench.form(group, "slow", slow)
        await bench.clock.advance(timedelta(seconds=RESTS * BURN - 0.01))
        assert (len(bench.done), third.done()) == (2, False)
        await bench.clock.advance(timedelta(seconds=0.02))
        await third
    assert len(bench.done) == 3


async def test_who_is_quick_again_comes_back_to_the_others_after_a_while(bench):
    with capture_logs() as lines:
        await bench.workshop.form("ep", bench.former("ep", SLOW), b"")
        await bench.workshop.form("ep", bench.former("ep", SLOW / 2), b"")
        await bench.clock.advance(timedelta(seconds=SLOW_FOR))
        await bench.workshop.form("ep", bench.former("ep", SLOW / 2), b"")

    assert [name.partition("_")[0] for name in bench.threads["ep"]] == [
        "transforms",
        "slow-transforms",
        "transforms",
    ]
    (line,) = lines
    assert (line["event"], line["endpoint"], line["cpu_ms"]) == ("endpoint.transform_slow", "ep", 20.0)


async def test_endpoints_take_turns_however_many_of_one_wait(bench):
    gate = threading.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        bench.form(group, "first", bench.former("first", gate=gate))
        await asyncio.sleep(0)
        for name in ("busy", "busy", "busy", "calm", "quiet"):
            bench.form(group, name, bench.former(name))
        await asyncio.sleep(0)
        gate.set()
    assert bench.done == ["first", "busy", "calm", "quiet", "busy", "busy"]


async def test_one_that_fails_or_is_not_wanted_any_more_passes_its_turn_on(bench):
    gate = threading.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        bench.form(group, "first", bench.former("first", gate=gate))
        await asyncio.sleep(0)
        gone = bench.form(group, "gone", bench.former("gone"))
        bad = group.create_task(failing(bench))
        last = bench.form(group, "last", bench.former("last"))
        await asyncio.sleep(0)
        gone.cancel()
        gate.set()
        assert await last == b"last!"
        assert await bad == "it cannot be filled in"
    assert bench.done == ["first", "bad", "last"]


async def failing(bench):
    with pytest.raises(NotShaped) as raised:
        await bench.workshop.form("bad", bench.former("bad"), b"bad")
    return str(raised.value)
