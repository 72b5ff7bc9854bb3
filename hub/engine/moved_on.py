"""Windows of which nothing can turn when something leaves them: a rehearsal moves their timers on and decides nothing."""

from hub.engine.index import Program
from hub.engine.joined import is_up
from hub.engine.plans import Feed
from hub.engine.state import NEVER, KeyState
from hub.engine.totals import Alarm
from hub.engine.windows import MAX_CONTRIBUTIONS, Accumulator

FEW = MAX_CONTRIBUTIONS // 2  # what has left and stays a while longer must not make the rest be merged
_UNNAMED = ""  # a timer nobody takes back by its name


def moving(program: Program, name: str) -> Feed | None:
    """Return an aggregate of which every condition that reads it can only let go when something leaves its window."""
    feed = program.feeds.get(name)
    if feed is None or program.reads_clock or program.queued:
        return None
    if not (feed.watched and feed.lets_go) or feed.granted or not isinstance(feed.accumulator, Accumulator):
        return None
    return feed if feed.accumulator.slides else None


def is_awaited(state: KeyState, feed: Feed, due: int) -> bool:
    """Return whether the timer of a window is still the one that is waited for."""
    alarm = state.values.get(feed.alarm)
    return type(alarm) is Alarm and alarm.due == due


def moved_on(state: KeyState, feed: Feed, now: int) -> int | None:
    """Return when a timer that is due now falls due instead, NEVER for not any more; None where that takes care.

    None of the conditions that read such a window holds. What has left is let go with the next contribution, as `decide`
    lets it go in a window that is watched by nobody; where all of it has, there is nothing to wait for.
    """
    values, series, accumulator = state.values, state.series.get(feed.name), feed.accumulator
    if state.open_runs or state.ledgers or state.alarm_due != now or series is None or series.count > FEW:
        return None
    assert isinstance(accumulator, Accumulator)
    gone = accumulator.gone(series)
    if gone is None:
        return None
    if state.has_edges:
        for edge in feed.edges:
            if edge in values and is_up(values[edge]):
                return None
    if gone > now:
        values[feed.alarm] = Alarm(gone, _UNNAMED)
    elif _is_alone(state, feed, now):
        del values[feed.alarm], state.series[feed.name]
        gone = NEVER
    else:
        return None
    state.set_alarm()
    return gone


def _is_alone(state: KeyState, feed: Feed, now: int) -> bool:
    """Return whether nothing else of the key runs out at this moment."""
    return not any(
        slot != feed.alarm and getattr(value, "due", NEVER) <= now for slot, value in state.values.items()
    )
