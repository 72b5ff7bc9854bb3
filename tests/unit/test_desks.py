"""What was left in the log is waited for: not for ever, and a store nobody can read meanwhile is no failure."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from hub.clock import ManualClock
from hub.desks import PATIENCE, came_of_it
from hub.errors import StoreUnavailable
from hub.testing import MORNING


async def waited(look: Callable[[], Awaitable[str | None]]) -> tuple[str | None, float]:
    clock = ManualClock(MORNING)
    began = clock.monotonic()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(came_of_it(clock, began, look))
        for _ in range(500):
            if waiting.done():
                break
            await clock.advance(timedelta(milliseconds=25))
    return waiting.result(), clock.monotonic() - began


def answering(*answers: str | Exception | None) -> Callable[[], Awaitable[str | None]]:
    """Give these answers one by one, and the last one ever after."""
    left = list(answers)

    async def look() -> str | None:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return look


async def test_what_came_of_it_is_told_as_soon_as_it_is_there() -> None:
    found, took = await waited(answering(None, None, "approved"))

    assert found == "approved"
    assert took < PATIENCE / 2


async def test_after_a_while_nothing_is_told() -> None:
    found, took = await waited(answering(None))

    assert found is None
    assert PATIENCE <= took < PATIENCE + 1


async def test_a_store_that_cannot_be_read_for_a_moment_does_not_undo_what_was_left() -> None:
    found, _ = await waited(answering(StoreUnavailable("away"), None, StoreUnavailable("away"), "approved"))

    assert found == "approved"


async def test_a_store_that_stays_away_is_not_taken_for_a_no() -> None:
    found, took = await waited(answering(StoreUnavailable("away")))

    assert found is None
    assert took >= PATIENCE
