"""What an aggregate is worth, and what a contribution, a retraction or the passing of time changes in it: pure.

Contributions count by event time. A calendar, tumbling or lifetime aggregate is one running value per period; a sliding one
is its contributions in (now - d, now]. Sums are exact, so the order of arrival never shows.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

import msgspec

from hub.engine.buckets import find, replaced, with_bucket
from hub.engine.merging import merge
from hub.engine.periods import Periods, Span, periods
from hub.engine.program import Aggregate, Calendar, SinceEnd, Sliding, Tumbling
from hub.engine.series import EXACT, WITHDRAWN, ZERO, Op, Part, Series, single
from hub.engine.totals import Bucket, Total
from hub.events.decimals import plain

MAX_CONTRIBUTIONS = 20_000
PRUNED_AT_ONCE = 1_000
EMPTY: Sequence[Part] = ()
NO_OPS: Sequence[Op] = ()
NO_SERIES = Series()  # stays empty
_plus, _minus, _normalize = (
    EXACT.add,
    EXACT.subtract,
    EXACT.normalize,
)  # each look-up of a method makes another object
LIFETIME: Span = (-(2**62), 2**62)
# What an aggregate can be worth: nearly always a number, but the latest value is whatever the events tell.
Worth = Decimal | int | str | datetime | timedelta | None


class Holding(msgspec.Struct, frozen=True, gc=False):
    """What is stored of one aggregate for one key; what happened from `since` on somebody still looks at."""

    total: Total | None
    series: Series | None
    since: int = 2**62


class Change(msgspec.Struct, gc=False):
    """What one input changes in an aggregate: its new row, its contributions, its present value, its next expiry.

    `gone` is when the last of what a sliding window holds now will have left it.
    """

    value: Worth
    expiry: int | None
    total: Total | None = None
    ops: Sequence[Op] = ()
    gone: int | None = None


class Accumulator:
    """The arithmetic of one aggregate, made once and shared by all keys."""

    __slots__ = (
        "_duration",
        "_extremes",
        "_function",
        "_is_sum",
        "_keeps_refs",
        "_periods",
        "runs",
        "slides",
    )

    def __init__(self, aggregate: Aggregate) -> None:
        window = aggregate.window
        self._function = aggregate.function
        self._is_sum = aggregate.function == "sum"
        self._extremes = aggregate.function in {"min", "max"}
        self._keeps_refs = aggregate.retract is not None
        self._duration = window.duration // timedelta(microseconds=1) if isinstance(window, Sliding) else None
        calendar = window.calendar if isinstance(window, SinceEnd) else window
        self._periods: Periods | None = (
            periods(calendar) if isinstance(calendar, Calendar | Tumbling) else None
        )

        # The present period is one value that every contribution makes larger, and nothing else is kept.
        self.runs = self._duration is None and not self._keeps_refs and self._function in {"sum", "count"}
        self.slides = self._duration is not None and not self._keeps_refs and not self._extremes

    def taken(self, value: object) -> Decimal | None:
        """Return what an event contributes that is no decimal already."""
        return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else None

    def value(self, holding: Holding, now: int) -> Worth:
        """Return what the aggregate is worth at a moment; of nothing, a sum is 0 and an average is missing."""
        if self._duration is not None:
            return self.slid(holding.series, now)
        bucket = find(holding.total, self._span(now)[0])
        return (
            self._finish(bucket.sum, bucket.count, bucket.low, bucket.high)
            if bucket
            else self._finish_empty()
        )

    def since(self, holding: Holding, start: int) -> Worth:
        """Return what all periods from one on are worth together."""
        total = holding.total
        found = [bucket for bucket in total.buckets if bucket.start >= start] if total is not None else []
        sums = ZERO
        for bucket in found:
            sums = _plus(sums, bucket.sum)
        low = min((bucket.low for bucket in found if bucket.low is not None), default=None)
        high = max((bucket.high for bucket in found if bucket.high is not None), default=None)
        return self._finish(sums, sum(bucket.count for bucket in found), low, high)

    def add(self, holding: Holding, at: int, ref: str, value: Decimal, now: int) -> Change | None:
        """Return the change a contribution makes; None when no window it belongs to is kept any more."""
        series = holding.series
        if series is not None and ref in series.withdrawn:
            return None
        if self._duration is None:
            return self._add_to_period(holding, at, ref, value, now)
        at = min(at, now)  # nothing can have happened after it was told: the other clock is ahead
        if at <= now - self._duration:
            return None
        if series is not None and self._keeps_refs:
            ref = series.free_ref(at, ref)
        return self.slide_on(series, at, ref, value, now) or self._sliding(
            series, now, (single(at, ref, value),)
        )

    def slide_on(self, series: Series | None, at: int, ref: str, value: Decimal, now: int) -> Change | None:
        """Return the change of one contribution more to a sliding window; None where `add` has to look.

        That is where something was taken back, or is merged, or lies outside of the window.
        """
        duration = self._duration
        assert duration is not None
        if series is None:
            series = NO_SERIES
        start, total, count, oldest = now - duration, series.sum, series.count, series.oldest
        if not start < at <= now or self._extremes or series.withdrawn:
            return None
        if count >= MAX_CONTRIBUTIONS and len(series) >= MAX_CONTRIBUTIONS:
            return None
        # What counts adds nothing, over and over.
        text, total = ("0", total) if value is ZERO else (plain(value), _plus(total, value))
        added = Op(at, ref, text, single(at, ref, value))
        ops: Sequence[Op] = (added,)
        if oldest is not None and oldest <= start:
            expired = series.until(start)
            ops = [Op(part.at, part.ref, None, None) for part in expired]
            for part in expired:
                total, count = _minus(total, part.sum), count - part.counted
            ops.append(added)
            oldest = series.oldest_after(len(expired))
        newest = series.newest
        return Change(
            self._finish(total, count + 1, None, None),
            (at if oldest is None or oldest > at else oldest) + duration,
            None,
            ops,
            (at if newest is None or newest < at else newest) + duration,
        )

    def run_on(
        self, total: Total, at: int, value: Decimal, now: int
    ) -> tuple[Total, Worth, int | None] | None:
        """Return the row, the worth and the expiry after one contribution more to the present period of one that `runs`.

        None where `add` has to look: in another period, or in one that nothing was counted in before.
        """
        periods = self._periods
        start, end = LIFETIME if periods is None else periods.current
        buckets = total.buckets
        if not buckets:
            return None
        last = buckets[-1]
        if last.start != start or not start <= at < end or not start <= now < end:
            return None
        new = Bucket(start, _plus(last.sum, value), last.count + 1)
        changed = Total((new,)) if len(buckets) == 1 else Total((*buckets[:-1], new))
        worth = new.sum if self._is_sum else Decimal(new.count)
        return changed, worth, None if periods is None else end

    def withdraw(self, holding: Holding, at: int, ref: str, now: int) -> Change:
        """Return the change of taking a contribution back. One not known yet is remembered, and ignored when it comes."""
        series = holding.series
        found = series.of_ref(ref) if series is not None else []
        ops = [Op(part.at, part.ref, None, None) for part in found]
        # Taken back again it stays remembered as it is: one row, whatever was reloaded in between.
        if not found and (series is None or ref not in series.withdrawn):
            ops.append(Op(at, ref, WITHDRAWN, None))
        if self._duration is not None:
            change = self._sliding(series, now, EMPTY, gone=found)
            return Change(change.value, change.expiry, None, [*change.ops, *ops], change.gone)
        total = holding.total
        for part in found:
            if total is not None and series is not None:
                total = self._subtract(total, series, part, found)
        return self._period_change(total, now, ops)

    def leave(self, holding: Holding, gone: Sequence[Part], now: int) -> Change:
        """Return the change of letting contributions of a lifetime go for good."""
        series, bucket = holding.series, find(holding.total, LIFETIME[0])
        ops = [Op(part.at, part.ref, None, None) for part in gone]
        if bucket is None or series is None or not gone:
            return self._period_change(holding.total, now, ops)
        total, count = bucket.sum, bucket.count
        for part in gone:
            total, count = EXACT.subtract(total, part.sum), count - part.counted
        low = high = None
        if self._extremes:
            leaving = {(part.at, part.ref) for part in gone}
            stay = [part for part in series if (part.at, part.ref) not in leaving]
            low = min((part.low for part in stay), default=None)
            high = max((part.high for part in stay), default=None)
        new = Bucket(bucket.start, shortest(total), count, low, high)
        return self._period_change(with_bucket(holding.total, new, LIFETIME[0]), now, ops)

    def expire(self, holding: Holding, now: int) -> Change:
        """Return the change the passing of time alone makes."""
        if self._duration is not None:
            return self._sliding(holding.series, now, EMPTY)
        return self._period_change(holding.total, now, ())

    # Sliding windows

    def slid(self, series: Series | None, now: int) -> Worth:
        """Return what a sliding window is worth at a moment."""
        assert self._duration is not None
        if series is None:
            return self._finish_empty()
        oldest = series.oldest
        if (oldest is None or oldest > now - self._duration) and not self._extremes:  # nothing runs out
            return self._finish(series.sum, series.count, None, None)
        return self._sliding(series, now, EMPTY).value

    def gone(self, series: Series) -> int | None:
        """Return when the last of what a sliding window holds will have left it."""
        assert self._duration is not None
        return None if series.newest is None else series.newest + self._duration

    def _sliding(
        self, series: Series | None, now: int, added: Sequence[Part], gone: Sequence[Part] = EMPTY
    ) -> Change:
        assert self._duration is not None
        if series is None:
            series = Series()
        expired = series.until(now - self._duration)
        total, count = series.sum, series.count
        for part in expired:
            total, count = EXACT.subtract(total, part.sum), count - part.counted
        for part in gone:
            if part.at > now - self._duration:
                total, count = EXACT.subtract(total, part.sum), count - part.counted
        for part in added:
            total, count = EXACT.add(total, part.sum), count + part.counted
        ops = [Op(part.at, part.ref, None, None) for part in expired]
        ops += [Op(part.at, part.ref, part.text, part) for part in added]
        if series.withdrawn:
            stale = now - self._duration
            ops += [Op(at, ref, None, None) for at, ref in taken_back(series) if at <= stale]
        if len(series) + len(added) > MAX_CONTRIBUTIONS:
            ops += merge(series, len(expired), self._period_of)
        low = high = None
        if self._extremes:
            leaving = {(part.at, part.ref) for part in (*expired, *gone)}
            stay = [part for part in series if (part.at, part.ref) not in leaving] + list(added)
            low = min((part.low for part in stay), default=None)
            high = max((part.high for part in stay), default=None)
        expiry = self._next_expiry(series, len(expired), added, gone)
        return Change(
            self._finish(total, count, low, high),
            expiry,
            None,
            ops,
            self._last_expiry(series, added) if expiry is not None else None,
        )

    def _next_expiry(
        self, series: Series, expired: int, added: Sequence[Part], gone: Sequence[Part]
    ) -> int | None:
        assert self._duration is not None
        first = next(
            (part.at for part in series.head(expired + len(gone) + 1)[expired:] if part not in gone), None
        )
        for part in added:
            first = part.at if first is None else min(first, part.at)
        return None if first is None else first + self._duration

    def _last_expiry(self, series: Series, added: Sequence[Part]) -> int | None:
        assert self._duration is not None
        moments = [part.at for part in added] + ([series.newest] if series.newest is not None else [])
        return max(moments) + self._duration if moments else None

    # Calendar periods and lifetime

    def _span(self, at: int) -> Span:
        return LIFETIME if self._periods is None else self._periods.span(at)

    def _oldest(self, holding: Holding, now: int) -> int:
        """Return the start of the previous period, or of an earlier one somebody looks at: before it, nobody does."""
        if self._periods is None:
            return LIFETIME[0]
        oldest = self._periods.before(self._periods.span(now))[0]
        return oldest if holding.since >= oldest else self._periods.span(holding.since)[0]

    def _add_to_period(self, holding: Holding, at: int, ref: str, value: Decimal, now: int) -> Change | None:
        total, series = holding.total, holding.series
        periods = self._periods
        span = LIFETIME if periods is None else periods.current
        if not span[0] <= at < span[1]:
            span = self._span(at)
        low = high = value if self._extremes else None
        bucket = total.buckets[-1] if total is not None and total.buckets else None
        if bucket is None or bucket.start != span[0]:  # not the present period, as it is nearly always
            bucket = find(total, span[0])
        if bucket is None:
            if span[1] <= now and span[0] < self._oldest(holding, now):
                return None
            new = Bucket(span[0], value, 1, low, high)
            changed = with_bucket(total, new, self._oldest(holding, now))
        else:
            assert total is not None
            if low is not None and bucket.low is not None and bucket.high is not None:
                low, high = min(bucket.low, value), max(bucket.high, value)
            new = Bucket(span[0], _plus(bucket.sum, value), bucket.count + 1, low, high)
            changed = replaced(total, bucket, new)
        ops: Sequence[Op] = NO_OPS
        if self._keeps_refs:
            part = single(at, series.free_ref(at, ref) if series is not None else ref, value)
            ops = [Op(part.at, part.ref, part.text, part)]
            if series is not None:
                ops += self._prune(series, self._oldest(holding, now))
        if not span[0] <= now < span[1]:
            return self._period_change(changed, now, ops)
        present = new.sum if self._function == "sum" else self._finish(new.sum, new.count, low, high)
        return Change(present, span[1] if self._periods is not None else None, changed, ops)

    def _subtract(self, total: Total, series: Series, part: Part, gone: Sequence[Part]) -> Total:
        span = self._span(part.at)
        bucket = find(total, span[0])
        if bucket is None:
            return total
        low = high = None
        if self._extremes:
            stay = [other for other in series.between(*span) if other not in gone]
            low = min((other.low for other in stay), default=None)
            high = max((other.high for other in stay), default=None)
        new = Bucket(span[0], EXACT.subtract(bucket.sum, part.sum), bucket.count - part.counted, low, high)
        return with_bucket(total, new, total.buckets[0].start)

    def _period_change(self, total: Total | None, now: int, ops: Sequence[Op]) -> Change:
        span = self._span(now)
        bucket = find(total, span[0])
        if bucket is None:
            return Change(self._finish_empty(), None, total, ops)
        value = self._finish(bucket.sum, bucket.count, bucket.low, bucket.high)
        return Change(value, span[1] if self._periods is not None else None, total, ops)

    def _prune(self, series: Series, oldest: int) -> list[Op]:
        ops = [Op(part.at, part.ref, None, None) for part in series.head(PRUNED_AT_ONCE) if part.at < oldest]
        ops += [Op(at, ref, None, None) for at, ref in taken_back(series) if at < oldest]
        if len(series) > MAX_CONTRIBUTIONS and not ops:
            ops += merge(series, 0, self._period_of)
        return ops

    # Shared

    def _period_of(self, at: int) -> int:
        return 0 if self._periods is None else self._periods.span(at)[0]

    def _finish_empty(self) -> Decimal | int | None:
        return self._finish(ZERO, 0, None, None)

    def _finish(
        self, total: Decimal, count: int, low: Decimal | None, high: Decimal | None
    ) -> Decimal | int | None:
        function = self._function
        if function == "sum":
            # A running sum may end in zeros that a sum made afresh from its parts has not.
            return total if self._duration is None else shortest(total)
        if function == "count":
            return Decimal(count)
        if not count:
            return None
        if function == "avg":
            return shortest(_quotient(total, count))
        return low if function == "min" else high


def shortest(value: Decimal) -> Decimal:
    """Return the value without trailing zeros or an exponent: equal values read alike, however they came about."""
    found = _normalize(value)
    return found.quantize(Decimal(1), context=EXACT) if "E+" in str(found) else found


def _quotient(total: Decimal, count: int) -> Decimal:
    with localcontext(prec=28):
        return total / count


def taken_back(series: Series) -> Sequence[tuple[int, str]]:
    """Return what is remembered as withdrawn, in one order however it came into memory: its rows must be the same."""
    return sorted((at, ref) for ref, at in series.withdrawn.items()) if series.withdrawn else ()
