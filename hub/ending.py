"""Ending what was told to end: noticing it where a library has kept it to itself, and the last resort where nothing helps."""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Final, NoReturn

import structlog

STUCK: Final = 70  # what the process exits with; a supervisor starts it anew

log = structlog.get_logger(__name__)

GiveUp = Callable[[str], object]


def insist_on_ending() -> None:
    """Raise CancelledError when this task was told to end.

    Libraries that end a task of their own take our cancellation for that task's, and a failed roll-back hides it. It is
    told once: whoever goes on regardless is waited for without end by all who were told with him.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def end_process(reason: str) -> NoReturn:
    """End this process at once, as a crash would: of what it owns, nothing may wait for work that does not end."""
    log.critical("process.gives_up", reason=reason, exit_code=STUCK)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(STUCK)


def only_tell(reason: str) -> None:
    """Stand for `end_process` where the process is not ours to end."""
    log.critical("process.is_stuck", reason=reason)
