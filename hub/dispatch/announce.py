"""What dispatch tells the rest of the hub about endpoints; each becomes an event of the catalogue."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeliveryExhausted:
    """`dedupe_key` makes telling it twice harmless: it is told before the result is written, so that it cannot be lost."""

    endpoint: str
    delivery: str
    reason: str
    dedupe_key: str
    type: str = "delivery.exhausted"


@dataclass(frozen=True, slots=True)
class EndpointDisabled:
    endpoint: str
    delivery: str
    reason: str
    dedupe_key: str
    type: str = "endpoint.disabled"


Announcement = DeliveryExhausted | EndpointDisabled
Announce = Callable[[Announcement], Awaitable[None]]
