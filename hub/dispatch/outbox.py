"""What dispatch reads and writes: endpoints, deliveries and their attempts, intents and their moves."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeGuard

from hub.bus.log import Input, NewInput
from hub.bus.pages import Page
from hub.dispatch.options import NO_OPTIONS, EndpointOptions
from hub.intents.intent import Intent, State


class Endpoint(NamedTuple):
    """`events` are type patterns such as trade.*; `secret` holds its signing keys, as `keyring` reads them; `schedule` waits in seconds between attempts."""

    id: str
    url: str
    events: tuple[str, ...]
    secret: str
    state: str  # enabled, disabled
    description: str
    created_at: int
    schedule: tuple[float, ...] | None = None
    reason: str = ""
    options: EndpointOptions = NO_OPTIONS


def is_still(stored: Endpoint | None, before: Endpoint) -> TypeGuard[Endpoint]:
    """Say whether an endpoint is there and as it was when it was read, its secret aside: that has a way of its own."""
    return stored is not None and stored._replace(secret=before.secret) == before


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    CANCELLED = "cancelled"  # the endpoint was deleted or disabled for good
    ABORTED = "aborted"  # the receiver said that it does not want this one


class Delivery(NamedTuple):
    """One event for one endpoint. (endpoint, partition, n) is its identity; `due` in µs."""

    endpoint: str
    partition: int
    n: int
    event_id: str
    state: DeliveryState
    attempts: int
    due: int
    created_at: int


class Attempt(NamedTuple):
    """What happened once: `outcome` delivered, refused, unreachable…; `error` a class such as timeout, dns, tls, status."""

    endpoint: str
    partition: int
    n: int
    number: int
    at: int
    outcome: str
    status: int | None
    error: str | None
    latency_us: int
    response: str  # the first KiB of the body, as text
    record: bytes = b""  # as `attempt_record` writes it
    next_at: int | None = None  # when it is tried again


class Settled(NamedTuple):
    """The delivery as it stands after an attempt; `due` is where it stood before, so that its row is found."""

    delivery: Delivery
    attempt: Attempt
    due: int


class PutOff(NamedTuple):
    """A delivery as it stands in the store, and when it is due instead."""

    delivery: Delivery
    due: int


def endpoint_page(found: Sequence[Endpoint], limit: int) -> Page[Endpoint]:
    """Return a page of one endpoint more than it may have, so that it is known whether there are more."""
    items = found[:limit]
    return Page(items, f"{items[-1].created_at},{items[-1].id}" if len(found) > limit else None)


class Deliveries(Protocol):
    """Deliveries belong to one dispatcher by lease; nothing is written before an attempt, results settle in batches."""

    async def fan_out(
        self, positions: Mapping[int, int], deliveries: Sequence[Delivery], attempted: Sequence[Settled] = ()
    ) -> None:
        """Write new deliveries and how far the log was read, in one transaction; one that is there is left alone.

        `attempted` are others, as new, that were tried already: written as they stand after it, with the attempt.
        """

    async def fanned_out(self) -> list[int]:
        """Return how far the log was read, per partition."""

    async def waiting(self, endpoint: str, *, after: tuple[int, int, int], limit: int) -> list[Delivery]:
        """Return waiting deliveries of an endpoint with (due, partition, n) > after, in that order."""

    async def settle(self, results: Sequence[Settled]) -> None: ...

    async def put_off(self, moves: Sequence[PutOff]) -> None:
        """Have waiting deliveries be due later; one that does not wait there any more is left alone."""

    async def bodies(self, deliveries: Sequence[Delivery]) -> Mapping[tuple[int, int], Input]:
        """Return the log rows of the deliveries' events, by (partition, n), as long as they are kept."""

    async def attempts(self, endpoint: str, partition: int, n: int) -> list[Attempt]: ...


class Endpoints(Protocol):
    async def create(self, endpoint: Endpoint) -> None: ...
    async def get(self, endpoint_id: str) -> Endpoint | None: ...
    async def all(self) -> list[Endpoint]: ...
    async def page(self, *, after: str, limit: int) -> Page[Endpoint]:
        """Return endpoints in the order they were made. Raises BadCursor."""

    async def replace(self, before: Endpoint, after: Endpoint) -> bool:
        """Write everything but the secret if the rest of it still is `before`; return whether it was.

        Of two who change it at once, one has to look again: the hub itself switches endpoints off, too.
        """

    async def replace_secret(self, endpoint_id: str, before: str, after: str) -> bool:
        """Write the secret if it still is `before`; return whether it was: of two who change it at once, one has to look again."""

    async def delete(self, endpoint_id: str) -> bool:
        """Delete it and cancel what waits for it; return whether it was there."""


class Move(NamedTuple):
    """One step of an intent's state machine: written only if it still is in `before` with as many attempts."""

    before: Intent
    after: Intent
    outcome: NewInput | None = None  # told to the engine in the same transaction


class Intents(Protocol):
    async def due(self, now_us: int, limit: int) -> list[Intent]:
        """Return READY and UNKNOWN intents with due <= now, most urgent first, then by due and key."""

    async def in_state(self, state: State, limit: int) -> list[Intent]: ...

    async def get(self, key: str) -> Intent | None: ...

    async def move(self, moves: Sequence[Move]) -> list[bool]:
        """Make the moves in one transaction; False for one that was no longer where it was left."""

    def next_due(self) -> int | None:
        """Return when the next READY or UNKNOWN intent is due, in µs; None when there is none."""
