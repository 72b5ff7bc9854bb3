"""Patterns of event types as somebody types them: one that no event could ever match is a slip, and is said."""

from hub.dispatch.patterns import PatternInvalid, check_pattern, matches
from hub.events.catalogue import BY_NAME
from hub.ingest.refusals import nearest

_FAMILIES = sorted({f"{name.partition('.')[0]}.*" for name in BY_NAME})


def known_pattern(text: str) -> str:
    """Return a pattern that some event of the catalogue matches, or one of custom events. Raises PatternInvalid."""
    check_pattern(text)
    if not text.startswith("custom.") and not any(matches(text, name) for name in BY_NAME):
        fix = nearest(text, [*BY_NAME, *_FAMILIES])
        raise PatternInvalid(f"{text} matches no event type{', ' + fix if fix else ''}")
    return text
