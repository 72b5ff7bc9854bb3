"""JSON Schema of every event, told apart by `type`."""

import json
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hub.events.base import AccountRef, Flags
from hub.events.catalogue import BY_CODE, CUSTOM, EventType
from hub.events.examples import stored_example

DIALECT = "https://json-schema.org/draft/2020-12/schema"
CUSTOM_NAME = r"^custom(\.[A-Za-z0-9_]+)+$"


def event_schema(*, refs: str = "#/$defs/") -> dict[str, Any]:
    """Return the schema of an event as the hub stores and lists it; `refs` is where its definitions will stand."""
    kinds = list(BY_CODE.values())
    models: list[type[BaseModel]] = [AccountRef, Flags, *dict.fromkeys(kind.model for kind in kinds)]
    _, found = models_json_schema(
        [(model, "validation") for model in models],
        ref_template=refs + "{model}",
    )
    definitions: dict[str, Any] = found["$defs"]
    for kind in kinds:
        definitions[_title(kind)] = _event(kind, refs)
    return {
        "$schema": DIALECT,
        "title": "Event",
        "description": "One fact. Money, lots and prices are decimal strings; times are UTC.",
        "oneOf": [{"$ref": refs + _title(kind)} for kind in kinds],
        "discriminator": {
            "propertyName": "type",
            "mapping": {kind.name: refs + _title(kind) for kind in kinds if kind is not CUSTOM},
        },
        "$defs": definitions,
    }


def _title(kind: EventType) -> str:
    """Return ``trade.closed`` as ``Event_trade_closed``: no model is named like that."""
    return "Event_" + kind.name.removesuffix(".*").replace(".", "_")


def _event(kind: EventType, refs: str) -> dict[str, Any]:
    name: dict[str, Any] = (
        {"type": "string", "pattern": CUSTOM_NAME, "maxLength": 128}
        if kind is CUSTOM
        else {"const": kind.name}
    )
    moment = {"type": "string", "format": "date-time"}
    maybe_text = {"type": ["string", "null"]}
    schema: dict[str, Any] = {
        "title": kind.name,
        "description": kind.about,
        "type": "object",
        "required": ["id", "type", "timestamp", "received_at", "source", "dedupe_key", "data", "schema"],
        "properties": {
            "id": {"type": "string", "pattern": "^evt_[a-z2-7]{26}$"},
            "type": name,
            "timestamp": moment,
            "received_at": moment,
            "source": {"type": "string"},
            "dedupe_key": {"type": "string"},
            "data": {"$ref": refs + kind.model.__name__},
            "server_time": {**maybe_text, "description": "The broker's clock, without a zone."},
            "account": {"anyOf": [{"$ref": refs + "AccountRef"}, {"type": "null"}]},
            "schema": {"type": "integer", "minimum": 1} if kind is CUSTOM else {"const": kind.schema},
            "caused_by": maybe_text,
            "endpoints": {"type": ["array", "null"], "items": {"type": "string"}},
            "flags": {"$ref": refs + "Flags"},
            "sequence": {
                "type": ["integer", "null"],
                "description": "Counts the account's events in the order the hub learned them, without gaps.",
            },
        },
        "additionalProperties": False,
    }
    stored = json.loads(msgspec.json.encode(stored_example(kind)))
    schema["examples"] = [{name: value for name, value in stored.items() if value is not None}]
    return schema | ({"deprecated": True} if kind.deprecated is not None else {})
