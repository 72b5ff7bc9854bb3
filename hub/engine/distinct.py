"""How many different values, or days, the events of a window had: pure.

Every contribution is a word: a text, a number, or the day it happened on. Where nothing can be taken back a word is kept
once: for each period, or under a sliding window at the latest moment it was told. At most 20,000 contributions are kept.
"""

from collections.abc import Collection, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Final

from hub.engine.buckets import find, with_bucket
from hub.engine.frames import Frame, contributions, remember_withdrawn, removed, stale, stands_in
from hub.engine.merging import MERGED_AT_ONCE
from hub.engine.periods import periods
from hub.engine.program import Aggregate
from hub.engine.series import ZERO, Moment, Op, Part, Series, worded
from hub.engine.totals import Bucket, Total
from hub.engine.windows import MAX_CONTRIBUTIONS, Change, Holding, shortest

MAX_TEXT: Final = 64  # a longer text is told apart by its hash


class Distinct:
    """The arithmetic of one such aggregate, made once and shared by all keys."""

    __slots__ = ("_days", "_frame", "_keeps_refs")

    def __init__(self, aggregate: Aggregate) -> None:
        self._frame = Frame(aggregate.window)
        self._keeps_refs = aggregate.retract is not None
        self._days = periods(aggregate.days) if aggregate.days is not None else None

    def taken(self, value: object) -> Decimal | str | None:
        """Return what an event contributes that is no decimal already; true, a time or a list is nothing."""
        if isinstance(value, str):
            return value
        return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else None

    def value(self, holding: Holding, now: int) -> Decimal:
        """Return how many different words the window shows at a moment."""
        if self._frame.slides:
            return Decimal(self._sliding(contributions(holding), now, (), None))
        bucket = find(holding.total, self._frame.span(now)[0])
        return Decimal(bucket.count if bucket is not None else 0)

    def add(self, holding: Holding, at: int, ref: str, value: Decimal | str, now: int) -> Change | None:
        """Return the change a contribution makes; None when no window it belongs to is kept any more."""
        series, frame = contributions(holding), self._frame
        oldest = frame.oldest(now, holding.since)
        at = frame.happened(at, now)
        if ref in series.withdrawn or at < oldest:
            return None
        word = self._word(at, value)
        gone = stale(series, oldest)
        added: Part | None = worded(at, series.free_ref(at, ref), word)
        if not self._keeps_refs and stands_in(series, word, frame.span(now if frame.slides else at), ()):
            before = series.words[word][-1]
            if not frame.slides or before[0] >= at:
                added = None  # nothing new
            else:
                gone.append(worded(*before, word))
        if added is not None and len(series) + 1 - len(gone) > MAX_CONTRIBUTIONS:
            beyond = self._beyond_cap(series, holding.total, gone)
            if (added.at, added.ref) < (beyond[0].at, beyond[0].ref):
                added = None
            else:
                gone += beyond
        return self._change(holding, now, gone, added)

    def withdraw(self, holding: Holding, at: int, ref: str, now: int) -> Change:
        """Return the change of taking a contribution back. One not known yet is remembered, and ignored when it comes."""
        series, oldest = contributions(holding), self._frame.oldest(now, holding.since)
        found = series.of_ref(ref)
        if found:
            return self._change(holding, now, found, None)
        change = self._change(holding, now, stale(series, oldest), None)
        ops = [*change.ops, *remember_withdrawn(series, at, ref, oldest)]
        return Change(change.value, change.expiry, change.total, ops)

    def leave(self, holding: Holding, gone: Sequence[Part], now: int) -> Change:
        """Return the change of letting contributions go for good."""
        return self._change(holding, now, gone, None)

    def expire(self, holding: Holding, now: int) -> Change:
        """Return the change the passing of time alone makes."""
        gone = stale(contributions(holding), self._frame.oldest(now, holding.since))
        change = self._change(holding, now, gone, None)
        return Change(change.value, change.expiry, None, change.ops)  # periods that are over count nowhere

    def _word(self, at: int, value: Decimal | str) -> str:
        if self._days is not None:
            return str(self._days.span(at)[0] // 1_000_000)
        if isinstance(value, str):
            return f"s:{value}" if len(value) <= MAX_TEXT else f"h:{sha256(value.encode()).hexdigest()}"
        return f"n:{format(shortest(value), 'f') if value else '0'}"

    def _change(self, holding: Holding, now: int, gone: Sequence[Part], added: Part | None) -> Change:
        series, frame = contributions(holding), self._frame
        without = {(part.at, part.ref) for part in gone}
        ops = removed(gone)
        if added is not None:
            ops.append(Op(added.at, added.ref, added.text, added))
        if not frame.slides:
            total = self._counted(holding, now, gone, without, added)
            bucket = find(total if total is not None else holding.total, frame.span(now)[0])
            count = bucket.count if bucket is not None else 0
            return Change(Decimal(count), frame.expiry(now, now) if count else None, total, ops)
        count = self._sliding(series, now, gone, added)
        # The oldest may be a word that stays for a later telling: whoever wakes then finds it so, and looks again.
        start = frame.span(now)[0]
        first = next((p.at for p in series if p.at >= start and (p.at, p.ref) not in without), None)
        if added is not None and (first is None or added.at < first):
            first = added.at
        return Change(Decimal(count), frame.expiry(first, now) if first is not None else None, None, ops)

    def _sliding(self, series: Series, now: int, gone: Sequence[Part], added: Part | None) -> int:
        """Return how many words are left: only those of what goes, comes or has run out can make a difference."""
        span = self._frame.span(now)
        without = {(part.at, part.ref) for part in gone}
        doubtful = {part.word for part in (*gone, *series.until(span[0] - 1)) if part.word is not None}
        count = len(series.words) - len(doubtful)
        count += sum(stands_in(series, word, span, without) for word in doubtful)
        if added is not None and added.word is not None:
            count += not stands_in(series, added.word, span, without)
        return count

    def _counted(
        self,
        holding: Holding,
        now: int,
        gone: Sequence[Part],
        without: Collection[Moment],
        added: Part | None,
    ) -> Total | None:
        """Return the periods' counts with what goes and comes; None when they stay."""
        series, total = contributions(holding), holding.total
        oldest = self._frame.oldest(now, holding.since)
        span_of = self._frame.span
        touched = {(span_of(part.at), part.word) for part in gone if part.word is not None}
        here = (span_of(added.at), added.word) if added is not None and added.word is not None else None
        if here is not None:
            touched.add(here)
        changed: Total | None = None
        for span, word in sorted(touched):
            step = (here == (span, word) or stands_in(series, word, span, without)) - stands_in(
                series, word, span, ()
            )
            if step and span[0] >= oldest:
                known = changed if changed is not None else total
                bucket = find(known, span[0])
                count = step + (bucket.count if bucket is not None else 0)
                changed = with_bucket(known, Bucket(span[0], ZERO, count), oldest)
        return changed

    def _beyond_cap(self, series: Series, total: Total | None, gone: Sequence[Part]) -> list[Part]:
        """Return what makes room: the oldest of those told again later, where they are many, or else the oldest."""
        words = (
            len(series.words) if self._frame.slides else sum(b.count for b in total.buckets) if total else 0
        )
        without = {(part.at, part.ref) for part in gone}
        left = (part for part in series if (part.at, part.ref) not in without)
        if not self._keeps_refs or len(series) - words < MAX_CONTRIBUTIONS // 4:
            return [next(left)]
        found: list[Part] = []
        for part in left:
            end = self._frame.span(part.at)[1] if not self._frame.slides else part.at + 2**62
            assert part.word is not None
            if stands_in(series, part.word, (part.at + 1, end), ()):
                found.append(part)
                if len(found) == MERGED_AT_ONCE:
                    break
        return found or [next(iter(series))]
