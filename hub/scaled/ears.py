"""Who in this process wants to hear what other processes wrote; what they wrote stands in the database, this is only word."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

import structlog

log = structlog.get_logger(__name__)

Hear = Callable[[str], None]


@final
class Ears:
    """`gap` is called when word may have been lost: whoever listens then looks at everything."""

    def __init__(self) -> None:
        self._listeners: list[tuple[str, Hear, Callable[[], None]]] = []

    def listen(self, channel: str, hear: Hear, gap: Callable[[], None]) -> None:
        """Listen for as long as the process lives."""
        self._listeners.append((channel, hear, gap))

    @contextmanager
    def listening(self, channel: str, hear: Hear, gap: Callable[[], None]) -> Iterator[None]:
        entry = (channel, hear, gap)
        self._listeners.append(entry)
        try:
            yield
        finally:
            self._listeners.remove(entry)

    def notice(self, channel: str, payload: str) -> None:
        for wanted, hear, _ in list(self._listeners):
            if wanted == channel:
                hear(payload)

    def gap(self) -> None:
        for _, _, gap in list(self._listeners):
            gap()
