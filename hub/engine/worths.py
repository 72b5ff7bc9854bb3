"""What aggregates are worth while one input is decided: each is worked out when it is first asked for."""

from typing import final

from hub.engine.plans import Feed
from hub.engine.scene import holding_of
from hub.engine.state import KeyState
from hub.engine.windows import Accumulator, Worth


@final
class Worths(dict[Feed, Worth]):
    """Those an event counted for are put in; looked up like any dictionary, the others answer for themselves."""

    __slots__ = ("now", "state")

    state: KeyState
    now: int

    def __missing__(self, feed: Feed) -> Worth:
        accumulator = feed.accumulator
        if type(accumulator) is Accumulator and accumulator.slides:  # it is in its series alone
            worth = accumulator.slid(self.state.series.get(feed.name), self.now)
        else:
            worth = accumulator.value(holding_of(self.state, feed), self.now)
        self[feed] = worth
        return worth
