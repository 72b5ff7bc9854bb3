"""JSON that was stored, shown again with everything secret in it taken out."""

import re
from typing import Any

import msgspec

_SECRET = re.compile(
    r"password|passwd|passphrase|(^|_)(pass|pwd)$|secret|token|api_?key|authorization|credential",
    re.IGNORECASE,
)
_HIDDEN = "•••"


def stored_json(body: bytes) -> Any:
    """Return the value, redacted; None when it is not JSON."""
    try:
        return redacted(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _HIDDEN if _SECRET.search(str(name)) and item is not None else redacted(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [redacted(item) for item in value]
    return value
