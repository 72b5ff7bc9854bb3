"""Values kept between the steps of a run, and in an intent: as text with their kind, so that they come back as what they were."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from hub.clock import MICROSECOND
from hub.intents.http_request import SecretRef

Kept = tuple[str, str]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def keep(value: Any) -> Kept:
    """Return a value of the expression language, or JSON, as its kind and its text."""
    match value:
        case bool():
            return "bool", "true" if value else "false"
        case Decimal():
            return "number", str(value)
        case int():
            return "int", str(value)
        case str():
            return "string", value
        case datetime():
            return "time", value.isoformat()
        case timedelta():
            return "duration", str(value // MICROSECOND)
        case None:
            return "missing", ""
        case SecretRef(secret=name):
            return "secret", name
        case _:
            return "json", _encode(_tagged(value)).decode()


def recall(kept: Kept) -> Any:
    kind, text = kept
    match kind:
        case "bool":
            return text == "true"
        case "number":
            return Decimal(text)
        case "int":
            return int(text)
        case "string":
            return text
        case "time":
            return datetime.fromisoformat(text)
        case "duration":
            return int(text) * MICROSECOND
        case "missing":
            return None
        case "secret":
            return SecretRef(secret=text)
        case _:
            return _untagged(_decode(text))


def keep_all(values: Mapping[str, Any]) -> dict[str, Kept]:
    return {name: keep(value) for name, value in values.items()}


def recall_all(kept: Mapping[str, Kept]) -> dict[str, Any]:
    return {name: recall(value) for name, value in kept.items()}


def _tagged(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {"m": {name: _tagged(part) for name, part in value.items()}}
    if isinstance(value, list | tuple):
        return {"l": [_tagged(part) for part in value]}
    return {"v": keep(value)}


def _untagged(value: Any) -> Any:
    if "m" in value:
        return {name: _untagged(part) for name, part in value["m"].items()}
    if "l" in value:
        return [_untagged(part) for part in value["l"]]
    kind, text = value["v"]
    return recall((kind, text))
