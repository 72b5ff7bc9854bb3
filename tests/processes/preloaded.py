"""Starts the hub without waiting for its imports: see nursery.py, which has them behind it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

HUB = str(Path(sys.executable).with_name("hub"))
_NURSERY = Path(__file__).with_name("nursery.py")
# What an interpreter looks at before anything is imported: whoever sets it gets one of its own.
_INTERPRETERS_OWN = "PYTHON"


class Preloaded:
    """A hub that was forked; it is asked and told what a Popen is."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self._heard = b""
        self.returncode: int | None = None
        self._hear(30.0, lines=1)
        self.pid = int(self._heard.split(b"\n")[0])

    def poll(self) -> int | None:
        with contextlib.suppress(BlockingIOError):
            self._hear(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        try:
            self._hear(timeout)
        except TimeoutError:
            raise subprocess.TimeoutExpired(HUB, timeout or 0.0) from None
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended since
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _hear(self, within: float | None, *, lines: int = 2) -> None:
        """Read on until its keeper has said so many lines: its number, and what it ended with."""
        if self.returncode is not None:
            return
        self._told.settimeout(within)
        while self._heard.count(b"\n") < lines:
            more = self._told.recv(64)
            assert more, "the keeper of a hub was killed: nobody knows how it ends"
            self._heard += more
        if lines == 2:
            self.returncode = int(self._heard.split(b"\n")[1])
            self._told.close()


class _Nursery:
    """At most one, of the process that runs the tests: begun by who needs it first, ended with that process."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._door: socket.socket | None = None
        self.can_fork = sys.platform == "linux"
        self.is_open = False

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Fork the hubs that are started meanwhile."""
        before, self.is_open = self.is_open, self.can_fork
        try:
            yield
        finally:
            self.is_open = before

    def fork(
        self, command: Sequence[str], environment: Mapping[str, str], output: IO[Any], errors: IO[Any]
    ) -> Preloaded:
        asked = {"command": list(command), "environment": dict(environment), "folder": str(Path.cwd())}
        ours, theirs = socket.socketpair()
        with theirs, self._turn:
            socket.send_fds(
                self._entrance(),
                [json.dumps(asked).encode()],
                [output.fileno(), errors.fileno(), theirs.fileno()],
            )
        return Preloaded(ours)

    def _entrance(self) -> socket.socket:
        if self._door is None:
            self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, str(_NURSERY), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        return self._door

    def close(self) -> None:
        with self._turn:
            if self._door is not None and self._process is not None:
                self._door.close()
                self._process.wait()
                self._door = self._process = None


nursery = _Nursery()


def start(
    command: Sequence[str], environment: Mapping[str, str], output: IO[Any], errors: IO[Any]
) -> "subprocess.Popen[bytes] | Preloaded":
    """Start a command, in a session of its own; the hub without its imports, while the nursery is open.

    What somebody says to the interpreter itself, or where it is not Linux, begins with the interpreter.
    """
    if nursery.is_open and command[0] == HUB and _same_interpreter(environment):
        return nursery.fork(command, environment, output, errors)
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env=environment,
        start_new_session=True,
    )


def _same_interpreter(environment: Mapping[str, str]) -> bool:
    said, here = (
        {name: value for name, value in each.items() if name.startswith(_INTERPRETERS_OWN)}
        for each in (environment, os.environ)
    )
    said.pop("PYTHONUNBUFFERED", None), here.pop("PYTHONUNBUFFERED", None)
    return said == here
