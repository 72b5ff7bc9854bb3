"""Timers of windows at which nothing can turn: a rehearsal moves them on and decides nothing."""

from hub.engine.index import Program
from hub.engine.joined import is_up
from hub.engine.rows import TimerRow
from hub.engine.state import KeyState
from hub.engine.timers import decode_window, window_timer
from hub.engine.totals import Alarm
from hub.engine.windows import MAX_CONTRIBUTIONS, Accumulator

FEW = MAX_CONTRIBUTIONS // 2  # what has left and stays a while longer must not make the rest be merged


def moved_on(program: Program, state: KeyState, timer: TimerRow, now: int) -> TimerRow | None:
    """Return the timer that waits in the place of one that is due; None where that has to be decided with care.

    Every condition that reads such a window can only let go when something leaves it, and none of them holds. What has
    left is let go with the next contribution, as `decide` lets it go in a window that is watched by nobody.
    """
    program = program.of(state.kind)
    if program.reads_clock or program.queued or state.open_runs or state.ledgers:
        return None
    name = decode_window(timer.body).aggregate
    feed, series = program.feeds.get(name), state.series.get(name)
    if feed is None or series is None or not (feed.watched and feed.lets_go) or feed.granted:
        return None
    alarm, accumulator = state.values.get(feed.alarm), feed.accumulator
    if type(alarm) is not Alarm or alarm.timer != timer.id or state.alarm_due != timer.due:
        return None
    if not isinstance(accumulator, Accumulator) or not accumulator.slides or series.count > FEW:
        return None
    gone = accumulator.gone(series)
    if gone is None or gone <= now:
        return None
    if state.has_edges and any(edge in state.values and is_up(state.values[edge]) for edge in feed.edges):
        return None
    moved = window_timer(timer.partition, timer.key, name, gone)
    state.values[feed.alarm] = Alarm(gone, moved.id)
    state.set_alarm()
    return moved
