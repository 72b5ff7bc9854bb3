"""What part of a total the best day made, in percent: pure.

Every day has a bucket, which begins where the day does, or the period that shows it. Beyond 1,000 days the oldest are
merged into one that keeps their sum and the best of them, so that only what comes late for such a day is inexact.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Final

from hub.engine.frames import Frame, contributions, remember_withdrawn, removed, stale
from hub.engine.merging import MERGED_AT_ONCE
from hub.engine.periods import periods
from hub.engine.program import Aggregate, Sliding
from hub.engine.series import EXACT, ZERO, Op, Part, Series, merged, single
from hub.engine.totals import Bucket, Total
from hub.engine.windows import MAX_CONTRIBUTIONS, Change, Holding, shortest

MAX_DAYS: Final = 1_000
HUNDRED: Final = Decimal(100)
NO_BUCKETS: Final[tuple[Bucket, ...]] = ()


class BestDay:
    """The arithmetic of one such aggregate, made once and shared by all keys."""

    __slots__ = ("_days", "_frame", "_keeps")

    def __init__(self, aggregate: Aggregate) -> None:
        assert aggregate.days is not None
        self._frame = Frame(aggregate.window)
        self._days = periods(aggregate.days)
        self._keeps = aggregate.retract is not None or isinstance(aggregate.window, Sliding)

    def taken(self, value: object) -> Decimal | None:
        """Return what an event contributes that is no decimal already."""
        return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else None

    def value(self, holding: Holding, now: int) -> Decimal | None:
        """Return the best day's part of the total in percent; missing unless the total is above 0."""
        buckets = _buckets(holding)
        if self._frame.slides and holding.series is not None:
            gone = holding.series.until(self._frame.span(now)[0] - 1)
            buckets = _without(buckets, self._by_day(gone))
        return self._share(buckets, now)

    def add(self, holding: Holding, at: int, ref: str, value: Decimal, now: int) -> Change | None:
        """Return the change a contribution makes; None when no window it belongs to is kept any more."""
        series, frame = contributions(holding), self._frame
        oldest = frame.oldest(now, holding.since)
        at = frame.happened(at, now)
        if ref in series.withdrawn or at < oldest:
            return None
        part = single(at, series.free_ref(at, ref) if self._keeps else ref, value)
        gone = stale(series, oldest) if self._keeps else []
        change = self._change(holding, now, gone, part)
        if len(series) + 1 - len(gone) <= MAX_CONTRIBUTIONS:
            return change
        return Change(
            change.value, change.expiry, change.total, [*change.ops, *self._merge(series, len(gone))]
        )

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
        return self._change(
            holding, now, stale(contributions(holding), self._frame.oldest(now, holding.since)), None
        )

    def _change(self, holding: Holding, now: int, gone: Sequence[Part], added: Part | None) -> Change:
        series, frame = contributions(holding), self._frame
        buckets = _without(_buckets(holding), self._by_day(gone))
        if added is not None:
            buckets = _with(buckets, Bucket(self._day(added.at), added.sum, 1))
        if not frame.slides:
            oldest = frame.oldest(now, holding.since)
            buckets = tuple(bucket for bucket in buckets if bucket.start >= oldest)
        total = Total(_bounded(buckets))
        ops = removed(gone)
        if added is not None and self._keeps:
            ops.append(Op(added.at, added.ref, added.text, added))
        shown = total.buckets
        if frame.slides:  # more may have run out than leaves at once
            late = [part for part in series.until(frame.span(now)[0] - 1) if part not in gone]
            shown = _without(shown, self._by_day(late))
        if not frame.slides:
            start, end = frame.span(now)
            alive = any(start <= bucket.start < end for bucket in shown)
            return Change(self._share(shown, now), frame.expiry(now, now) if alive else None, total, ops)
        return Change(self._share(shown, now), self._expiry(series, gone, added, now), total, ops)

    def _expiry(self, series: Series, gone: Sequence[Part], added: Part | None, now: int) -> int | None:
        frame = self._frame
        start, leaving = frame.span(now)[0], {(part.at, part.ref) for part in gone}
        first = next((p.at for p in series if p.at >= start and (p.at, p.ref) not in leaving), None)
        if added is not None and (first is None or added.at < first):
            first = added.at
        return frame.expiry(first, now) if first is not None else None

    def _share(self, buckets: Sequence[Bucket], now: int) -> Decimal | None:
        start, end = self._frame.span(now)
        shown = buckets
        if not self._frame.slides:
            shown = [bucket for bucket in buckets if start <= bucket.start < end]
        total = ZERO
        for bucket in shown:
            total = EXACT.add(total, bucket.sum)
        if total <= 0:
            return None
        best = max(bucket.sum if bucket.high is None else bucket.high for bucket in shown)
        with localcontext(prec=28):
            return shortest(best * HUNDRED / total)

    def _day(self, at: int) -> int:
        """Return where the bucket of a moment begins: its day, or the period that cuts the day in two."""
        day = self._days.span(at)[0]
        return day if self._frame.slides else max(day, self._frame.span(at)[0])

    def _by_day(self, parts: Iterable[Part]) -> dict[int, tuple[Decimal, int]]:
        found: dict[int, tuple[Decimal, int]] = {}
        for part in parts:
            day = self._day(part.at)
            total, count = found.get(day, (ZERO, 0))
            found[day] = EXACT.add(total, part.sum), count + part.counted
        return found

    def _merge(self, series: Series, skip: int) -> list[Op]:
        """Merge the oldest contributions day by day: the share stays right, one by one they cannot be taken back."""
        groups: dict[int, list[Part]] = {}
        for part in series.head(skip + MERGED_AT_ONCE)[skip:]:
            groups.setdefault(self._day(part.at), []).append(part)
        ops: list[Op] = []
        for group in groups.values():
            if len(group) > 1:
                ops += removed(group)
                one = merged(group)
                ops.append(Op(one.at, one.ref, one.text, one))
        return ops


