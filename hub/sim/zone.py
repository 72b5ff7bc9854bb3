"""The broker server's own clock, which is not UTC although its numbers look like it."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hub.clock import SECOND_US, from_us
from hub.errors import ConfigError

FIXED = re.compile(r"([+-])(\d\d):(\d\d)")
NEVER = "0001-01-01T00:00:00"


class ServerZone:
    """A zone by name (``Europe/Nicosia``) or a fixed offset (``+03:00``)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._zone = self._parse(name)

    def offset_seconds(self, us: int) -> int:
        """Return server clock less UTC at a moment."""
        offset = from_us(us).astimezone(self._zone).utcoffset()
        assert offset is not None
        return int(offset.total_seconds())

    def seconds(self, us: int) -> int:
        """Return the server clock read as if it were a Unix time; 0 stays 0, which means never."""
        return us // SECOND_US + self.offset_seconds(us) if us else 0

    def moment(self, seconds: int) -> int:
        """Return the moment, in microseconds UTC, at which the server clock reads like this Unix time."""
        guess = seconds * SECOND_US
        return guess - self.offset_seconds(guess) * SECOND_US if seconds else 0

    def text(self, us: int) -> str:
        """Return ``yyyy-MM-ddTHH:mm:ss`` by the server clock; 0 is the gateway's word for never."""
        return from_us(us).astimezone(self._zone).strftime("%Y-%m-%dT%H:%M:%S") if us else NEVER

    def day(self, us: int) -> str:
        return from_us(us).astimezone(self._zone).date().isoformat()

    @staticmethod
    def read_text(text: str) -> int:
        """Return the false Unix time a server-clock text stands for, comparable with ``seconds``."""
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())

    @staticmethod
    def _parse(name: str) -> tzinfo:
        fixed = FIXED.fullmatch(name)
        if fixed:
            sign, hours, minutes = fixed.groups()
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            return timezone(-offset if sign == "-" else offset)
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigError(
                f"unknown server zone {name!r}: use a name such as Europe/Nicosia, or +03:00"
            ) from error
