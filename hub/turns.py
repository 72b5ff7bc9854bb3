"""Letting others have the event loop in the middle of long work."""

from collections.abc import Generator


class _Turn:
    def __await__(self) -> Generator[None, None, None]:
        yield


async def a_turn() -> None:
    """Give the event loop one turn, without a timer."""
    await _Turn()
