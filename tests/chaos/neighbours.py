"""How much of the machine others take while something is measured: a promise in seconds is one of a machine that is there."""

import os
import time
from pathlib import Path

from bench.measure import cpu_seconds

_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE = slice(3, 5)  # idle, and waiting for a disk
_GUEST = 8  # from here on, what is counted among the others already


class Neighbours:
    """Begins to measure when it is made; `pid` is who is measured, beside this process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began, self._busy = time.monotonic(), self._others()

    def share(self) -> float:
        """Return the share of all cores that neither of the two had since then."""
        seconds = time.monotonic() - self._began
        return max((self._others() - self._busy) / (seconds * (os.cpu_count() or 1)), 0.0)

    def _others(self) -> float:
        line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
        ticks = [int(each) for each in line.split()[1:]][:_GUEST]
        busy = (sum(ticks) - sum(ticks[_IDLE])) / _TICKS
        return busy - cpu_seconds(self._pid) - cpu_seconds(os.getpid())
