"""Which event types an endpoint asked for: exact names, ``trade.*`` for a whole family, ``*`` for everything."""

import re

from hub.errors import ConfigError

_PATTERN = re.compile(r"\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?", re.ASCII)
MAX_PATTERN = 128


class PatternInvalid(ConfigError):
    """A type pattern that would never match."""


def check_pattern(text: str) -> str:
    """Return the pattern if it is one. Raises PatternInvalid."""
    if len(text) > MAX_PATTERN or not _PATTERN.fullmatch(text):
        raise PatternInvalid(
            f"{text[:MAX_PATTERN]!r} is no pattern of event types: write a type (trade.closed), a family (trade.*) or *"
        )
    return text


def matches(pattern: str, event_type: str) -> bool:
    if pattern in {"*", event_type}:
        return True
    return pattern.endswith(".*") and event_type.startswith(pattern[:-1])
