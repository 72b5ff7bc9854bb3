"""The envelope of an event somebody posts, and what may not be posted."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from hub.clock import MICROSECOND
from hub.events.base import AccountRef, Moment
from hub.events.catalogue import BY_NAME, EventType

MAX_AHEAD = timedelta(hours=24)
MAX_AGE = timedelta(days=35)  # as long as hashed dedupe keys are kept
MAX_AHEAD_US = MAX_AHEAD // MICROSECOND
MAX_AGE_US = MAX_AGE // MICROSECOND
SERVER_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?", re.ASCII)

# These say what the hub itself saw or did. Somebody who could post them could fake a breach or the outcome of a payment.
ONLY_THE_HUB = (
    "equity.crossed",
    "margin.crossed",
    "position.crossed",
    "symbol.crossed",
    "action.",
    "delivery.",
    "endpoint.",
    "connector.",
    "workflow.",
    "manager.",
    "notification.bounced",
    "notification.unsubscribed",
)
# These make sense without an account.
_WITHOUT_ACCOUNT = (
    "client.",
    "deposit.",
    "withdrawal.",
    "kyc.",
    "lead.",
    "group.",
    "symbol.",
    "notification.",
    "custom.",
)


def _object(value: object) -> dict[str, Any]:
    if type(value) is not dict:
        raise PydanticCustomError("object_type", "Input should be an object")
    return value


def _server_time(value: object) -> str:
    if type(value) is not str or not SERVER_TIME.fullmatch(value):
        raise PydanticCustomError(
            "server_time", 'Input should be the broker\'s clock without a zone, as "2026-06-23T12:00:00.123"'
        )
    return value


class PostedEvent(BaseModel):
    """`data` is checked against the model of its type; `dedupe_key` names the event where its data has no number."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="PostedEvent")

    type: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128)]
    timestamp: Moment
    account: AccountRef | None = None
    data: Annotated[dict[str, Any], PlainValidator(_object), WithJsonSchema({"type": "object"})] = Field(
        default_factory=dict
    )
    dedupe_key: (
        Annotated[
            str,
            StringConstraints(strict=True, min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$"),
        ]
        | None
    ) = None
    server_time: (
        Annotated[
            str, PlainValidator(_server_time), WithJsonSchema({"type": "string", "format": "date-time"})
        ]
        | None
    ) = None


def is_the_hubs_own(kind: EventType) -> bool:
    return kind.name.startswith(ONLY_THE_HUB)


def needs_account(kind: EventType) -> bool:
    return not kind.name.startswith(_WITHOUT_ACCOUNT)


POSTABLE = frozenset(kind.name for kind in BY_NAME.values() if not is_the_hubs_own(kind))
