"""The catalogue as an AsyncAPI 3.0 document: what the hub sends to endpoints, and to a Kafka topic where one is set up."""

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hub import __version__
from hub.events.base import AccountRef
from hub.events.catalogue import CUSTOM, EventType
from hub.events.examples import Example, every_type, sent_example
from hub.events.schema import CUSTOM_NAME

SCHEMAS: Final = "#/components/schemas/"
MESSAGES: Final = "#/components/messages/"
_HEADERS: Final = "WebhookHeaders"
_JSON: Final = "application/json"


def asyncapi() -> dict[str, Any]:
    """Return the document."""
    kinds = every_type()
    names = [message_name(kind) for kind in kinds]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "hub",
            "version": __version__,
            "description": "Events of MetaTrader 4 and 5, and of the hub itself, as they are delivered. "
            "Money, lots and prices are decimal strings; times are UTC. /docs/events of the hub says the same in words.",
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": _JSON,
        "channels": {
            "webhooks": _channel(
                "An endpoint's own URL. Every request is one event, by POST, signed as Standard Webhooks says.", names
            ),
            "stream": _channel(
                "The Kafka topic that `stream.topic` names: the same bodies without headers, keyed by account.", names
            ),
        },
        "operations": {
            "deliver": _sends("webhooks", "Delivers an event, at least once, under a `webhook-id` that stays."),
            "publish": _sends("stream", "Publishes an event, at least once, in order per account."),
        },
        "components": {
            "messages": {message_name(kind): message(kind, sent_example(kind)) for kind in kinds},
            "schemas": _schemas(kinds),
        },
    }  # fmt: skip


def message_name(kind: EventType) -> str:
    """Return ``trade.closed`` as ``trade_closed``: names of components have no dots, and declared ones may have `_`."""
    if kind.name.startswith("custom.") and kind is not CUSTOM:
        return kind.name.replace(".", "-")
    return kind.name.removesuffix(".*").replace(".", "_")


def _channel(about: str, names: list[str]) -> dict[str, Any]:
    return {
        "address": None,  # known at run time: it is the receiver's
        "description": about,
        "messages": {name: {"$ref": MESSAGES + name} for name in names},
    }


def _sends(channel: str, summary: str) -> dict[str, Any]:
    return {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def message(kind: EventType, body: Example) -> dict[str, Any]:
    """Return the message that tells of a type; `body` is one such."""
    told: dict[str, Any] = {
        "name": kind.name,
        "title": kind.name,
        "summary": kind.about,
        "contentType": _JSON,
        "headers": {"$ref": SCHEMAS + _HEADERS},
        "payload": {"$ref": SCHEMAS + payload_name(kind)},
        "tags": [{"name": kind.name.partition(".")[0]}],
        "examples": [
            {
                "name": message_name(kind),
                "headers": {
                    "webhook-id": body["id"],
                    "webhook-timestamp": "1782205200",
                    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
                },
                "payload": body,
            }
        ],
        "x-version": kind.schema,
    }
    if kind.deprecated is not None:
        told["x-deprecated"] = kind.deprecated.in_words
    return told


def payload_name(kind: EventType) -> str:
    return "Sent_" + message_name(kind)


def _schemas(kinds: list[EventType]) -> dict[str, Any]:
    models: list[type[BaseModel]] = [AccountRef, *dict.fromkeys(kind.model for kind in kinds)]
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template=SCHEMAS + "{model}"
    )
    schemas: dict[str, Any] = found["$defs"]
    for kind in kinds:
        schemas[payload_name(kind)] = payload(kind, SCHEMAS + kind.model.__name__)
    schemas[_HEADERS] = {
        "type": "object",
        "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
        "properties": {
            "webhook-id": {"type": "string", "description": "The event's id: the same for every attempt and replay."},
            "webhook-timestamp": {"type": "string", "description": "Of this attempt, in seconds."},
            "webhook-signature": {"type": "string", "description": "One or several, separated by spaces."},
        },
    }  # fmt: skip
    return schemas


def payload(kind: EventType, data: str) -> dict[str, Any]:
    """Return the schema of a type's body; `data` is where the schema of its data stands."""
    named: dict[str, Any] = (
        {"type": "string", "pattern": CUSTOM_NAME} if kind is CUSTOM else {"type": "string", "const": kind.name}
    )  # fmt: skip
    schema: dict[str, Any] = {
        "title": kind.name,
        "description": kind.about,
        "type": "object",
        "required": ["id", "type", "timestamp", "account", "sequence", "data"],
        "properties": {
            "id": {"type": "string", "pattern": "^evt_[a-z2-7]{26}$"},
            "type": named,
            "timestamp": {"type": "string", "format": "date-time"},
            "account": {"anyOf": [{"$ref": SCHEMAS + "AccountRef"}, {"type": "null"}]},
            "sequence": {
                "type": ["integer", "null"],
                "description": "Counts the account's events in the order the hub learned them, without gaps.",
            },
            "data": {"$ref": data},
        },
    }
    return schema | ({"deprecated": True} if kind.deprecated is not None else {})
