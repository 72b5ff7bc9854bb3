"""Carries replays out: looks through the log, a little at a time, and queues what is wanted while the endpoint has room.

    asked ──▶ running ──looked through the log──▶ done
                │ ▲
         paused └─┘        cancelled from either

A step queues deliveries and writes how far it came in one transaction, so that a crash anywhere repeats none of it. Only
a few of them wait at any moment: what happens now goes out beside them, not behind them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple, final

import msgspec
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hub import ids
from hub.bus.log import Input
from hub.clock import MICROSECOND, SECOND_US, Clock
from hub.dispatch.content import Told, values_of
from hub.dispatch.filters import standing_filter
from hub.dispatch.outbox import Delivery, DeliveryState, Endpoint, Endpoints
from hub.dispatch.replays import LogPages, Place, Replay, Replays, ReplayState, Standing, Step, left_out
from hub.dispatch.subscriptions import ENABLED, Subscriptions
from hub.dispatch.waiting import until
from hub.errors import LeaseLost, StoreUnavailable
from hub.events.declared import NONE_DECLARED, Declarations, Known, nothing_declared
from hub.events.facts import EVENT_PREFIX
from hub.events.records import decode_envelope
from hub.stages import run_until

BATCH: Final = 16  # of an endpoint's deliveries that wait to be sent now, at most so many come from replays
MOST_WAITING: Final = 2_000  # for their next attempt; beyond that a replay waits, so that it can be cancelled
LOOK: Final = 256  # events of the log at a time
IDLE: Final = timedelta(seconds=5)  # word of a new replay may be lost
HELD: Final = timedelta(milliseconds=100)  # until room is looked for again
BREATH: Final = timedelta(milliseconds=5)  # between two looks into the log
# Rows of several writers come by their clocks, which differ a little.
_SLACK_US: Final = 60 * SECOND_US

Find = Callable[[bytes], Awaitable[Input | None]]
Queued = Callable[[str, tuple[int, int, int]], None]

log = structlog.get_logger(__name__)


class Looked(NamedTuple):
    """A stretch of the log for one replay: what is wanted of it, and how each of those stands."""

    wanted: Sequence[Input]
    standing: Mapping[Place, Standing]
    items: Sequence[Input]
    next: str | None
    over: bool

    def owed(self, *, missing: bool) -> list[Input]:
        """Return what is to be queued."""
        out = left_out(missing=missing)
        return [item for item in self.wanted if self.standing.get((item.partition, item.n)) not in out]


def wants(endpoint: Endpoint, items: Iterable[Input], declared: Declarations = NONE_DECLARED) -> list[Input]:
    """Return those of these events the endpoint wants now, whether it is switched on or not."""
    subscriptions = Subscriptions([endpoint._replace(state=ENABLED)])
    passes = _filter(endpoint, declared)
    found: list[Input] = []
    for item in items:
        try:
            event = decode_envelope(item.body)
        except msgspec.DecodeError:  # nobody was ever sent it
            continue
        if not subscriptions.matching(event.type, event.endpoints):
            continue
        # An event that names its endpoints goes to them whatever they ask for.
        if event.endpoints is not None or passes(event):
            found.append(item)
    return found


def _filter(endpoint: Endpoint, declared: Declarations) -> Callable[[Told], bool]:
    """Return what says whether an endpoint's filter and channels let an event through, as the fan-out asks them."""
    asks = standing_filter(endpoint, declared)
    if asks is None:
        return lambda _event: True

    def passes(event: Told) -> bool:
        try:
            return asks.skips(values_of(event)) is None
        except msgspec.DecodeError:
            return False

    return passes


async def look(
    pages: LogPages,
    replays: Replays,
    replay: Replay,
    endpoint: Endpoint,
    place: str,
    limit: int,
    declared: Declarations = NONE_DECLARED,
) -> Looked:
    """Look at the events behind a place."""
    asked = replay.asked
    page = await pages.events(after=place, limit=limit, types=asked.types, account=asked.account)
    within = [
        item
        for item in page.items
        if asked.since <= item.at <= asked.until and item.n <= replay.upto[item.partition]
    ]
    wanted = wants(endpoint, within, declared)
    standing = await replays.standing(endpoint.id, [(item.partition, item.n) for item in wanted])
    over = page.next is None or any(item.at > asked.until + _SLACK_US for item in page.items)
    return Looked(wanted, standing, page.items, page.next, over)


