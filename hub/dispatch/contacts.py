"""Whether a message may go to somebody: nobody is written to who is suppressed, did not consent, or had enough.

What a client had is counted over all workflows and keys, so it is decided where messages are sent: once, in the
transaction that writes it down as one of the client's.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Final, Literal, NamedTuple, Protocol, Self, final

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hub.clock import MICROSECOND, Clock
from hub.dispatch.lateness import expiry_of
from hub.dispatch.messages import Message, message_id
from hub.durations import span
from hub.intents.contact import CHANNELS, NEEDS_CONSENT, USUAL, Category, Channel, plain_address
from hub.intents.intent import Intent, State, decided_by

LONGEST: Final = timedelta(days=366)  # contacts are kept a little longer than any limit looks back
KEPT: Final = timedelta(days=400)
ALL: Final = "all"
# A message that never reached anybody is nobody's contact.
NOT_SENT: Final = (State.EXHAUSTED.value, State.REJECTED.value, State.SUPPRESSED.value)
_CLIENT_KEY: Final = "client="


class ContactLimit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    max: Annotated[int, Field(ge=0, le=1_000)]
    every: Annotated[timedelta, BeforeValidator(span), Field(gt=timedelta(), le=LONGEST)]


Policy = Mapping[Category, ContactLimit]


class Suppression(NamedTuple):
    """`value` is an address as it is compared, or a client's id; `at` in µs.

    `channel` is one of them or "all"; "email/marketing" closes it for messages of one category alone.
    """

    id: str
    kind: Literal["address", "client"]
    value: str
    channel: str
    reason: str
    added_by: str
    at: int

    @classmethod
    def of(
        cls, kind: Literal["address", "client"], value: str, channel: str, reason: str, added_by: str, at: int
    ) -> Self:
        """Return the entry; its id follows from whom it names, so that the same is never there twice."""
        named = plain_address(value) if kind == "address" else value
        name = sha256(f"{kind}\0{named}\0{channel}".encode()).hexdigest()[:24]
        return cls(f"sup_{name}", kind, named, channel, reason, added_by, at)


class Suppressions(Protocol):
    async def add(self, entry: Suppression) -> bool:
        """Write the entry down, in place of one with its id; return whether there was none."""

    async def remove(self, entry_id: str) -> bool:
        """Return whether it was there."""

    async def list(self, *, after: str, limit: int) -> Sequence[Suppression]:
        """Return entries with id > after, in order of id."""


class Asked(NamedTuple):
    """`client` None: whoever the account is linked to. Without either what counts is the address. Times in µs."""

    intent: str
    channel: str
    address: str
    client: str | None
    account: str
    category: Category
    most: int | None = None
    since: int = 0
    at: int = 0
    run: str = ""
    template: str = ""
    expires: int | None = None


class Contacts(Protocol):
    async def admit(self, asked: Asked) -> str | None:
        """Return why a message may not go; None: it may, and stands as one of the client's if its category is counted.

        One transaction. Asking again for the same intent counts it once. Whatever the answer, the message stands in the
        list of what was meant for the client.
        """


def ways(channel: str, category: str) -> tuple[str, str, str, str]:
    """Return the ways a suppression may close to such a message."""
    return channel, ALL, f"{channel}/{category}", f"{ALL}/{category}"


def closed_way(channel: str, category: str) -> str:
    """Return how a suppression spells a channel that is closed for one category, or for all ("")."""
    return f"{channel}/{category}" if category else channel


class _Message(msgspec.Struct):
    to: str | None = None
    category: Category = USUAL
    client: str | None = None
    template: str | None = None
    template_version: str | None = None
    language: str | None = None

    @property
    def words(self) -> str | None:
        """Return what it was made of: a message by name, in a language and a version of its own."""
        if self.template is None or self.template_version is None:
            return self.template
        return f"{self.template}.{self.language}@{self.template_version}"


_decode = msgspec.json.Decoder(_Message).decode


@final
class ContactGate:
    def __init__(self, contacts: Contacts, policy: Policy, clock: Clock) -> None:
        self._contacts = contacts
        self._policy = policy
        self._clock = clock

    async def refusal(self, intent: Intent) -> str | None:
        """Return why the message is not to be sent, if it is not. Raises StoreUnavailable: then nobody knows."""
        channel = CHANNELS.get(intent.verb)
        if channel is None:
            return None
        message = _decode(intent.params)
        limit, now = self._policy.get(message.category), self._clock.now_us()
        key = decided_by(intent)
        client = key.removeprefix(_CLIENT_KEY) if key.startswith(_CLIENT_KEY) else None
        if channel is Channel.PUSH:  # is addressed to a client: the devices are known here
            client = message.to or client
        return await self._contacts.admit(
            Asked(
                intent.key,
                channel.value,
                plain_address(message.to) if message.to else intent.account,
                message.client or client,
                intent.account,
                message.category,
                limit.max if limit is not None else None,
                now - limit.every // MICROSECOND if limit is not None else 0,
                now,
                intent.run,
                message.words or f"{intent.workflow}/{intent.step}",
                expiry_of(intent),
            )
        )


class Known(NamedTuple):
    """What a store knows of somebody: the client, its record as JSON, and the reason of a suppression that fits."""

    client: str | None
    record: bytes | None
    suppressed: str | None


class _Consent(msgspec.Struct):
    consent_marketing: bool | None = None


_consent = msgspec.json.Decoder(_Consent).decode


def refusal(asked: Asked, known: Known) -> str | None:
    """Return why a message may not go, before any counting.

    The engine has asked for consent already, from what events told it. Where the directory has a record of the client
    that is newer, and its word counts.
    """
    if known.suppressed is not None:
        return f"suppressed: {known.suppressed}"
    if asked.category in NEEDS_CONSENT and known.record is not None:
        consent = _consent(known.record).consent_marketing
        if consent is not True:
            said = "has refused" if consent is False else "has not said"
            return f"no consent: client {known.client} {said} that he wants {asked.category}"
    return None


def counted_for(asked: Asked, client: str | None) -> str:
    """Return under whose name a message is counted."""
    return client if client is not None else f"address={asked.address}"


def too_many(asked: Asked, had: int) -> str | None:
    if asked.most is None or had < asked.most:
        return None
    days = timedelta(microseconds=asked.at - asked.since)
    return f"contact policy: {had} of {asked.most} {asked.category} messages within {days} went to this client already"


def message_of(asked: Asked, client: str | None, version: str) -> Message:
    """Return the entry of the list of what was meant for a client."""
    return Message(
        message_id(asked.intent),
        asked.intent,
        client or "",
        asked.account,
        asked.channel,
        asked.address,
        asked.category,
        asked.template,
        version,
        asked.at,
        asked.expires,
    )
