"""What an endpoint in order of accounts learns from the store before it sends anything."""

from collections.abc import Sequence

import msgspec
import structlog

from hub.clock import Clock
from hub.dispatch.account_queue import AccountQueue, lane_of
from hub.dispatch.outbox import Attempt, Deliveries, Delivery
from hub.dispatch.settler import STORE_RETRY
from hub.errors import StoreUnavailable
from hub.events.records import wire

PAGE = 1_000

log = structlog.get_logger(__name__)


async def learn_floors(line: AccountQueue, endpoint: str, deliveries: Deliveries, clock: Clock) -> None:
    """Find out which accounts are held up, and until when: all that waits is looked at once."""
    after = (0, 0, -1)
    while True:
        try:
            rows = await deliveries.waiting(endpoint, after=after, limit=PAGE)
            await _learn(line, [row for row in rows if row.attempts or row.due > row.created_at], deliveries)
        except StoreUnavailable as problem:
            log.warning("delivery.order_unread", endpoint=endpoint, reason=str(problem))
            await clock.sleep(STORE_RETRY)
            continue
        if len(rows) < PAGE:
            return
        after = (rows[-1].due, rows[-1].partition, rows[-1].n)


async def learn_history(line: AccountQueue, rows: Sequence[Delivery], deliveries: Deliveries) -> None:
    """Find out when those that failed before were first tried, where that says how long they hold up others."""
    for row in rows:
        if line.wants_history(row):
            attempts = await deliveries.attempts(row.endpoint, row.partition, row.n)
            line.learn_first_tried(row, _first_tried(row, attempts))


async def _learn(line: AccountQueue, rows: Sequence[Delivery], deliveries: Deliveries) -> None:
    if not rows:
        return
    bodies = await deliveries.bodies(rows)
    for row in rows:
        stored = bodies.get((row.partition, row.n))
        if stored is None:
            continue
        first = None
        if line.wants_history(row):
            attempts = await deliveries.attempts(row.endpoint, row.partition, row.n)
            first = _first_tried(row, attempts)
        try:
            line.learn_floor(lane_of(row, wire(stored.body, stored.sequence)), row, first)
        except msgspec.DecodeError:
            log.exception("delivery.event_unreadable", delivery=row.event_id)


def _first_tried(row: Delivery, attempts: Sequence[Attempt]) -> int:
    """Return when it was first tried since it was made, or made again by a replay."""
    return next((attempt.at for attempt in attempts if attempt.at >= row.created_at), row.created_at)
