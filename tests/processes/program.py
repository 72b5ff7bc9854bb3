"""A real program under test: started, watched through its log file, asked to stop, or killed."""

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from processes.preloaded import Preloaded, start

_LOOK_AGAIN = 0.01


class ProgramFailed(AssertionError):
    """Says which program, what it was expected to do, and how its log ends."""


async def eventually(true: Callable[[], bool], *, within: float, what: str) -> None:
    """Return once `true` holds; raises AssertionError naming `what` when it does not in time."""
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"within {within:g} s it did not happen that {what}")
        await asyncio.sleep(_LOOK_AGAIN)


class Program:
    """Output goes to a file: nothing has to be read for the program to go on, and a killed one leaves its log."""

    def __init__(
        self, command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = list(command)
        self._log = log
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._process: subprocess.Popen[bytes] | Preloaded | None = None
        self._log_start = 0
        self._may_be_over = False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        """Return what this start of the program has written so far."""
        return self._log.read_bytes()[self._log_start :].decode(errors="replace")

    async def start(self, ready: str, *, within: float = 20.0) -> re.Match[str]:
        """Start it and return the match of the line that says it is ready."""
        assert not self.running
        self._may_be_over = True  # until it is ready: whoever starts it hears of it here
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            # Its own session: a Ctrl-C at the terminal reaches the test alone, which then stops it in order.
            # Starting takes a millisecond, and bench uses any loop.
            self._process = start(self._command, self._environment, log, log)
        pattern = re.compile(ready, re.MULTILINE)
        deadline = time.monotonic() + within
        while True:
            found = pattern.search(self.output())
            if found:
                self._may_be_over = False
                return found
            if not self.running:
                raise ProgramFailed(self.story(f"ended with {self._process.returncode} before it was ready"))
            if time.monotonic() > deadline:
                await self.kill()
                raise ProgramFailed(self.story(f"was not ready within {within:g} s"))
            await asyncio.sleep(_LOOK_AGAIN)

    async def stop(self, *, within: float = 10.0) -> int:
        """Ask it to stop with SIGTERM and return its exit code; one that does not is killed and told of."""
        assert self._process is not None
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        if not await self._ended(within):
            await self.kill()
            raise ProgramFailed(self.story(f"did not stop within {within:g} s of SIGTERM"))
        return self._process.wait()

    async def kill(self) -> None:
        """End it with SIGKILL, as a crash would: nothing it has in memory survives."""
        assert self._process is not None
        self._may_be_over = True
        self._process.kill()
        await self._ended(5.0)
        self._process.wait()

    def insist(self) -> None:
        """Raise when it ended without being told to, with its last words."""
        if self._process is not None and not self.running and not self._may_be_over:
            raise ProgramFailed(self.story(f"ended by itself with {self._process.returncode}"))

    async def _ended(self, within: float) -> bool:
        deadline = time.monotonic() + within
        while self.running:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_AGAIN)
        return True

    def story(self, what: str) -> str:
        """Return what became of it, with its last words."""
        tail = "\n".join(self.output().splitlines()[-40:])
        return f"{' '.join(self._command)} {what}; its log ends:\n{tail}"
