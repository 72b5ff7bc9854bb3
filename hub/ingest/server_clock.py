"""A trading server's own clock: local time that its gateways print as if it were UTC, and what UTC it really is.

A moment by the server's clock is kept as `server_us`: the microseconds since 1970 that its digits would be if they were
UTC. Two things can say how far it is from UTC: the zone the operator configured, and the offset the server shows right
now. Where they agree the zone decides, because it also knows the past; where they do not, the server is right about now.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from hub.clock import EPOCH, MICROSECOND, Clock, from_us, to_us
from hub.errors import RecordMalformed

QUARTER: Final = timedelta(minutes=15)
RECENT: Final = timedelta(days=1)
SLACK: Final = timedelta(minutes=2)
AGREEING: Final = 3
LARGEST_OFFSET: Final = timedelta(hours=14)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OffsetChanged:
    before: timedelta | None
    after: timedelta
    expected: timedelta | None  # by the configured zone or offset


class ServerClock:
    def __init__(self, clock: Clock, *, zone: str | None = None, utc_offset: timedelta | None = None) -> None:
        self._clock = clock
        self._zone = ZoneInfo(zone) if zone else None
        self._configured = utc_offset
        self.measured: timedelta | None = None
        self._guesses: list[timedelta] = []

    def measure(self, offset: timedelta) -> OffsetChanged | None:
        """Take what the server says its offset from UTC is now; return the change, if it is news."""
        if abs(offset) > LARGEST_OFFSET:
            raise RecordMalformed(f"a server clock {offset} away from UTC: no zone is that far")
        before, self.measured = self.measured, offset
        expected = self._offset_at(self._clock.now())
        is_news = before != offset if before is not None else expected is not None and expected != offset
        return OffsetChanged(before, offset, expected) if is_news else None

    def infer(self, server_us: int) -> OffsetChanged | None:
        """Take a moment at which something has just happened by the server's clock; several that agree are a measurement.

        What is not near a quarter of an hour from UTC was no such moment.
        """
        difference = timedelta(microseconds=server_us - self._clock.now_us())
        offset = round(difference / QUARTER) * QUARTER
        if abs(offset) > LARGEST_OFFSET or abs(difference - offset) > SLACK:
            return None
        self._guesses = [*self._guesses[1 - AGREEING :], offset]
        if len(self._guesses) < AGREEING or len(set(self._guesses)) > 1:
            return None
        return self.measure(offset)

    def to_utc(self, server_us: int) -> datetime:
        now = self._clock.now()
        return from_us(server_us) - resolve(
            server_us, zone=self._zone, configured=self._configured, measured=self.measured, now=now
        )

    def from_utc(self, moment: datetime) -> int:
        offset = self.measured if self._is_recent(moment) and self.measured is not None else None
        known = offset if offset is not None else self._offset_at(moment)
        return to_us(moment) + ((known or timedelta()) // MICROSECOND)

    def now(self) -> int:
        return self.from_utc(self._clock.now())

    def _offset_at(self, moment: datetime) -> timedelta | None:
        return moment.astimezone(self._zone).utcoffset() if self._zone else self._configured

    def _is_recent(self, moment: datetime) -> bool:
        return abs(moment - self._clock.now()) <= RECENT


def resolve(
    server_us: int,
    *,
    zone: ZoneInfo | None,
    configured: timedelta | None,
    measured: timedelta | None,
    now: datetime,
) -> timedelta:
    """Return how far the server's clock was from UTC when it showed `server_us`."""
    if zone is None:
        return measured if measured is not None else configured or timedelta()
    shown = from_us(server_us)
    disagrees = measured is not None and now.astimezone(zone).utcoffset() != measured
    if measured is not None and disagrees and abs(shown - measured - now) <= RECENT:
        return measured
    candidates = _possible(shown, zone)
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        # The zone skipped this time: the server did not follow its rule, so what it shows now counts.
        skipped = shown.replace(tzinfo=zone, fold=0).utcoffset()
        return measured if measured is not None else skipped or timedelta()
    # The zone had this time twice. A fact cannot be from the future; else the clock in force now is the better guess.
    past = [offset for offset in candidates if shown - offset <= now + SLACK] or candidates[:1]
    return measured if measured is not None and measured in past else past[-1]


def _possible(shown: datetime, zone: ZoneInfo) -> list[timedelta]:
    """Return the offsets at which the zone's clock showed this time, the earlier moment first."""
    found: list[timedelta] = []
    for fold in (0, 1):
        offset = shown.replace(tzinfo=zone, fold=fold).utcoffset()
        assert offset is not None
        if (shown - offset).astimezone(zone).utcoffset() == offset and offset not in found:
            found.append(offset)
    return found


def seconds(value: int, what: str) -> int:
    """Return `server_us` from server-clock seconds; 0 means never."""
    if not 0 <= value <= (_LATEST - EPOCH) // timedelta(seconds=1):
        raise RecordMalformed(f"{what}: {value} is no time in seconds")
    return value * 1_000_000


def written(text: str, what: str) -> int:
    """Return `server_us` from ISO text; a zone in it is not believed, and years before 1971 mean never."""
    try:
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise RecordMalformed(f"{what}: {text[:40]!r} is no date and time") from error
    if moment > _LATEST:
        raise RecordMalformed(f"{what}: {text[:40]!r} is too far in the future")
    return to_us(moment) if moment.year > 1970 else 0


def display(server_us: int) -> str:
    """Return the server's clock as it shows itself, without a zone."""
    moment = from_us(server_us).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds" if server_us % 1_000_000 else "seconds")
