"""Builders of what the store keeps: inputs, intents, endpoints, deliveries and their attempts."""

import itertools

from hub.bus.log import InputKind, NewInput
from hub.clock import to_us
from hub.dispatch.options import NO_OPTIONS, EndpointOptions
from hub.dispatch.outbox import Attempt, Delivery, DeliveryState, Endpoint, Settled
from hub.ids import PARTITIONS
from hub.intents.intent import Intent, State
from hub.testing.facts import MORNING

_names = itertools.count(1)
_NOW = to_us(MORNING)


def an_input(
    partition: int = 0,
    *,
    kind: InputKind = InputKind.COMMAND,
    key: str = "",
    ref: str = "ref",
    body: bytes = b"{}",
    unique: str | None = None,
) -> NewInput:
    return NewInput(partition % PARTITIONS, kind, key, ref, body, unique)


def an_intent(
    key: str | None = None,
    *,
    state: State = State.READY,
    due: int = _NOW,
    priority: int = 1,
    attempts: int = 0,
    account: str = "live-1:7001",
    verb: str = "credit_account",
    partition: int = 0,
) -> Intent:
    return Intent(
        key=key or f"intent-{next(_names):06}",
        partition=partition,
        account=account,
        verb=verb,
        params=b'{"amount":"5"}',
        workflow="bonus",
        run="run-1",
        step="credit",
        caused_by="evt_x",
        state=state,
        at=_NOW,
        due=due,
        priority=priority,
        attempts=attempts,
    )


def an_endpoint(
    endpoint_id: str | None = None,
    *,
    events: tuple[str, ...] = ("trade.*",),
    state: str = "enabled",
    created_at: int = _NOW,
    schedule: tuple[float, ...] | None = None,
    options: EndpointOptions = NO_OPTIONS,
) -> Endpoint:
    name = endpoint_id or f"ep_{next(_names):06}"
    secret = "whsec_bm90IGEgc2VjcmV0LCBhIHRlc3Q="  # noqa: S105 - a test's, and it says so
    return Endpoint(
        name,
        f"https://{name}.example/hook",
        events,
        secret,
        state,
        "a test's",
        created_at,
        schedule,
        options=options,
    )


def a_delivery(
    endpoint: str = "ep_1",
    partition: int = 0,
    n: int = 1,
    *,
    event_id: str = "evt_x",
    due: int = _NOW,
    attempts: int = 0,
    state: DeliveryState = DeliveryState.WAITING,
) -> Delivery:
    return Delivery(endpoint, partition, n, event_id, state, attempts, due, _NOW)


def an_attempt(
    delivery: Delivery, *, outcome: str = "delivered", status: int | None = 200, error: str | None = None
) -> Attempt:
    """Return what the next attempt of this delivery came to."""
    return Attempt(
        delivery.endpoint,
        delivery.partition,
        delivery.n,
        delivery.attempts + 1,
        delivery.due,
        outcome,
        status,
        error,
        1_500,
        "ok",
        b"\x90",
    )


def settled(delivery: Delivery, state: DeliveryState, *, due: int | None = None) -> Settled:
    """Return the delivery after one more attempt that left it in `state`; `due` when it waits for the next."""
    after = delivery._replace(
        state=state, attempts=delivery.attempts + 1, due=delivery.due if due is None else due
    )
    good = state is DeliveryState.DELIVERED
    attempt = an_attempt(
        delivery,
        outcome="delivered" if good else "unreachable",
        status=200 if good else None,
        error=None if good else "timeout",
    )
    waits = state is DeliveryState.WAITING
    return Settled(after, attempt._replace(next_at=after.due if waits else None), delivery.due)
