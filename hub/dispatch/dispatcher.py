"""Keeps one worker running for every enabled endpoint, and tells the hub when one gives up or is switched off."""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import final

import msgspec
import structlog
import yarl
from typing_extensions import override

from hub.clock import MICROSECOND, Clock
from hub.dispatch.account_queue import AccountQueue
from hub.dispatch.addresses import Networks
from hub.dispatch.announce import OWN_NEWS, Announce, DeliveryExhausted, EndpointDisabled
from hub.dispatch.delivery import DISABLED as SAID_DISABLE
from hub.dispatch.delivery import delivery_id
from hub.dispatch.endpoint_check import KAFKA
from hub.dispatch.endpoint_queue import CAPACITY, ROOM_BYTES, EndpointQueue, Key, Room
from hub.dispatch.endpoint_url import parse_endpoint_url
from hub.dispatch.fanout import HandOver, New
from hub.dispatch.health import DISABLE_AFTER_US, Health, Healths
from hub.dispatch.memory_health import MemoryHealths
from hub.dispatch.metrics import Counters, Standing
from hub.dispatch.outbox import Deliveries, Delivery, DeliveryState, Endpoint, Endpoints, Settled
from hub.dispatch.pace import Pace
from hub.dispatch.places import Places
from hub.dispatch.request_maker import request_maker
from hub.dispatch.safe_http import AiohttpTransport, Transport
from hub.dispatch.schedule import LONGEST_WAIT_US
from hub.dispatch.settler import LINGER, PATIENCE, STORE_RETRY, Owed, Settler, Taker, Write
from hub.dispatch.subscriptions import DISABLED, ENABLED, Subscriptions
from hub.dispatch.watch import Watch
from hub.dispatch.worker import EndpointWorker
from hub.dispatch.workshop import Workshop
from hub.errors import ConfigError, StoreUnavailable

CONCURRENCY = 16
GONE_REASON = "the receiver answered 410 Gone: it asks not to be called any more"

log = structlog.get_logger(__name__)


class _Typed(msgspec.Struct):
    type: str = ""


_type_of = msgspec.json.Decoder(_Typed).decode


def _everything(_endpoint: str) -> bool:
    return True