def _buckets(holding: Holding) -> tuple[Bucket, ...]:
    return holding.total.buckets if holding.total is not None else NO_BUCKETS


def _place(buckets: Sequence[Bucket], day: int) -> int | None:
    """Return where a day's bucket stands; of merged days, their one."""
    for index in range(len(buckets) - 1, -1, -1):  # the latest day, nearly always
        if buckets[index].start == day:
            return index
        if buckets[index].start < day:
            return None
    return 0 if buckets and buckets[0].high is not None else None


def _with(buckets: tuple[Bucket, ...], new: Bucket) -> tuple[Bucket, ...]:
    index = _place(buckets, new.start)
    if index is None:
        return tuple(sorted((*buckets, new), key=_start))
    return (*buckets[:index], _plus(buckets[index], new.sum, new.count), *buckets[index + 1 :])


def _without(buckets: tuple[Bucket, ...], leaving: Mapping[int, tuple[Decimal, int]]) -> tuple[Bucket, ...]:
    for day, (total, count) in leaving.items():
        index = _place(buckets, day)
        if index is not None:
            left = _plus(buckets[index], EXACT.minus(total), -count)
            kept = (left,) if left.count > 0 else ()
            buckets = (*buckets[:index], *kept, *buckets[index + 1 :])
    return buckets


def _plus(bucket: Bucket, more: Decimal, count: int) -> Bucket:
    return Bucket(bucket.start, EXACT.add(bucket.sum, more), bucket.count + count, None, bucket.high)


def _bounded(buckets: tuple[Bucket, ...]) -> tuple[Bucket, ...]:
    surplus = len(buckets) - MAX_DAYS
    if surplus <= 0:
        return buckets
    old = buckets[: surplus + 1]
    total = ZERO
    for bucket in old:
        total = EXACT.add(total, bucket.sum)
    best = max(bucket.sum if bucket.high is None else bucket.high for bucket in old)
    # It begins with the latest of them, so that no day between two of them gets a bucket of its own again.
    one = Bucket(old[-1].start, total, sum(bucket.count for bucket in old), None, best)
    return (one, *buckets[surplus + 1 :])


def _start(bucket: Bucket) -> int:
    return bucket.start
