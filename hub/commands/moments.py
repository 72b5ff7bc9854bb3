"""Times as somebody types them on a command line."""

from datetime import UTC, datetime

from hub.clock import MICROSECOND, Clock, to_us
from hub.durations import duration
from hub.errors import ConfigError


def moment_or_age(text: str, option: str, clock: Clock) -> int | None:
    """As `moment`, or so long ago as a duration says."""
    if not text:
        return None
    try:
        age = duration(text)
    except ValueError:
        age = None
    if age is not None:
        return clock.now_us() - age // MICROSECOND
    try:
        return moment(text, option)
    except ConfigError as error:
        raise ConfigError(f"{error}; or how long ago, such as 2h") from error


def moment(text: str, option: str) -> int | None:
    """Return a moment, a day or a time, UTC where it names no offset; None where nothing was typed. Raises ConfigError."""
    if not text:
        return None
    try:
        told = datetime.fromisoformat(text)
        return to_us((told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"{option} {text!r} is no time: write 2026-03-01 or 2026-03-01T12:00+02:00"
        ) from error