@final
class Dispatcher(HandOver):
    """Call `refresh` after endpoints were created, changed, deleted, or became ours; `subscriptions` follows.

    `owns` says which endpoints this process may send to.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        deliveries: Deliveries,
        transport: Transport,
        clock: Clock,
        announce: Announce,
        *,
        random: Random,
        concurrency: int = CONCURRENCY,
        schedule: tuple[float, ...] | None = None,
        capacity: int = CAPACITY,
        room_bytes: int = ROOM_BYTES,
        allow_loopback: bool = False,
        networks: Networks = (),
        owns: Callable[[str], bool] = _everything,
        kafka: Transport | None = None,
        healths: Healths | None = None,
        disable_after: timedelta = DISABLE_AFTER_US * MICROSECOND,
        longest_pause: timedelta = LONGEST_WAIT_US * MICROSECOND,
        linger: timedelta = LINGER,
        patience: timedelta = PATIENCE,
        places: Places | None = None,
    ) -> None:
        self.subscriptions = Subscriptions()
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._transport = transport
        self._kafka = kafka
        self._clock = clock
        self._announce = announce
        self._random = random
        self._concurrency = concurrency
        self._schedule = schedule
        self._capacity = capacity
        self._room = Room(room_bytes)
        self._allow_loopback = allow_loopback
        self._networks = networks
        self._owns = owns
        self._healths = MemoryHealths() if healths is None else healths
        self._disable_after_us = disable_after // MICROSECOND
        self._longest_pause_us = longest_pause // MICROSECOND
        self.places = Places() if places is None else places
        self._paces: dict[str, Pace] = {}
        self._watches: dict[str, Watch] = {}
        self._settler = Settler(
            deliveries, clock, self._before_writing, self._on_disk, linger=linger, patience=patience
        )
        self._wanted: dict[str, Endpoint] = {}
        self._workers: dict[str, EndpointWorker] = {}
        self._serving: set[str] = set()
        self._leaving: set[str] = set()
        self._ended = asyncio.Event()
        self._counters: dict[str, Counters] = {}
        self._workshop = Workshop(clock)
        self._group: asyncio.TaskGroup | None = None
        self._stopping = False
        # The store is asked again with every change, and may answer in another order.
        self._asked = self._followed = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until `stopping` is set and the attempts in flight are over and written."""
        async with asyncio.TaskGroup() as outer:
            outer.create_task(self._settler.run())
            async with asyncio.TaskGroup() as self._group:
                await self._begin(stopping)
                await stopping.wait()
                self._stopping = True
                for worker in self._workers.values():
                    worker.stop()
            self._group = None
            self._workshop.close()
            self._settler.close()

    async def _begin(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self.refresh()
                return
            except StoreUnavailable as problem:
                log.warning("endpoints.unread", reason=str(problem))
                await self._clock.sleep(STORE_RETRY)

    async def refresh(self) -> None:
        """Follow the endpoints as they are stored now: start, restart with new settings, or stop."""
        self._asked += 1
        mine = self._asked
        found = await self._endpoints.all()
        if mine < self._followed:
            return  # who asked later was answered sooner: what he saw is newer
        self._followed = mine
        usual = self._schedule
        self._wanted = {
            endpoint.id: endpoint if endpoint.schedule else endpoint._replace(schedule=usual)
            for endpoint in found
            # What is being let go is ours until that is done, and yet not to be begun again.
            if endpoint.state == ENABLED and self._owns(endpoint.id) and endpoint.id not in self._leaving
        }
        self.subscriptions.replace(found)
        for gone in self._counters.keys() - self._serving - {endpoint.id for endpoint in found}:
            del self._counters[gone]
        disabled = [endpoint.id for endpoint in found if endpoint.state != ENABLED]
        for endpoint_id in disabled:
            # Its worker may live until an attempt is over, and see it enabled again: whoever does that begins anew.
            self._watches.pop(endpoint_id, None)
        for endpoint_id, worker in self._workers.items():
            if self._wanted.get(endpoint_id) != worker.endpoint:
                worker.stop()
        if self._group is not None and not self._stopping:
            for endpoint_id in self._wanted.keys() - self._serving:
                self._serving.add(endpoint_id)
                self._group.create_task(self._serve(endpoint_id))
        if disabled:  # last: a store that cannot be written keeps nobody sending
            await self._healths.forget_disabled()

    @override
    async def take(self, positions: Mapping[int, int], news: Sequence[New]) -> None:
        await self.deliver(positions, news, self._deliveries.fan_out)

    async def deliver(self, positions: Mapping[int, int], news: Sequence[New], write: Write) -> None:
        """As `take`, for whoever writes by himself how far he has read; see `Settler.owe`."""
        # The events are on disk; who is owed them may be written while they are on their way.
        owed = [
            Owed(delivery, self._offer(delivery, new.body)) for new in news for delivery in new.deliveries
        ]
        self._settler.owe(positions, owed, write)
        await self._settler.room()

    async def flush(self) -> None:
        """Return when everything that was handed over is written, or forgotten."""
        await self._settler.flush()

    def look_again(self, endpoint_id: str) -> None:
        """Tell the endpoint's worker that deliveries were put back into the store, by a replay."""
        worker = self._workers.get(endpoint_id)
        if worker is not None:
            worker.look_again()

    def look_at_everything(self) -> None:
        """Have every worker read the store again: word of what another process wrote may have been lost."""
        for worker in self._workers.values():
            worker.look_again()

    def left_behind(self, endpoint_id: str, first: Key) -> None:
        """Hear that another process wrote deliveries for an endpoint, none before this key."""
        worker = self._workers.get(endpoint_id)
        if worker is not None:
            worker.left_behind(first)

    async def let_go(self, endpoints: Collection[str]) -> None:
        """Return when nothing is sent to these endpoints any more, and what came of it is written."""
        self._leaving.update(endpoints)
        try:
            for endpoint_id in endpoints:
                self._wanted.pop(endpoint_id, None)
                worker = self._workers.get(endpoint_id)
                if worker is not None:
                    worker.stop()
            while not self._serving.isdisjoint(endpoints):
                self._ended.clear()
                await self._ended.wait()
        finally:
            self._leaving.difference_update(endpoints)

    def mark(self) -> tuple[object, ...] | None:
        """Return what changes while what is owed, and what came of it, comes to disk; None where nothing waits for that."""
        return self._settler.mark()

    def counters(self) -> Mapping[str, Counters]:
        return self._counters

    def standing(self) -> Mapping[str, Standing]:
        """Return how each endpoint is sent to at this moment."""
        return {
            name: Standing(pace.limit, max(pace.paused_until, pace.rests_until), watch.health.failing_since)
            for name, pace in self._paces.items()
            if (watch := self._watches.get(name)) is not None
        }

    async def _serve(self, endpoint_id: str) -> None:
        try:
            while not self._stopping:
                endpoint = self._wanted.get(endpoint_id)
                worker = await self._worker(endpoint) if endpoint is not None else None
                if worker is None:
                    break
                if self._stopping or self._wanted.get(endpoint_id) != endpoint:
                    continue  # while it was made: nobody could tell it to stop yet
                self._workers[endpoint_id] = worker
                await worker.run()
                # What it sent must be on disk before a successor reads what still waits, or it would send it again.
                await self._settler.flush()
        finally:
            self._workers.pop(endpoint_id, None)
            self._watches.pop(endpoint_id, None)
            self._paces.pop(endpoint_id, None)
            self._serving.discard(endpoint_id)
            self._ended.set()

    async def _worker(self, endpoint: Endpoint) -> EndpointWorker | None:
        try:
            url, transport = self._way(endpoint)
            requests = request_maker(endpoint, self._workshop, url)
        except ConfigError as problem:
            log.warning("endpoint.unusable", endpoint=endpoint.id, reason=str(problem))
            self._wanted.pop(endpoint.id, None)
            return None
        watch = await self._watch(endpoint.id)
        return EndpointWorker(
            endpoint,
            url=url,
            requests=requests,
            transport=_timed(endpoint, transport),
            deliveries=self._deliveries,
            settler=self._settler,
            clock=self._clock,
            random=self._random,
            pace=self._pace(endpoint, watch),
            watch=watch,
            longest_pause_us=self._longest_pause_us,
            counters=self._counters.setdefault(endpoint.id, Counters()),
            queue=self._queue(endpoint),
            places=self.places,
        )

    def _way(self, endpoint: Endpoint) -> tuple[yarl.URL, Transport]:
        if endpoint.options.kind == KAFKA:
            if self._kafka is None:
                raise ConfigError("no topics are open to endpoints: set delivering.kafka")
            return yarl.URL(endpoint.url), self._kafka
        url = parse_endpoint_url(endpoint.url, allow_loopback=self._allow_loopback, networks=self._networks)
        return url, self._transport

    def _offer(self, delivery: Delivery, body: bytes) -> Taker | None:
        worker = self._workers.get(delivery.endpoint)
        if worker is None or not self._owns(delivery.endpoint):
            return None
        return worker if worker.offer(delivery, body) else None

    def _on_disk(self, delivery: Delivery, taker: Taker | None) -> None:
        worker = self._workers.get(delivery.endpoint)
        # A worker that came meanwhile may have read the store too early.
        if worker is not None and worker is not taker:
            worker.left_behind((delivery.due, delivery.partition, delivery.n))

    async def _watch(self, endpoint_id: str) -> Watch:
        known = self._watches.get(endpoint_id)
        while known is None:
            try:
                health = await self._healths.get(endpoint_id) or Health(endpoint_id)
            except StoreUnavailable as problem:
                log.warning("endpoint.health_unread", endpoint=endpoint_id, reason=str(problem))
                await self._clock.sleep(STORE_RETRY)
                continue
            known = Watch(health, self._healths, self._announce, self._clock, self._disable_after_us)
            self._watches[endpoint_id] = known
        return known

    def _pace(self, endpoint: Endpoint, watch: Watch) -> Pace:
        """Return the endpoint's pace: what was learnt of it outlives a change of its settings."""
        pace = self._paces.get(endpoint.id)
        if pace is None:
            pace = self._paces[endpoint.id] = Pace(self._random)
        now_us, options = self._clock.now_us(), endpoint.options
        most = min(options.concurrency or self._concurrency, self.places.most_each)
        pace.settle_on(most, options.pace, options.burst, now_us)
        if watch.health.paused_until > pace.paused_until > 0:
            watch.paused(pace.paused_until)  # the clock was set back, and the pause with it
        longest = now_us + self._longest_pause_us
        if watch.health.paused_until > longest:  # the clock it was stored by ran ahead
            watch.paused(longest)
        pace.pause(watch.health.paused_until, now_us)
        return pace

    def _queue(self, endpoint: Endpoint) -> EndpointQueue:
        if endpoint.options.order == "account":
            return AccountQueue(endpoint.options, self._capacity, self._room)
        return EndpointQueue(self._capacity, self._room)

    async def _before_writing(self, settled: Settled, body: bytes) -> None:
        delivery, attempt, _ = settled
        if delivery.state is DeliveryState.EXHAUSTED:
            await self._tell_of_exhausted(settled, body)
        elif delivery.state is DeliveryState.CANCELLED or attempt.outcome == SAID_DISABLE:
            by_header = attempt.outcome == SAID_DISABLE
            reason = "the receiver asked for it with webhook-delivery: disable" if by_header else GONE_REASON
            name = delivery_id(delivery)
            await self._disable(delivery.endpoint, name, reason, name)
        watch = self._watches.get(delivery.endpoint)
        if watch is not None and watch.unwell:
            since = watch.health.failing_since
            why = await watch.tell()
            if why is not None:
                await self._disable(delivery.endpoint, None, why, str(since), since)

    async def _tell_of_exhausted(self, settled: Settled, body: bytes) -> None:
        delivery, attempt, _ = settled
        name = delivery_id(delivery)
        reason = (
            f"{attempt.number} attempts failed, the last one: {attempt.error} {attempt.status or ''}".rstrip()
        )
        if _type_of(body).type in OWN_NEWS:
            log.warning("delivery.news_exhausted", delivery=name, reason=reason)
            return
        # One that a replay makes again may come to nothing again, after as many attempts.
        key = f"delivery.exhausted:{name}:{delivery.attempts}:{delivery.created_at}"
        await self._announce(DeliveryExhausted(delivery.endpoint, name, reason, key))

    async def _disable(
        self, endpoint_id: str, delivery: str | None, reason: str, occasion: str, since: int | None = None
    ) -> None:
        # Who made the attempt: its successor begins once this is written.
        worker = self._workers.get(endpoint_id)
        while (endpoint := await self._endpoints.get(endpoint_id)) is not None and endpoint.state == ENABLED:
            if worker is not None and endpoint.url != worker.endpoint.url:
                return  # what another receiver said, whose place this one has taken
            key = f"endpoint.disabled:{endpoint_id}:{_short(endpoint)}:{occasion}"
            await self._announce(EndpointDisabled(endpoint_id, delivery, reason, key, since))
            if await self._endpoints.replace(endpoint, endpoint._replace(state=DISABLED, reason=reason)):
                break
        if endpoint_id in self._wanted:  # also where that was written before and the store went away then
            await self.refresh()


def _timed(endpoint: Endpoint, transport: Transport) -> Transport:
    seconds = endpoint.options.timeout_s
    if seconds is None or not isinstance(transport, AiohttpTransport):
        return transport
    return transport.within(seconds)


def _short(endpoint: Endpoint) -> str:
    return hashlib.sha256(endpoint.url.encode()).hexdigest()[:8]
