"""A program that runs on after the command that started it: found in the list of processes, signalled, ended.

What runs is never read from a file, which a crash would leave wrong.
"""

# ruff: noqa: S603 (the programs are the user's own, found through PATH as a shell would)
# ruff: noqa: TID251 (this stands outside the hub, and no test moves its clock)

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Below the range from which Linux and macOS take the near end of outgoing connections: nothing sits on the port of a
# service while it is down, not even a client that in trying to reach it connects to itself.
PORTS = range(20_000, 32_000)


class Trouble(Exception):
    """One sentence: what is wrong and what to do about it."""


class Missing(Trouble):
    """Something is not installed here."""


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    parent: int
    command: str


def processes() -> list[Process]:
    """Return what runs; a process that is over and only waits for its parent to notice is not among it."""
    listing = finish(["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="], install="procps")
    rows = (line.split(None, 3) for line in listing.splitlines())
    return [Process(int(r[0]), int(r[1]), r[3]) for r in rows if len(r) == 4 and not r[2].startswith("Z")]


def finish(command: Sequence[str], *, install: str, account: str | None = None, told: str = "") -> str:
    """Run a program to its end and return what it says."""
    group = pwd.getpwnam(account).pw_gid if account else None
    groups: list[int] | None = [] if account else None
    try:
        done = subprocess.run(
            command, input=told, capture_output=True, text=True, check=False, cwd="/",
            user=account, group=group, extra_groups=groups, start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise Missing(f"{command[0]} is not in PATH: install {install}") from error
    if done.returncode != 0:
        words = " / ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-5:])
        raise Trouble(f"{Path(command[0]).name} ended with {done.returncode}: {words or 'it said nothing'}")
    return done.stdout


def launch(command: Sequence[str], log: Path, *, install: str, account: str | None = None) -> None:
    """Start a program that outlives us: a shell starts it and ends, so it is no child of ours to be waited for."""
    if shutil.which(command[0]) is None:
        raise Missing(f"{command[0]} is not in PATH: install {install}")
    script = 'umask 077; exec </dev/null >>"$0" 2>&1; "$@" &'
    finish(["sh", "-c", script, str(log), *command], install="a shell", account=account)


def exists(pid: int) -> bool:
    """Return whether there is such a process, be it one that is over and that its parent has not noticed yet."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # or one of somebody else's, that has got its number since
        return False
    return True


def wait_until(true: Callable[[], bool], *, within: float) -> bool:
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: what an earlier one left half closed is no reason to refuse.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    found: set[int] = set()
    for _ in range(1000):
        if len(found) == count:
            return sorted(found)
        found |= {port for port in (secrets.choice(PORTS),) if is_free(port)}
    raise Trouble(
        f"{count} free ports from {PORTS.start} to {PORTS.stop} were not found: end what takes so many"
    )


def make_folder(folder: Path, mode: int) -> None:
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise Trouble(
            f"{folder} cannot be made ({error.strerror}): choose another folder with --dir"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Trouble(f"{folder} is not writable for this user: choose another folder with --dir")


@dataclass(frozen=True)
class Service:
    """A program with a folder and a port. Nothing here is an error because it was done before."""

    folder: Path
    port: int
    name = "service"
    ending = " {folder}"  # how its command line ends, and that of no other process
    stop_signal = signal.SIGTERM
    instead = "another folder with --dir"  # what to do when its port is taken

    @property
    def process(self) -> Process | None:
        """The running service itself, not a child it has forked a moment ago that still looks like it."""
        ending = self.ending.format(folder=self.folder)
        found = [process for process in processes() if process.command.endswith(ending)]
        return next((each for each in found if each.parent not in {other.pid for other in found}), None)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def stop(self, *, within: float = 15.0) -> None:
        """Ask it to stop in order, and wait until it has; one that does not is killed."""
        self.resume()
        process = self.process
        if process is not None:
            signal_all([process.pid], self.stop_signal)
            if not wait_until(lambda: not exists(process.pid), within=within):
                self.kill()

    def kill(self) -> None:
        """End all of it at once, as a crash would: nothing it has in memory survives."""
        pids = self._halted()
        signal_all(pids, signal.SIGKILL)
        # Not merely over but gone: what has many threads holds its port until the last of them has ended.
        if wait_until(lambda: not any(exists(pid) for pid in pids), within=10.0):
            return
        if {each.pid for each in processes()} & {*pids}:
            raise Trouble(f"{self.name} was killed but does not end: look at the processes {pids}")

    def pause(self) -> None:
        """Stop it where it stands: its connections stay open, and nothing answers."""
        if not self._halted():
            raise Trouble(f"{self.name} in {self.folder} does not run: start it first")

    def resume(self) -> None:
        signal_all(self.family(), signal.SIGCONT)

    def family(self) -> list[int]:
        # PostgreSQL gives every connection a child with a session of its own: there is no group to send a signal to.
        process = self.process
        if process is None:
            return []
        return [process.pid, *(child.pid for child in processes() if child.parent == process.pid)]

    def _halted(self) -> list[int]:
        # The parent first, so that it has no more children when they are counted.
        process = self.process
        signal_all([process.pid] if process else [], signal.SIGSTOP)
        pids = self.family()
        signal_all(pids, signal.SIGSTOP)
        return pids

    def insist_free(self, port: int) -> None:
        if not is_free(port):
            raise Trouble(
                f"port {port} of 127.0.0.1, kept for {self.name} in {self.folder}, is taken by another program:"
                f" end that, or choose {self.instead}"
            )

    def insist_ready(self, ready: Callable[[], bool], *, within: float) -> None:
        process = self.process

        def over() -> bool:
            return process is None or not exists(process.pid)

        if wait_until(lambda: ready() or over(), within=within) and ready():
            return
        what = "ended before it answered" if over() else f"did not answer within {within:g} s"
        self.kill()
        words = " / ".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-4:])
        raise Trouble(f"{self.name} in {self.folder} {what}; its log ends: {words}")


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        except PermissionError as error:
            raise Trouble(f"process {pid} was started by another user: do this as that one") from error
