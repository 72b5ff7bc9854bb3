"""What dispatch tells the rest of the hub about endpoints; each becomes an event of the catalogue.

`dedupe_key` makes telling it twice harmless: it is told before the result is written, so that it cannot be lost.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeliveryExhausted:
    endpoint: str
    delivery: str
    reason: str
    dedupe_key: str
    since: int | None = None
    type: str = "delivery.exhausted"


@dataclass(frozen=True, slots=True)
class EndpointDisabled:
    """`delivery` is the one whose answer it was, None where no single answer was."""

    endpoint: str
    delivery: str | None
    reason: str
    dedupe_key: str
    since: int | None = None
    type: str = "endpoint.disabled"


@dataclass(frozen=True, slots=True)
class EndpointFailing:
    """`since` is when the first of its failures was, in µs."""

    endpoint: str
    reason: str
    dedupe_key: str
    since: int | None
    delivery: str | None = None
    type: str = "endpoint.failing"


@dataclass(frozen=True, slots=True)
class EndpointRecovered:
    endpoint: str
    reason: str
    dedupe_key: str
    since: int | None
    delivery: str | None = None
    type: str = "endpoint.recovered"


Announcement = DeliveryExhausted | EndpointDisabled | EndpointFailing | EndpointRecovered
Announce = Callable[[Announcement], Awaitable[None]]

# News of endpoints is delivered like any other event, but never to the endpoint it is about, and that it could not be
# delivered is no news in turn: of two receivers that are down, each would have word of the other's for ever.
OWN_NEWS = frozenset({"delivery.exhausted", "endpoint.failing", "endpoint.disabled", "endpoint.recovered"})
