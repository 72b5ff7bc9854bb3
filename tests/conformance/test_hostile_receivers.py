"""Twenty kinds of receivers that mean harm, 200 deliveries to each at once, over real sockets.

Whatever they do, an attempt is over in time, costs a bounded amount of memory, and is an outcome.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import yarl
from conformance import hostile

from hub.clock import SystemClock
from hub.dispatch import line
from hub.dispatch.attempt_record import MOST_BYTES, MOST_HEADERS
from hub.dispatch.delivery import Delivered, Refused, Unreachable
from hub.dispatch.line import KEEP
from hub.dispatch.safe_http import AiohttpTransport, base_headers

EACH = 200
DEADLINE = timedelta(seconds=2)
AMPLE = timedelta(seconds=30)  # for those that are cut off long before, on a machine that is busy as well
MOST_CPU = 0.02  # seconds an attempt, whatever is sent
GRACE = 3.0  # of a machine that does something else as well; the deadline itself is exact
TLS = Path(__file__).parents[1] / "vectors" / "tls"
MOST_GROWTH = 48.0  # MiB, for 200 answers at once
OF_TLS = 64.0  # the event loop's own buffers, 256 KiB a connection
# What may be in flight on loopback for a connection whose reader has stopped, in its sockets' buffers.
MOST_SENT = 12_000_000

EXPECTED = {
    "slow_headers": {"timeout"},
    "slow_body": {"timeout"},
    "huge_body": {"200"},
    "endless_body": {"200"},
    "gzip_bomb": {"200"},
    "reset": {"connect"},
    "reset_in_the_body": {"body", "connect"},
    "half_close": {"connect", "timeout"},
    "short_body": {"body"},
    "two_lengths": {"body"},
    "continue_flood": {"body"},
    "hints_flood": {"body"},
    "redirect": {"307"},
    "endless_headers": {"body"},
    "endless_line": {"body"},
    "garbage": {"body"},
    "silence": {"timeout"},
    "early_close": {"connect"},
    "bad_tls": {"tls"},
    "untrusted": {"tls"},
}


class Town:
    def __init__(self, process):
        self._process = process
        self.ports = {}

    async def ready(self):
        line = await asyncio.wait_for(self._process.stdout.readline(), 30)
        self.ports = json.loads(line.partition(b" at ")[2])

    def url(self, name):
        scheme = "https" if name in {"bad_tls", "untrusted"} else "http"
        return yarl.URL(f"{scheme}://127.0.0.1:{self.ports[name]}/hook")

    async def counts(self, name):
        self._process.stdin.write(f"{name}\n".encode())
        return Counter(json.loads(await asyncio.wait_for(self._process.stdout.readline(), 30)))


@pytest.fixture
async def town():
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        hostile.__file__,
        str(TLS / "localhost.crt"),
        str(TLS / "localhost.key"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        town = Town(process)
        await town.ready()
        yield town
    finally:
        process.kill()
        await process.wait()


def peak_from_here():
    """Begin to measure this process's highest resident memory, and return how it stands, in MiB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return resident("VmRSS")


def resident(name):
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def in_short(outcome):
    match outcome:
        case Delivered(status) | Refused(status):
            return str(status)
        case Unreachable(error):
            return error.value
        case _:
            return type(outcome).__name__


async def crowd(town, name, each=EACH, deadline=DEADLINE):
    """Send to one of them, 200 at once; return the outcomes and the slowest attempt's seconds."""
    slowest = 0.0

    async def one():
        nonlocal slowest
        started = time.perf_counter()
        outcome = await sending.send(town.url(name), base_headers(), b'{"id":"evt_1"}')
        slowest = max(slowest, time.perf_counter() - started)
        return outcome

    async with (
        AiohttpTransport(SystemClock(), deadline=deadline, allow_loopback=True) as sending,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(one()) for _ in range(each)]
    return [task.result() for task in tasks], slowest


def test_there_is_something_to_expect_of_everybody():
    assert EXPECTED.keys() == {*hostile.BEHAVIOURS, "bad_tls", "untrusted"}
    assert len(EXPECTED) >= 14


@pytest.mark.parametrize("name", EXPECTED)
async def test_a_hostile_receiver_costs_a_bounded_time_and_memory(town, name):
    before = peak_from_here()

    deadline = DEADLINE if "timeout" in EXPECTED[name] else AMPLE
    cpu = time.process_time()

    outcomes, slowest = await crowd(town, name, deadline=deadline)

    used = time.process_time() - cpu
    growth = resident("VmHWM") - before
    counts = await town.counts(name)
    assert len(outcomes) == EACH
    assert {in_short(outcome) for outcome in outcomes} <= EXPECTED[name]
    assert slowest <= deadline.total_seconds() + GRACE
    assert used <= EACH * MOST_CPU
    assert growth <= MOST_GROWTH + (OF_TLS if town.url(name).scheme == "https" else 0)
    assert counts["bytes"] <= EACH * MOST_SENT
    # A connection that ends without an answer may have been a kept one: the same id once more, and never a third time.
    fewest = 0 if name == "untrusted" else EACH  # nobody is let in there
    assert fewest <= counts["connections"] <= 2 * EACH
    for outcome in outcomes:
        assert len(getattr(outcome, "response", b"")) <= KEEP
        assert outcome.seen is not None
        assert len(outcome.seen.headers) <= MOST_HEADERS
        assert sum(len(n) + len(v) for n, v in outcome.seen.headers) <= MOST_BYTES


async def test_a_compressed_answer_is_kept_as_it_came(town):
    outcomes, _ = await crowd(town, "gzip_bomb", deadline=AMPLE)

    assert {outcome.response for outcome in outcomes} == {hostile.BOMB[:KEEP]}


FAR = 10**9


@pytest.mark.parametrize(
    ("name", "guards"),
    [
        ("continue_flood", [(line, "MOST_INFORMATIONAL")]),
        ("endless_headers", [(line, "MOST_HEADERS")]),
        ("endless_body", [(line, "READ_AT_MOST")]),
    ],
)
async def test_without_its_guards_a_receiver_is_listened_to_till_the_deadline(
    town, name, guards, monkeypatch
):
    """The bounds above are worth something: with a receiver's guards gone it is answered differently."""
    for module, guard in [*guards, (line, "MOST_RECEIVED")]:
        monkeypatch.setattr(module, guard, FAR)

    outcomes, _ = await crowd(town, name, each=2)

    assert {in_short(outcome) for outcome in outcomes} == {"timeout"}


async def test_all_that_is_said_counts_towards_what_is_listened_to(town, monkeypatch):
    """A body of single bytes in chunks of their own is cut by what it takes to send it, not by what it comes to."""
    monkeypatch.setattr(line, "READ_AT_MOST", FAR)

    outcomes, slowest = await crowd(town, "endless_body", each=2, deadline=AMPLE)

    assert {in_short(outcome) for outcome in outcomes} == {"200"}
    assert slowest < AMPLE.total_seconds()
