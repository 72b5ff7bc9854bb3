"""The value of the latest event by its own time, of those of one moment the one told last: pure.

Where nothing can be taken back, one contribution is kept for each period, since an earlier one never matters again.
Otherwise the latest 20,000 are: older ones are asked for only when all of these were taken back.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from hub.engine.frames import Frame, contributions, remember_withdrawn, removed, stale
from hub.engine.kept import keep, recall
from hub.engine.periods import Span
from hub.engine.program import Aggregate
from hub.engine.series import Moment, Op, Part, Series, number_of, worded
from hub.engine.windows import MAX_CONTRIBUTIONS, Change, Holding, Worth

MAX_TEXT: Final = 256
Value = Decimal | str | bool | datetime | timedelta


class Latest:
    """The arithmetic of one such aggregate, made once and shared by all keys."""

    __slots__ = ("_frame", "_keeps_refs")

    def __init__(self, aggregate: Aggregate) -> None:
        self._frame = Frame(aggregate.window)
        self._keeps_refs = aggregate.retract is not None

    def taken(self, value: object) -> Value | None:
        """Return what an event contributes that is no decimal already; a list or a record is nothing."""
        match value:
            case bool() | datetime() | timedelta():
                return value
            case int():
                return Decimal(value)
            case str():
                return value[:MAX_TEXT]
            case _:
                return None

    def value(self, holding: Holding, now: int) -> Worth:
        return _told(_latest(contributions(holding), self._frame.span(now)))

    def add(self, holding: Holding, at: int, ref: str, value: Value, now: int) -> Change | None:
        """Return the change a contribution makes; None when no window it belongs to is kept any more."""
        series, frame = contributions(holding), self._frame
        oldest = frame.oldest(now, holding.since)
        at = frame.happened(at, now)
        if ref in series.withdrawn or at < oldest:
            return None
        word = ":".join(keep(value))
        gone = stale(series, oldest)
        if self._keeps_refs:
            added: Part | None = worded(at, series.numbered_ref(at, ref), word)
            gone += _beyond_cap(series, gone)
        else:
            added = worded(at, ref, word)
            known = _latest(series, frame.span(at) if not frame.slides else frame.span(now))
            if known is not None and known.at > at:
                added = None
            elif known is not None:
                gone.append(known)
        return self._change(series, now, gone, added)

    def withdraw(self, holding: Holding, at: int, ref: str, now: int) -> Change:
        """Return the change of taking a contribution back. One not known yet is remembered, and ignored when it comes."""
        series, oldest = contributions(holding), self._frame.oldest(now, holding.since)
        found = series.of_ref(ref)
        if found:
            return self._change(series, now, found, None)
        change = self._change(series, now, stale(series, oldest), None)
        return Change(
            change.value, change.expiry, None, [*change.ops, *remember_withdrawn(series, at, ref, oldest)]
        )

    def leave(self, holding: Holding, gone: Sequence[Part], now: int) -> Change:
        """Return the change of letting contributions go for good."""
        return self._change(contributions(holding), now, list(gone), None)

    def expire(self, holding: Holding, now: int) -> Change:
        """Return the change the passing of time alone makes."""
        series = contributions(holding)
        return self._change(series, now, stale(series, self._frame.oldest(now, holding.since)), None)

    def _change(self, series: Series, now: int, gone: list[Part], added: Part | None) -> Change:
        span = self._frame.span(now)
        latest = _latest(series, span, {(part.at, part.ref) for part in gone})
        if added is not None and span[0] <= added.at < span[1] and (latest is None or added.at >= latest.at):
            latest = added
        ops = removed(gone)  # first: what comes may stand where something leaves
        if added is not None:
            ops.append(Op(added.at, added.ref, added.text, added))
        expiry = self._frame.expiry(latest.at, now) if latest is not None else None
        return Change(_told(latest), expiry, None, ops)


def _latest(series: Series, span: Span, without: Collection[Moment] = ()) -> Part | None:
    """Return the latest within a span, of those of one moment the one told last."""
    best: Part | None = None
    for part in series.backwards(span[1]):
        if part.at < span[0] or (best is not None and part.at < best.at):
            break
        if (part.at, part.ref) not in without and (best is None or number_of(part.ref) > number_of(best.ref)):
            best = part
    return best


def _beyond_cap(series: Series, gone: Collection[Part]) -> list[Part]:
    surplus = len(series) + 1 - len(gone) - MAX_CONTRIBUTIONS
    return series.head(len(gone) + surplus)[len(gone) :] if surplus > 0 else []


def _told(part: Part | None) -> Worth:
    if part is None or part.word is None:
        return None
    kind, _, text = part.word.partition(":")
    told: Worth = recall((kind, text))
    return told
