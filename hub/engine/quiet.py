"""Quiet hours: when they end by somebody's clock, if it is quiet there now."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hub.engine.program_timed import Quiet
from hub.errors import HubError

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


class NoClock(HubError):
    """Nobody can say whose clock counts."""


def quiet_until(quiet: Quiet, at: datetime, env: dict[str, object]) -> datetime | None:
    """Return when it is over, in UTC; None when it is not quiet. Raises NoClock where the zone is not known."""
    zone = _zone(quiet, env)
    local = at.astimezone(zone)
    today, now = local.date(), local.time()
    if quiet.start < quiet.end:
        is_quiet, last = quiet.start <= now < quiet.end, today
    else:
        is_quiet, last = now >= quiet.start or now < quiet.end, today if now < quiet.end else today + DAY
    if not is_quiet:
        return None
    # Where the clocks are put back the end may lie behind: then it is over.
    end = _first_at(datetime.combine(last, quiet.end), zone)
    return end if end > at else None


def _first_at(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return when a clock first shows that time; of one it jumps over, the jump."""
    found = wall.replace(tzinfo=zone).astimezone(UTC)
    if _shown(found, zone) != wall:
        while _shown(found - MINUTE, zone) >= wall:
            found -= MINUTE
    return found


def _shown(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def _zone(quiet: Quiet, env: dict[str, object]) -> ZoneInfo:
    if isinstance(quiet.zone, str):
        return ZoneInfo(quiet.zone)
    name = quiet.zone.evaluate(env)
    if not isinstance(name, str):
        raise NoClock(f"quiet_hours: {quiet.zone.explain(env)}")
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as problem:
        raise NoClock(f"quiet_hours: {name!r} is no time zone") from problem
