"""What aggregates are worth while one input is decided: each is worked out when it is first asked for."""

from typing import final

from hub.engine.plans import Feed
from hub.engine.scene import holding_of
from hub.engine.state import KeyState
from hub.engine.windows import Worth


@final
class Worths(dict[Feed, Worth]):
    """Those an event counted for are put in; looked up like any dictionary, the others answer for themselves."""

    __slots__ = ("now", "state")

    state: KeyState
    now: int

    def __missing__(self, feed: Feed) -> Worth:
        worth = self[feed] = feed.accumulator.value(holding_of(self.state, feed), self.now)
        return worth