@final
class Replaying:
    """One of these in every process that sends; it works on the replays of the endpoints that are its own.

    `queued` hears where deliveries of an endpoint wait now that nobody holds.
    """

    def __init__(
        self,
        replays: Replays,
        pages: LogPages,
        find: Find,
        endpoints: Endpoints,
        clock: Clock,
        queued: Queued,
        *,
        owns: Callable[[str], bool] = lambda _endpoint: True,
        declared: Known = nothing_declared,
    ) -> None:
        self._replays = replays
        self._pages = pages
        self._find = find
        self._endpoints = endpoints
        self._clock = clock
        self._queued = queued
        self._owns = owns
        self._declared = declared
        self._called = asyncio.Event()
        self._next_at: dict[str, int] = {}
        self._count = 0
        self._open = 0
        self._orphans_at = 0

    def wake(self) -> None:
        """Look at once: a replay was asked for, or turned."""
        self._called.set()

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep_on)

    def metrics(self) -> Iterable[Metric]:
        counter = CounterMetricFamily("hub_replayed_deliveries", "Deliveries queued by replays.")
        counter.add_metric((), self._count)
        gauge = GaugeMetricFamily("hub_replays_running", "Replays this process works on.")
        gauge.add_metric((), self._open)
        yield from (counter, gauge)

    async def _keep_on(self) -> None:
        while True:
            try:
                due = await self.round()
            except StoreUnavailable as problem:
                log.warning("replay.held_up", reason=str(problem))
                due = self._clock.now_us() + SECOND_US
            await until(self._clock, due, self._called)

    async def round(self) -> int:
        """Make one step of every replay that is due for one; return when to look again."""
        await self._end_orphans()
        running = [replay for replay in await self._replays.running() if self._owns(replay.endpoint)]
        self._open = len(running)
        self._next_at = {replay.id: self._next_at.get(replay.id, 0) for replay in running}
        for replay in running:
            if self._next_at[replay.id] <= self._clock.now_us():
                try:
                    wait = await self._advance(replay)
                except LeaseLost:  # the endpoint has another owner, who goes on from where this one was
                    wait = HELD
                self._next_at[replay.id] = self._clock.now_us() + wait // MICROSECOND
        idle = self._clock.now_us() + IDLE // MICROSECOND
        return min(self._next_at.values(), default=idle)

    async def _end_orphans(self) -> None:
        """Cancel what has no endpoint any more: paused, or of an endpoint nobody owns, it would stay open for ever."""
        now_us = self._clock.now_us()
        if now_us < self._orphans_at:
            return
        self._orphans_at = now_us + IDLE // MICROSECOND
        ended = await self._replays.end_orphans(now_us)
        if ended:
            log.info("replay.endpoint_deleted", replays=ended)

    async def _advance(self, replay: Replay) -> timedelta:
        """Make a step, if there is room for one; return how long to wait before the next."""
        endpoint = await self._endpoints.get(replay.endpoint)
        if endpoint is None:
            await self._replays.end_orphans(self._clock.now_us())
            return HELD
        if endpoint.state != ENABLED:
            return IDLE
        if replay.asked.event:
            return await self._one(replay)
        room = await self._replays.room(endpoint.id, self._clock.now_us(), MOST_WAITING)
        most = min(BATCH - room.ready, max(1, replay.asked.rate // 4))
        if most <= 0 or room.waiting >= MOST_WAITING:
            return HELD
        seen = await look(self._pages, self._replays, replay, endpoint, replay.place, LOOK, self._declared())
        owed = seen.owed(missing=replay.asked.missing)
        if len(owed) > most:
            # A cursor is known for the end of a page alone: this one is to end with the last that there is room for.
            end = seen.items.index(owed[most - 1]) + 1
            seen = await look(
                self._pages, self._replays, replay, endpoint, replay.place, end, self._declared()
            )
            owed = seen.owed(missing=replay.asked.missing)
        return await self._step(replay, seen, owed)

    async def _step(self, replay: Replay, seen: Looked, owed: Sequence[Input]) -> timedelta:
        step = Step(
            seen.next or replay.place,
            max((item.at for item in seen.items), default=replay.reached),
            len(seen.items),
            len(seen.wanted) - len(owed),
            seen.over,
        )
        put = await self._put(replay, step, owed)
        return max(BREATH, timedelta(seconds=put / replay.asked.rate))

    async def _one(self, replay: Replay) -> timedelta:
        key = ids.from_id(EVENT_PREFIX, replay.asked.event)
        item = await self._find(key) if key is not None else None
        if item is None:
            await self._replays.turn(
                replay.id, ReplayState.CANCELLED, self._clock.now_us(), "the event is kept no longer"
            )
            return HELD
        if (await self._replays.fanned_out())[item.partition] < item.n:
            return HELD  # until it is known who is sent it without any replay
        await self._put(replay, Step(replay.place, item.at, 1, 0, over=True), [item])
        return HELD

    async def _put(self, replay: Replay, step: Step, owed: Sequence[Input]) -> int:
        """Queue these and move on; return how many were queued."""
        now = self._clock.now_us()
        waiting = DeliveryState.WAITING
        deliveries = [
            Delivery(replay.endpoint, item.partition, item.n, item.ref, waiting, 0, now, now) for item in owed
        ]
        put = await self._replays.step(replay, step, deliveries, now)
        if not put:
            return 0
        self._count += len(put)
        self._queued(replay.endpoint, min((each.due, each.partition, each.n) for each in put))
        return len(put)
