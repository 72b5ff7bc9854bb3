"""The broker server's clock, for windows of history: its readings look like Unix seconds and are not."""

import re
from datetime import UTC, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hub.clock import SECOND_US, from_us
from hub.errors import ConfigError

_OFFSET = re.compile(r"([+-])([01][0-9]):([0-5][0-9])", re.ASCII)


def parse_zone(text: str) -> tzinfo:
    """Return the zone of an IANA name or of an offset such as +03:00. Raises ConfigError."""
    fixed = _OFFSET.fullmatch(text)
    if fixed:
        size = timedelta(hours=int(fixed[2]), minutes=int(fixed[3]))
        return timezone(-size if fixed[1] == "-" else size)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise ConfigError(
            f"unknown time zone {text!r}: write a name such as Europe/Nicosia, or +03:00"
        ) from problem


def server_seconds(at_us: int, zone: tzinfo) -> int:
    """Return what the server's clock shows at a moment, read as Unix seconds."""
    local = from_us(at_us).astimezone(zone).replace(tzinfo=UTC)
    return int(local.timestamp() * SECOND_US) // SECOND_US
