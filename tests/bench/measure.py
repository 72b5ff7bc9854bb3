"""What a process used, read from the kernel, and the little arithmetic the figures need."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_QUIET_LOOK = 0.1
_CORES = sorted(os.sched_getaffinity(0))


def cpu_seconds(pid: int, *, children: bool = False) -> float:
    """Return user and system time of a process with all its threads, in steps of 10 ms; of children, those that are over."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    return sum(int(field) for field in fields[11 : 15 if children else 13]) / _TICKS


class Memory(NamedTuple):
    """Resident, in MiB: now, and at its highest."""

    now: float
    peak: float


def memory(pid: int | Literal["self"]) -> Memory:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return Memory(*(int(found[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")))


@contextmanager
def load_apart(*pids: int) -> Iterator[None]:
    """Keep this process and those it is given to another core than what is measured, where there are several.

    A thread that moves between cores finds cold caches there. That is the scheduler's doing, and made figures of the
    same code differ by a third from run to run.
    """
    for pid in (0, *pids):
        _keep_to(_CORES[-1:], pid)
    try:
        yield
    finally:
        _keep_to(_CORES, 0)


def measured_here(pid: int) -> None:
    """Keep what is measured to a core that `load_apart` leaves to it."""
    _keep_to(_CORES[:1], pid)


def _keep_to(cores: Sequence[int], pid: int) -> None:
    for thread in Path(f"/proc/{pid or 'self'}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


async def idle(pid: int, *, within: float = 30.0) -> None:
    """Return when a process has stopped working: three looks in a row find less than 2 % of a core."""
    quiet, before = 0, cpu_seconds(pid)
    for _ in range(int(within / _QUIET_LOOK)):
        await asyncio.sleep(_QUIET_LOOK)
        now = cpu_seconds(pid)
        quiet = quiet + 1 if now - before < 0.011 else 0
        before = now
        if quiet == 3:
            return
    raise AssertionError(f"process {pid} did not come to rest within {within:g} s")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value at or below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def middle(values: Sequence[float]) -> float:
    return float(median(values))
