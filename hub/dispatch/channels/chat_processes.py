"""The processes messages to teams are sent from: a few, started when there is something to send, and killed when it takes too long."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final, final

import msgspec

from hub.dispatch.channels.chat_wire import LONGEST_LINE, Begun, Done, Order, decode_line, encode_order

IDLE_SECONDS: Final = 60.0
START_SECONDS: Final = 30.0  # until it asks its service, with a library to load on a machine that is busy
_GRACE: Final = 1.25  # the process has bounds of its own, and says more than a killed one
_COMMAND: Final = (sys.executable, "-m", "hub.dispatch.channels.chat_child")
_PASSED_ON: Final = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")


class NeverBegun(Exception):
    """Nothing of the message left this machine; the text says why, and holds nothing of it."""


class Cut(Exception):
    """It had begun and was ended: nobody knows whether it was taken."""


@final
class ChatProcesses:
    """A process is taken for one message at a time, and kept for a while for the next."""

    def __init__(self, most: int, command: Sequence[str] = _COMMAND) -> None:
        self._command = command
        self._room = asyncio.Semaphore(most)
        self._idle: list[tuple[asyncio.subprocess.Process, asyncio.TimerHandle]] = []

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """Wait until there is a process for a message."""
        async with self._room:
            yield

    async def send(self, order: Order, within: timedelta) -> Done:
        """Have a message sent, inside `room`. Raises NeverBegun or Cut."""
        process = await self._one()
        talk = _Talk(process)
        seconds = within.total_seconds() * _GRACE
        try:
            async with asyncio.timeout(START_SECONDS) as deadline:
                return await talk.whole(order, seconds, deadline)
        except TimeoutError:
            raise talk.failure(f"no end within {seconds if talk.begun else START_SECONDS:g} s") from None
        except (OSError, EOFError, ValueError, msgspec.DecodeError):
            raise talk.failure("the process that sends it ended") from None
        finally:
            await self._lay_down(process, well=talk.done)

    async def close(self) -> None:
        """End the processes that wait."""
        while self._idle:
            process, timer = self._idle.pop()
            timer.cancel()
            await _kill(process)

    async def _one(self) -> asyncio.subprocess.Process:
        while self._idle:
            process, timer = self._idle.pop()
            timer.cancel()
            if process.returncode is None:
                return process
        try:
            return await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,  # a library that complains repeats what is secret
                limit=LONGEST_LINE,
                env=_environment(),
            )
        except OSError as problem:
            raise NeverBegun(f"no process could be started ({type(problem).__name__})") from None

    async def _lay_down(self, process: asyncio.subprocess.Process, *, well: bool) -> None:
        if not well or process.returncode is not None:
            await _kill(process)
            return
        timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._let_go, process)
        self._idle.append((process, timer))

    def _let_go(self, process: asyncio.subprocess.Process) -> None:
        """Close its orders: it ends by itself."""
        self._idle = [(each, timer) for each, timer in self._idle if each is not process]
        if process.stdin is not None:
            process.stdin.close()


class _Talk:
    """One order and what is said of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.begun = False
        self.done = False

    async def whole(self, order: Order, seconds: float, deadline: asyncio.Timeout) -> Done:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode_order(order) + b"\n")
        await process.stdin.drain()
        while line := await process.stdout.readline():
            match decode_line(line):
                case Begun():
                    self.begun = True
                    deadline.reschedule(asyncio.get_running_loop().time() + seconds)
                case Done() as done:
                    self.done = True
                    return done
        raise EOFError

    def failure(self, reason: str) -> NeverBegun | Cut:
        return Cut(reason) if self.begun else NeverBegun(reason)


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _environment() -> Mapping[str, str]:
    """Return next to nothing: what a library reads from its environment, such as a proxy, is nobody's decision here."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed, "NETRC": os.devnull, "PYTHONDONTWRITEBYTECODE": "1"}
