"""One time limit for many: whoever began first is due first, so one timer serves all.

`asyncio.timeout` does the same with a timer each, which costs as much as signing the webhook twice.
"""

import asyncio
from typing import Protocol, final

from typing_extensions import override


class Due(Protocol):
    """What is to end in time."""

    due: float

    def expire(self) -> None: ...


@final
class Deadlines:
    """``with deadlines.start():`` raises TimeoutError where the body takes longer than `seconds`.

    What needs no task says `begun` and `over` itself.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._running: dict[Due, None] = {}  # in the order they began
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> "Deadline":
        return Deadline(self)

    def begun(self, deadline: Due) -> None:
        deadline.due = self._loop.time() + self._seconds
        self._running[deadline] = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline.due, self._expire)

    def over(self, deadline: Due) -> None:
        self._running.pop(deadline, None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for deadline in list(self._running):
            if deadline.due > now:
                self._timer = self._loop.call_at(deadline.due, self._expire)
                return
            del self._running[deadline]
            deadline.expire()


@final
class Deadline(Due):
    """One use of it; what `asyncio.Timeout` is to `asyncio.timeout`."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._expired = False
        self.due = 0.0

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a deadline cancels a task"
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines.begun(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._deadlines.over(self)
        # Cancelled by us and by nobody else: then it was the time that ran out.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    @override
    def expire(self) -> None:
        self._expired = True
        self._task.cancel()
