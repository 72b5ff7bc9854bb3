"""Periods of a calendar by name, and what an aggregate is worth in one of them."""

from zoneinfo import ZoneInfo

from hub.clock import from_us
from hub.engine.ledger import AGES, PeriodFacts
from hub.engine.periods import periods
from hub.engine.program import Calendar

EVER = "lifetime"  # the name of the one period that has no end


def label_of(calendar: Calendar | None, start: int) -> str:
    """Return the name of the period that begins at `start`: 2026-03-02, 2026-W10, 2026-03, 2026-Q1 or 2026."""
    if calendar is None:
        return EVER
    day = from_us(start).astimezone(ZoneInfo(calendar.zone)).date()
    match calendar.period:
        case "day":
            return day.isoformat()
        case "week":
            year, week, _ = day.isocalendar()
            return f"{year}-W{week:02}"
        case "month":
            return f"{day.year}-{day.month:02}"
        case "quarter":
            return f"{day.year}-Q{(day.month - 1) // 3 + 1}"
        case _:
            return str(day.year)


def span_of(calendar: Calendar | None, at: int) -> tuple[int, int]:
    """Return [start, end) of the period a moment lies in."""
    return (-AGES, AGES) if calendar is None else periods(calendar).span(at)


def facts_of(calendar: Calendar | None, start: int, end: int) -> PeriodFacts | None:
    """Return the period as the root `period` shows it; None for a lifetime."""
    return None if calendar is None else PeriodFacts(label_of(calendar, start), from_us(start), from_us(end))
