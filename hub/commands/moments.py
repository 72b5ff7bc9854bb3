"""Times as somebody types them on a command line."""

from datetime import UTC, datetime

from hub.clock import to_us
from hub.errors import ConfigError


def moment(text: str, option: str) -> int | None:
    """Return a moment, a day or a time, UTC where it names no offset; None where nothing was typed. Raises ConfigError."""
    if not text:
        return None
    try:
        told = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"{option} {text!r} is no time: write 2026-03-01 or 2026-03-01T12:00+02:00"
        ) from error
    return to_us(told if told.tzinfo else told.replace(tzinfo=UTC))
