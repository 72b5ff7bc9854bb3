"""What the API's desks share: the log they leave things in, and how long an answer waits to say what came of them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, Protocol, TypeVar

from hub.bus.log import Appended, Input, NewInput
from hub.clock import Clock
from hub.errors import StoreUnavailable
from hub.events.facts import Fact

PATIENCE: Final = 2.0  # seconds
LOOK_EVERY: Final = timedelta(milliseconds=25)
T = TypeVar("T")


class Inputs(Protocol):
    """The log: where this process owns a partition it numbers the input itself, else it leaves it for who does."""

    def append(
        self, facts: Sequence[Fact], *, inputs: Sequence[NewInput] = ()
    ) -> Awaitable[list[Appended]]: ...

    async def find(self, key: bytes) -> Input | None: ...


async def came_of_it(clock: Clock, since: float, look: Callable[[], Awaitable[T | None]]) -> T | None:
    """Look until there is something to see; None where there was nothing for too long `since` it was left.

    What was left is on disk and counts. So a store that cannot be read meanwhile is no failure: nobody may think that
    nothing was done, and ask again.
    """
    while True:
        try:
            found = await look()
        except StoreUnavailable:
            found = None
        if found is not None or clock.monotonic() - since >= PATIENCE:
            return found
        await clock.sleep(LOOK_EVERY)
