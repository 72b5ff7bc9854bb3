"""Noticing that a task was told to end, where a library has kept that to itself."""

import asyncio


def insist_on_ending() -> None:
    """Raise CancelledError when this task was told to end.

    Libraries that end a task of their own take our cancellation for that task's, and a failed roll-back hides it. It is
    told once: whoever goes on regardless is waited for without end by all who were told with him.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
