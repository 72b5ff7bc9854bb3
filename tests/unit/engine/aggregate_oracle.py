"""What an aggregate has to be worth, worked out from every fact again and from nothing of the engine's; and what keeps one.

Which moments a window shows is told by the calendar on the wall, not by the periods the engine cuts.
"""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, localcontext
from zoneinfo import ZoneInfo

import msgspec

from hub.engine.accumulators import counting
from hub.engine.program import Aggregate, Calendar, Lifetime, Retract, Sliding, Tumbling
from hub.engine.series import Series
from hub.engine.totals import Total
from hub.engine.windows import Holding

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000
DAY = 24 * HOUR
DAYS = Calendar("day", "Europe/Prague")


def moment_of(day):
    return (day - EPOCH) // timedelta(microseconds=1)


# The European clock change of spring, that of autumn, and a leap day.
BASES = [moment_of(datetime(*day, tzinfo=UTC)) for day in [(2026, 3, 28), (2026, 10, 24), (2028, 2, 28)]]
WINDOWS = [
    Sliding(timedelta(hours=30)),
    Calendar("day", "Europe/Nicosia"),
    Calendar("day", "America/New_York", "17:00"),
    Calendar("month", "Europe/Nicosia"),
    Tumbling(timedelta(hours=7)),
    Tumbling(timedelta(days=3)),
    Lifetime(),
]
VALUES = [
    Decimal(1),
    Decimal("1.00"),
    Decimal("-2.5"),
    Decimal("-0.0"),
    "EURUSD",
    "eurusd",
    "1",
    "",
    "x" * 100,
]


def an_aggregate(function, window, *, retract):
    taken_back = Retract("trade.cancelled", "event.deal") if retract else None
    days = DAYS if function in {"distinct_days", "best_day_share"} else None
    return Aggregate("a", "a", "trade.closed", function, None, None, window, taken_back, days)


class Hub:
    """Keeps what an accumulator says to keep, as rows too: `restarted` reads these again."""

    def __init__(self, aggregate):
        self.accumulator = counting(aggregate)
        self.total, self.series, self.rows = None, None, {}

    @property
    def holding(self):
        return Holding(self.total, self.series)

    def put(self, change):
        if change is None:
            return
        self.total = change.total if change.total is not None else self.total
        for op in change.ops:
            self.series = self.series if self.series is not None else Series()
            self.series.apply(op)
            if op.text is None:
                self.rows.pop((op.at, op.ref), None)
            else:
                self.rows[(op.at, op.ref)] = op.text

    def restart(self):
        self.series = Series() if self.rows else None
        for (at, ref), text in sorted(self.rows.items()):
            self.series.load(at, ref, text)
        if self.total is not None:
            self.total = msgspec.json.decode(msgspec.json.encode(self.total), type=Total)


class Facts:
    """Tells a hub's accumulator what happened and what is taken back, and knows by itself what is left of it."""

    def __init__(self, hub):
        self.hub = hub
        self._known = []  # when, the order of arrival, which, what
        self._gone_early = set()  # taken back before they came: they never count

    def tell(self, number, at, value, now, *, ref, order):
        change = self.hub.accumulator.add(self.hub.holding, at, ref, value, now)
        if number not in self._gone_early:
            self._known.append((at, order, number, value))
        return change

    def take_back(self, number, at, now):
        change = self.hub.accumulator.withdraw(self.hub.holding, at, str(number), now)
        if not any(known == number for _, _, known, _ in self._known):
            self._gone_early.add(number)
        self._known = [fact for fact in self._known if fact[2] != number]
        return change

    def where(self, counts):
        """Return those that count, by their moment: when, the order of arrival, what."""
        return [(at, order, value) for at, order, _, value in self._known if counts(at)]

    def shown_by(self, window, now):
        return self.where(lambda at: shown(window, at, now))


def wall(at, zone):
    return (EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(zone))


def period(window, at):
    """Return what the calendar on the wall calls the period a moment belongs to: its day begins at `daily_at`."""
    clock = wall(at, window.zone)
    begun = clock.time() >= time.fromisoformat(window.daily_at)
    day = clock.date() if begun else clock.date() - timedelta(days=1)
    match window.period:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.year, day.month
        case "quarter":
            return day.year, (day.month - 1) // 3
        case _:
            return day.year


def shown(window, at, now):
    if isinstance(window, Sliding):
        return now - window.duration // timedelta(microseconds=1) < at <= now
    if isinstance(window, Lifetime):
        return True
    if isinstance(window, Tumbling):
        length = window.duration // timedelta(microseconds=1)
        return at // length == now // length
    return period(window, at) == period(window, now)


def share(facts, zone=DAYS.zone):
    days = {}
    for at, _, value in facts:
        day = wall(at, zone).date()
        days[day] = days.get(day, Decimal(0)) + value
    total = sum(days.values(), Decimal(0))
    if total <= 0:
        return None
    with localcontext(prec=28):
        return max(days.values()) * 100 / total


def expected(function, facts):
    """Facts are (at, order of arrival, value). Equal numbers hash alike, and no text equals a number."""
    values = [value for _, _, value in facts]
    match function:
        case "sum":
            return sum(values, Decimal(0))
        case "count":
            return len(values)
        case "min" | "max":
            return (min if function == "min" else max)(values, default=None)
        case "avg":
            with localcontext(prec=28):
                return sum(values, Decimal(0)) / len(values) if values else None
        case "last":
            return max(facts, key=lambda fact: fact[:2])[2] if facts else None
        case "distinct":
            return len(set(values))
        case "distinct_days":
            return len({wall(at, DAYS.zone).date() for at, _, _ in facts})
        case _:
            return share(facts)
