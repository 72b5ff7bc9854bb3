"""An endpoint as it is asked for and shown: what it may say about itself, each field with its bounds."""

from typing import Annotated, Any, Final

import msgspec
import yarl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, field_validator
from pydantic_core import PydanticCustomError

from hub.api.event_patterns import known_pattern
from hub.clock import iso
from hub.dispatch import headers as rules
from hub.dispatch.keyring import KeyKind, SigningKey, keyring_of
from hub.dispatch.options import EndpointOptions, Format, Kind, Order, Scheme, Stuck
from hub.dispatch.outbox import Endpoint
from hub.dispatch.patterns import PatternInvalid
from hub.dispatch.schedule import Wait
from hub.events.base import Text

_LONGEST_WAIT_S: Final = 7 * 24 * 3600
_EXAMPLE: Final = "data.lots >= 1 and account.server == 'live-1'"


def _pattern(text: str) -> str:
    try:
        return known_pattern(text)
    except PatternInvalid as error:
        raise ValueError(str(error)) from None


Pattern = Annotated[str, AfterValidator(_pattern)]
Url = Annotated[str, Field(max_length=2048)]
Events = Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=64)]
Schedule = Annotated[tuple[Wait, ...], Field(min_length=1, max_length=20)]
Channel = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class Wishes(BaseModel):
    """What an endpoint may ask for beside its address and its types; null goes back to what is usual."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    where: Annotated[str, Field(max_length=2_000, examples=[_EXAMPLE])] | None = Field(
        None, description="An expression on the event: only those it is true for are sent."
    )
    channels: Annotated[tuple[Channel, ...], Field(max_length=10)] | None = Field(
        None, description="Only events whose data has one of these under `channel` or `channels`."
    )
    owner: Text | None = Field(None, description="Who looks after the receiver.")
    format: Format | None = Field(
        None,
        description="standard: Standard Webhooks; cloudevents: CloudEvents 1.0; raw: what `transform` makes.",
    )
    transform: Annotated[str, Field(max_length=16_384)] | None = Field(
        None, description="A template of the event's data; with format raw, of the whole body."
    )
    content_type: Annotated[str, Field(max_length=128)] | None = Field(
        None, description="Of a raw body; application/json when left out."
    )
    headers: (
        Annotated[
            dict[
                Annotated[str, Field(max_length=rules.MAX_NAME)],
                Annotated[str, Field(max_length=rules.MAX_VALUE)],
            ],
            Field(max_length=rules.MOST),
        ]
        | None
    ) = Field(None, description="Sent with every delivery. A secret one is shown as ********.")
    secret_headers: (
        Annotated[tuple[Annotated[str, Field(max_length=rules.MAX_NAME)], ...], Field(max_length=rules.MOST)]
        | None
    ) = Field(None, description="Names of headers that are never shown; Authorization and Cookie never are.")
    scheme: Scheme | None = Field(
        None, description="How it is signed; stripe and github come beside the standard signature."
    )
    timeout: Annotated[float, Field(strict=True, ge=0.1, le=60, allow_inf_nan=False)] | None = Field(
        None, description="Seconds an attempt may take, answer included."
    )
    rate: Annotated[float, Field(strict=True, ge=0.001, le=10_000, allow_inf_nan=False)] | None = Field(
        None, description="Deliveries a second at most."
    )
    burst: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = Field(
        None, description="How many of them may go at once."
    )
    concurrency: Annotated[int, Field(strict=True, ge=1, le=256)] | None = Field(
        None, description="Attempts at a time at most."
    )
    order: Order | None = Field(None, description="account: the events of an account one after the other.")
    stuck: Stuck | None = Field(
        None, description="With order: account, what becomes of those behind one that fails."
    )
    stuck_for: Annotated[float, Field(strict=True, ge=1, le=_LONGEST_WAIT_S, allow_inf_nan=False)] | None = (
        Field(None, description="Seconds for which one that fails holds up those behind it.")
    )
    challenge: StrictBool | None = Field(
        None,
        description="Ask the receiver with OPTIONS whether it wants this (CloudEvents), before anything is sent.",
    )


class NewEndpoint(Wishes):
    """`events` are types (trade.closed), families (trade.*) or *; `schedule` waits in seconds before each attempt."""

    url: Url | None = Field(None, description="Where it goes; an endpoint of kind kafka has none.")
    kind: Kind = Field("http", description="http, or kafka: a topic the operator has opened to endpoints.")
    topic: Topic | None = Field(None, description="Of an endpoint of kind kafka.")
    events: Events
    description: Text = ""
    enabled: StrictBool = True
    schedule: Schedule | None = None
    signing: KeyKind = Field(
        "v1", description="v1: a shared secret; v1a: ed25519, the receiver gets the public half alone."
    )


class EndpointChange(Wishes):
    """What is left out stays as it is."""

    url: Url | None = None
    topic: Topic | None = None
    events: Events | None = None
    description: Text | None = None
    enabled: StrictBool | None = None
    schedule: Schedule | None = None

    @field_validator("url", "topic", "events", "enabled", mode="before")
    @classmethod
    def _is_something(cls, value: object) -> object:
        if value is None:
            raise PydanticCustomError("hub", "there is nothing usual to go back to: leave it out to keep it")
        return value


# Names of the API for fields of the options that say their unit.
_RENAMED: Final = {"timeout": "timeout_s", "stuck_for": "stuck_s"}
_NO_OPTIONS: Final = EndpointOptions()


def options_with(wishes: NewEndpoint | EndpointChange, before: EndpointOptions) -> EndpointOptions:
    """Return the options as these wishes change them."""
    changes: dict[str, Any] = {}
    for name in wishes.model_fields_set & (Wishes.model_fields.keys() | {"kind", "topic"}):
        value, field = getattr(wishes, name), _RENAMED.get(name, name)
        if value is None:
            changes[field] = getattr(_NO_OPTIONS, field)
        elif name == "headers":
            changes[field] = rules.kept(tuple(value.items()), before.headers)
        else:
            changes[field] = value
    if "challenge" in changes and not changes["challenge"]:
        changes["allowed_rate"] = None
    after = msgspec.structs.replace(before, **changes)
    return msgspec.structs.replace(after, secret_headers=_still_secret(before, after))


def _still_secret(before: EndpointOptions, after: EndpointOptions) -> tuple[str, ...]:
    """Return the secret headers: a value that was secret stays so until another is given, or it could be read again."""
    # However a name is spelt, it is the same header.
    were = {
        name.lower(): value for name, value in before.headers if rules.is_secret(name, before.secret_headers)
    }
    kept = [name for name, value in after.headers if were.get(name.lower()) == value]
    return (
        *after.secret_headers,
        *(name for name in kept if not rules.is_secret(name, after.secret_headers)),
    )


def moves_a_secret(change: EndpointChange, before: Endpoint, after: Endpoint) -> str | None:
    """Return a secret header that would go to another address than it was given for; None when there is none."""
    if change.url is None or yarl.URL(before.url).origin() == yarl.URL(after.url).origin():
        return None
    given = dict(change.headers or {}) if "headers" in change.model_fields_set else {}
    for name, _ in after.options.headers:
        if (
            rules.is_secret(name, after.options.secret_headers)
            and given.get(name, rules.HIDDEN) == rules.HIDDEN
        ):
            return name
    return None


def endpoint_json(endpoint: Endpoint, now_us: int, *, secret: bool = False) -> dict[str, Any]:
    options = endpoint.options
    keys = keyring_of(endpoint.secret).live(now_us) if endpoint.secret else ()
    shown: dict[str, Any] = {
        "id": endpoint.id,
        "kind": options.kind,
        "url": endpoint.url if options.kind == "http" else None,
        "topic": options.topic or None,
        "events": endpoint.events,
        "where": options.where or None,
        "channels": options.channels,
        "description": endpoint.description,
        "owner": options.owner or None,
        "state": endpoint.state,
        "reason": endpoint.reason or None,
        "format": options.format,
        "transform": options.transform or None,
        "content_type": options.content_type or None,
        "headers": rules.shown(options.headers, options.secret_headers),
        "secret_headers": options.secret_headers,
        "scheme": options.scheme,
        "public_key": keys[0].public if keys else None,
        "keys": [key_json(key) for key in keys],
        "schedule": endpoint.schedule,
        "timeout": options.timeout_s,
        "rate": options.rate,
        "burst": options.burst,
        "concurrency": options.concurrency,
        "order": options.order,
        "stuck": options.stuck,
        "stuck_for": options.stuck_s,
        "challenge": options.challenge,
        "allowed_rate": options.allowed_rate,
        "created_at": iso(endpoint.created_at),
    }
    if secret:
        # Who has the private half of a pair could sign in the hub's place: it is never shown.
        shown["secret"] = keys[0].secret if keys and keys[0].kind == "v1" else None
    return shown


def key_json(key: SigningKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "kind": key.kind,
        "public_key": key.public,
        "until": None if key.until is None else iso(key.until),
    }
