"""What aggregates over present rows add up: each account contributes what its rows are worth now, and replaces it. Pure.

A contribution stands under the account's key, at no time: it is the sum of the account's rows that count, or says that
nobody knows. Of more accounts than the cap nobody knows what they add up to.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext
from typing import Final, final

from typing_extensions import override

from hub.engine.counting import Contribution, Counting
from hub.engine.program import Aggregate, Function
from hub.engine.series import EXACT, WORD, ZERO, Op, Part, Series, worded
from hub.engine.windows import Change, Holding, shortest

MAX_ACCOUNTS: Final = 100_000
UNKNOWN_PART: Final = f"{WORD}unknown"
_MORE: Final = "more"  # no account's key


@final
class Current(Counting):
    """The arithmetic of one such aggregate, made once and shared by all keys."""

    __slots__ = ("_function",)

    def __init__(self, aggregate: Aggregate) -> None:
        self._function: Function = aggregate.function

    @override
    def taken(self, value: object) -> Decimal | None:
        return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else None

    @override
    def value(self, holding: Holding, now: int) -> Decimal | None:
        return self._worth(holding.series, (), None)

    def put(self, holding: Holding, account: str, text: str | None) -> Change | None:
        """Return the change of an account's contribution being this from now on; None where it is already."""
        series = holding.series if holding.series is not None else Series()
        found = series.at(0, account)
        new = read_part(account, text) if text is not None else None
        if found == new:
            return None
        ops = [Op(0, account, None, None)] if found is not None else []
        if new is not None and found is None and len(series) >= MAX_ACCOUNTS:
            new = worded(0, _MORE, UNKNOWN_PART[len(WORD) :]) if series.at(0, _MORE) is None else None
        if new is not None:
            ops.append(Op(0, new.ref, new.text, new))
        return Change(self._worth(series, (found,) if found is not None else (), new), None, None, ops)

    @override
    def add(self, holding: Holding, at: int, ref: str, value: Contribution, now: int) -> Change | None:
        return self.put(holding, ref, format(value, "f") if isinstance(value, Decimal) else None)

    @override
    def withdraw(self, holding: Holding, at: int, ref: str, now: int) -> Change:
        return self.put(holding, ref, None) or self.expire(holding, now)

    @override
    def leave(self, holding: Holding, gone: Sequence[Part], now: int) -> Change:
        ops = [Op(part.at, part.ref, None, None) for part in gone]
        return Change(self._worth(holding.series, gone, None), None, None, ops)

    @override
    def expire(self, holding: Holding, now: int) -> Change:
        return Change(self.value(holding, now), None)

    def _worth(self, series: Series | None, gone: Sequence[Part], new: Part | None) -> Decimal | None:
        if series is None:
            series = Series()
        unknown = len(series.words.get(UNKNOWN_PART[len(WORD) :], ()))
        unknown += (new is not None and new.word is not None) - sum(part.word is not None for part in gone)
        if unknown:
            return None
        if self._function in {"min", "max"}:
            return self._extreme(series, gone, new)
        total, count = series.sum, series.count - sum(part.counted for part in gone)
        for part in gone:
            total = EXACT.subtract(total, part.sum)
        if new is not None:
            total, count = EXACT.add(total, new.sum), count + new.counted
        if self._function == "count":
            return Decimal(count)
        if self._function == "sum":
            return shortest(total)
        with localcontext(prec=28):
            return shortest(total / count) if count else None

    def _extreme(self, series: Series, gone: Sequence[Part], new: Part | None) -> Decimal | None:
        stay = [part for part in series if part not in gone]
        if new is not None:
            stay.append(new)
        if self._function == "min":
            return min((part.low for part in stay), default=None)
        return max((part.high for part in stay), default=None)


def read_part(account: str, text: str) -> Part:
    """Return a contribution from its text, as it is mailed and stored."""
    if text.startswith(WORD):
        return worded(0, account, text[len(WORD) :])
    if "|" in text:
        total, count, low, high = text.split("|")
        return Part(0, account, Decimal(total), int(count), Decimal(low), Decimal(high))
    value = Decimal(text)
    return Part(0, account, value, 1, value, value)


def part_of(values: Iterable[Decimal]) -> str | None:
    """Return the text of what several rows contribute together; None for nothing."""
    total, count = ZERO, 0
    low = high = None
    for value in values:
        total, count = EXACT.add(total, value), count + 1
        low = value if low is None else min(low, value)
        high = value if high is None else max(high, value)
    if low is None or high is None:
        return None
    return Part(0, "", total, count, low, high).text
