"""What one attempt can come to, and the pure function that says how a delivery stands afterwards."""

from collections.abc import Sequence
from enum import StrEnum
from random import Random
from typing import Final

import msgspec

from hub.dispatch.attempt_record import Seen
from hub.dispatch.outbox import Attempt, Delivery, DeliveryState, Settled
from hub.dispatch.schedule import LONGEST_WAIT_US, next_wait_us

GONE = 410
# The header a receiver may answer with, and what it may say there.
CONTROL: Final = "webhook-delivery"
DISABLE: Final = "disable"
ABORT: Final = "abort"
# Of an attempt: a plain success, after which there is nothing to tell anybody.
DELIVERED: Final = "delivered"
DISABLED: Final = "disabled"


class ErrorClass(StrEnum):
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    STATUS = "status"
    BODY = "body"
    BLOCKED = "blocked"
    TRANSFORM = "transform"  # nothing was sent: the event could not be given the form the endpoint asks for


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """A 2xx: the only success. `response` is the first KiB of the body; `farewell`: it wants no further one."""

    status: int
    latency_us: int
    response: bytes = b""
    seen: Seen | None = None
    farewell: bool = False


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Any other answer, redirects included: they are never followed."""

    status: int
    latency_us: int
    response: bytes = b""
    retry_after_us: int | None = None
    seen: Seen | None = None


class Gone(msgspec.Struct, frozen=True, gc=False):
    """The receiver asks never to be called again: by a 410, or with any other status by its header."""

    latency_us: int
    response: bytes = b""
    seen: Seen | None = None
    status: int = GONE
    by_header: bool = False


class Aborted(msgspec.Struct, frozen=True, gc=False):
    """The receiver says by its header that it does not want this one, now or later."""

    status: int
    latency_us: int
    response: bytes = b""
    seen: Seen | None = None
    retry_after_us: int | None = None


class Unreachable(msgspec.Struct, frozen=True, gc=False):
    """No whole answer. `status` where one had begun to arrive."""

    error: ErrorClass
    reason: str
    latency_us: int
    status: int | None = None
    seen: Seen | None = None


Outcome = Delivered | Refused | Gone | Aborted | Unreachable

MOVES = {
    DeliveryState.WAITING: frozenset(DeliveryState),
}
FINAL = frozenset(DeliveryState) - MOVES.keys()


def delivery_id(delivery: Delivery) -> str:
    return f"{delivery.endpoint}.{delivery.partition}.{delivery.n}"


def answered(
    status: int,
    latency_us: int,
    response: bytes,
    retry_after_us: int | None = None,
    seen: Seen | None = None,
    control: str | None = None,
) -> Delivered | Refused | Gone | Aborted:
    """Return what an answer comes to; `control` is what stands in its `webhook-delivery` header."""
    said = "" if control is None else control.strip().lower()
    if 200 <= status < 300:
        return Delivered(status, latency_us, response, seen, said == DISABLE)
    if status == GONE or said == DISABLE:
        return Gone(latency_us, response, seen, status, status != GONE)
    if said == ABORT:
        return Aborted(status, latency_us, response, seen, retry_after_us)
    return Refused(status, latency_us, response, retry_after_us, seen)


def settle(
    delivery: Delivery,
    outcome: Outcome,
    *,
    started_us: int,
    now_us: int,
    waits: Sequence[float],
    random: Random,
    record: bytes = b"",
    longest_us: int = LONGEST_WAIT_US,
) -> Settled:
    """Return the delivery as it stands after one attempt, with the attempt's record."""
    number = delivery.attempts + 1
    due = delivery.due
    who = (delivery.endpoint, delivery.partition, delivery.n, number, started_us)
    match outcome:
        case Delivered(status, latency_us, response):
            # Nearly every attempt ends here: written out, because `_replace` takes four times as long.
            endpoint, partition, n, event_id, _, _, _, created_at = delivery
            after = Delivery(
                endpoint, partition, n, event_id, DeliveryState.DELIVERED, number, due, created_at
            )
            attempt = Attempt(
                *who,
                DISABLED if outcome.farewell else DELIVERED,
                status,
                None,
                latency_us,
                as_text(response),
                record,
            )
            return Settled(after, attempt, due)
        case Gone(latency_us, response, _, status, by_header):
            after = delivery._replace(state=DeliveryState.CANCELLED, attempts=number)
            word = DISABLED if by_header else "gone"
            said = word, status, ErrorClass.STATUS.value, latency_us, as_text(response)
            attempt = Attempt(*who, *said, record)
            return Settled(after, attempt, due)
        case Aborted(status, latency_us, response):
            after = delivery._replace(state=DeliveryState.ABORTED, attempts=number)
            said = "aborted", status, ErrorClass.STATUS.value, latency_us, as_text(response)
            attempt = Attempt(*who, *said, record)
            return Settled(after, attempt, due)
        case Refused(status, latency_us, response, retry_after_us):
            after = _again(delivery, number, now_us, waits, random, retry_after_us, longest_us)
            said = "refused", status, ErrorClass.STATUS.value, latency_us, as_text(response)
            attempt = Attempt(*who, *said, record, _next(after))
            return Settled(after, attempt, due)
        case Unreachable(error, reason, latency_us, status):
            after = _again(delivery, number, now_us, waits, random, None, longest_us)
            told = "unreachable", status, error.value, latency_us, reason
            attempt = Attempt(*who, *told, record, _next(after))
            return Settled(after, attempt, due)


def _next(after: Delivery) -> int | None:
    return after.due if after.state is DeliveryState.WAITING else None


def _again(
    delivery: Delivery,
    number: int,
    now_us: int,
    waits: Sequence[float],
    random: Random,
    retry_after_us: int | None,
    longest_us: int,
) -> Delivery:
    wait = next_wait_us(number, waits, random, retry_after_us, longest_us)
    if wait is None:
        return delivery._replace(state=DeliveryState.EXHAUSTED, attempts=number)
    return delivery._replace(attempts=number, due=now_us + wait)


def as_text(response: bytes) -> str:
    """Return a receiver's bytes as text that is safe to keep and to show: no control characters but line breaks."""
    if not response:
        return ""
    text = response.decode("utf-8", "replace")
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
    )
