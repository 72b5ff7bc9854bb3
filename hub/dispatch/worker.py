"""One endpoint's worker: takes what is due, sends it on a few connections, and hands the results over for writing.

Each endpoint has its own slots, so one that hangs holds up nobody else. Nothing is written before an attempt: a crash
repeats the attempts in flight and those of the settler's last moment, with the same webhook-id, and nothing more.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import final

import msgspec
import structlog
import yarl
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch import attempt_record
from hub.dispatch.account_order import learn_floors, learn_history
from hub.dispatch.account_queue import AccountQueue
from hub.dispatch.delivery import (
    DELIVERED,
    Aborted,
    Delivered,
    ErrorClass,
    Gone,
    Outcome,
    Refused,
    Unreachable,
    settle,
)
from hub.dispatch.endpoint_queue import EndpointQueue, Item, Key
from hub.dispatch.metrics import Counters
from hub.dispatch.outbox import Deliveries, Delivery, DeliveryState, Endpoint, Settled
from hub.dispatch.pace import Pace
from hub.dispatch.places import Places, Visitor
from hub.dispatch.request_maker import NotShaped, RequestMaker
from hub.dispatch.safe_http import Transport
from hub.dispatch.schedule import LONGEST_WAIT_US, WAITS
from hub.dispatch.set_back import SetBack, longest_of, put_right
from hub.dispatch.settler import Settler, Settling
from hub.dispatch.waiting import until
from hub.dispatch.watch import Watch
from hub.errors import LeaseLost, StoreUnavailable
from hub.events.records import wire

PAGE = 256
# An attempt that ended otherwise was answered by somebody who is there: with a 2xx, or that it wants no more.
FAILURES = frozenset({"refused", "unreachable"})
STORE_RETRY = timedelta(seconds=1)

log = structlog.get_logger(__name__)


@final
class EndpointWorker(Settling, Visitor):
    def __init__(
        self,
        endpoint: Endpoint,
        *,
        url: yarl.URL,
        requests: RequestMaker,
        transport: Transport,
        deliveries: Deliveries,
        settler: Settler,
        clock: Clock,
        random: Random,
        pace: Pace,
        watch: Watch,
        longest_pause_us: int = LONGEST_WAIT_US,
        counters: Counters | None = None,
        queue: EndpointQueue | None = None,
        places: Places | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.counters = Counters() if counters is None else counters
        self._url = url
        self._requests = requests
        self._waits = WAITS if endpoint.schedule is None else endpoint.schedule
        self._transport = transport
        self._deliveries = deliveries
        self._settler = settler
        self._clock = clock
        self._random = random
        self._pace = pace
        self._watch = watch
        self._longest_pause_us = longest_pause_us
        self._queue = EndpointQueue() if queue is None else queue
        self._line = queue if isinstance(queue, AccountQueue) else None
        self._places = Places() if places is None else places
        self._set_back = SetBack(clock)
        self._called = asyncio.Event()
        self._idle: list[asyncio.Future[None]] = []
        self._slots = 0
        self._group: asyncio.TaskGroup | None = None
        self._stopped = False

    def offer(self, delivery: Delivery, body: bytes) -> bool:
        """Take a delivery that is being written, if there is room."""
        if self._stopped:
            return False
        taken = self._queue.offer(delivery, body)
        if taken:
            self._wake()
        return taken

    def left_behind(self, first: Key) -> None:
        """Hear that deliveries nobody took are written now, none before this key."""
        self._queue.left_behind(first)
        self._called.set()

    def look_again(self) -> None:
        """Read from the store again: deliveries were put there behind the worker's back, by a replay."""
        self._queue.look_again()
        self._called.set()

    def stop(self) -> None:
        """Start no further attempt; `run` returns when those in flight are over."""
        self._stopped = True
        self._called.set()
        while self._idle:
            self._release(self._idle.pop())

    def held(self) -> int:
        return len(self._queue)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            await self._put_right()
            if self._line is not None:
                await learn_floors(self._line, self.endpoint.id, self._deliveries, self._clock)
            while not self._stopped:
                await self._tend()
        self._group = None
        self._places.go(self)
        self._queue.drop()

    async def _tend(self) -> None:
        now_us = self._clock.now_us()
        if self._set_back.by_us():
            self.stop()  # what it holds is due by the clock as it was: another one begins with what is in the store
            return
        if now_us < self._pace.not_before:
            self._pace.look(now_us)
        if now_us < self._pace.not_before:
            await until(self._clock, self._pace.not_before, self._called)
            return
        if self._line is not None and self._line.put_off:
            await self._put_off(self._line)
        if self._queue.wants_reading(now_us):
            await self._read_page()
        for _ in range(min(self._pace.room(), self._queue.ready(self._clock.now_us()))):
            self._wake()
        if self._line is not None and self._line.put_off:
            return  # those just read have to go behind others first
        if not self._queue.wants_reading(self._clock.now_us()):
            await until(self._clock, self._queue.next_due(now_us), self._called)

    async def _read_page(self) -> None:
        after = self._queue.start_reading()
        try:
            rows = await self._deliveries.waiting(self.endpoint.id, after=after, limit=PAGE)
            near = self._clock.now_us() + self._queue.near_us
            wanted = [row for row in rows if row.due <= near and self._queue.is_new(row)]
            bodies = await self._deliveries.bodies(wanted)
            if self._line is not None:
                await learn_history(self._line, wanted, self._deliveries)
        except StoreUnavailable as problem:
            self._queue.abandon_reading(self._clock.now_us())
            log.warning("delivery.backlog_unread", endpoint=self.endpoint.id, reason=str(problem))
            await self._clock.sleep(STORE_RETRY)
            return
        items: list[Item] = []
        now_us = self._clock.now_us()
        for row in wanted:
            stored = bodies.get((row.partition, row.n))
            if stored is None:  # past its retention: there is nothing left to send
                continue
            try:
                item = Item(row, wire(stored.body, stored.sequence))
                if self._line is None:
                    items.append(item)
                else:
                    self._line.take_in(item, now_us)
            except msgspec.DecodeError:
                log.exception("delivery.event_unreadable", delivery=row.event_id)
        self._queue.finish_reading(items, _following(rows, near), now_us)

    async def _put_right(self) -> None:
        """Have what a clock wrote that ran ahead be due by its schedule."""
        longest = longest_of(self._waits, in_order=self._line is not None)
        while not self._stopped:
            now_us = self._clock.now_us()
            try:
                moved = await put_right(self._deliveries, self.endpoint.id, longest, now_us)
            except StoreUnavailable as problem:
                log.warning("delivery.not_put_right", endpoint=self.endpoint.id, reason=str(problem))
                await self._clock.sleep(STORE_RETRY)
                continue
            except LeaseLost as problem:
                log.warning("delivery.endpoint_of_another", endpoint=self.endpoint.id, reason=str(problem))
                await self._clock.sleep(STORE_RETRY)
                self.stop()
                return
            if moved:
                log.warning("delivery.put_right", endpoint=self.endpoint.id, deliveries=moved)
            return

    async def _put_off(self, line: AccountQueue) -> None:
        moves = list(line.put_off)
        # Some may just be on their way to disk, where they have to be first.
        await self._settler.flush()
        try:
            await self._deliveries.put_off(moves)
        except StoreUnavailable as problem:
            log.warning("delivery.not_put_off", endpoint=self.endpoint.id, reason=str(problem))
            await self._clock.sleep(STORE_RETRY)
            return
        except LeaseLost as problem:
            log.warning("delivery.endpoint_of_another", endpoint=self.endpoint.id, reason=str(problem))
            self.stop()
            return
        line.was_put_off(moves)

    @override
    def come(self) -> None:
        self._wake()

    def _wake(self) -> None:
        if self._stopped:
            return
        if self._idle:
            # Last in, first out: under little load the same connections are used and the others may close.
            self._release(self._idle.pop())
        elif self._slots < self._pace.most and self._group is not None:
            self._slots += 1
            self._group.create_task(self._slot())

    @staticmethod
    def _release(waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)

    async def _slot(self) -> None:
        loop = asyncio.get_running_loop()
        clock, queue, pace, places = self._clock, self._queue, self._pace, self._places
        while not self._stopped:
            now_us = clock.now_us()
            open_now = now_us >= pace.not_before and pace.running < pace.limit
            item, crowded = None, False
            if open_now and queue.ready(now_us):
                crowded = not places.enter(self)
                item = None if crowded else queue.take(now_us)
                if item is None and not crowded:
                    places.leave()
            if item is None:
                places.give_back(self)
                if open_now and not crowded and queue.has_later():
                    self._called.set()  # the alarm was set for what this slot has taken: set it for the next
                waiter = loop.create_future()
                self._idle.append(waiter)
                await waiter
            else:
                if pace.begins(now_us):
                    self._called.set()  # nobody may take the next one yet: set the alarm for when somebody may
                if places.waiting and pace.running < pace.limit and queue.ready(now_us):
                    places.wants_more(self)
                await self._attempt(item, now_us)
                pace.running -= 1
                places.leave()

    async def _attempt(self, item: Item, started_us: int) -> None:
        delivery, body = item
        self.counters.sent += 1
        sent = b""
        try:
            headers, sent = await self._requests.prepare(delivery, body, started_us)
            outcome = await self._transport.send(self._url, headers, sent)
        except NotShaped as problem:
            outcome = Unreachable(ErrorClass.TRANSFORM, str(problem), 0)
        except Exception as bug:
            # Whatever this is, it must not end the other endpoints' work with this one's.
            log.exception("delivery.transport_failed", endpoint=self.endpoint.id)
            outcome = Unreachable(ErrorClass.CONNECT, f"the hub failed: {type(bug).__name__}", 0)
        now_us = self._clock.now_us()
        if type(outcome) is not Delivered or outcome.farewell or self._pace.unwell:
            self._hold_back(outcome, started_us, now_us)
        settled = settle(
            delivery,
            outcome,
            started_us=started_us,
            now_us=now_us,
            waits=self._waits,
            random=self._random,
            record=attempt_record.written(self._requests.asked, len(sent), outcome.seen),
            longest_us=self._longest_pause_us,
        )
        if self._line is not None:
            settled = self._line.judged(settled, now_us)
        self._watched(settled)
        self._settler.add(self, settled, body)

    def _hold_back(self, outcome: Outcome, started_us: int, now_us: int) -> None:
        """Listen to what an answer says about the endpoint as a whole."""
        pace = self._pace
        if pace.ended(outcome, started_us, now_us):
            self._called.set()
        match outcome:
            case Gone() | Delivered(farewell=True):
                self.stop()
            case Refused(retry_after_us=int(asked)) | Aborted(retry_after_us=int(asked)) if asked:
                pace.pause(now_us + min(asked, self._longest_pause_us), now_us)
                self._watch.paused(pace.paused_until)
                self._called.set()
            case _:
                pass

    def _watched(self, settled: Settled) -> None:
        """Note how the endpoint is, from what the attempt came to."""
        attempt = settled.attempt
        if attempt.outcome == DELIVERED:
            if self._watch.unwell:
                self._watch.succeeded()
        elif attempt.outcome in FAILURES:
            self._watch.failed(f"{attempt.error} {attempt.status or ''}".rstrip())

    @property
    @override
    def unwell(self) -> bool:
        return self._watch.unwell

    @override
    def written(self, settled: Settled, body: bytes) -> None:
        delivery = settled.delivery
        counters = self.counters
        counters.observe(settled.attempt.latency_us)
        now_us = self._clock.now_us()
        if delivery.state is DeliveryState.WAITING:
            counters.failed += 1
            counters.retries += 1
            self._queue.postpone(delivery, body, now_us)
            self._called.set()
            return
        self._queue.done(delivery)
        if self._line is not None:
            self._called.set()  # the next of its account may go
        if delivery.state is DeliveryState.DELIVERED:
            counters.delivered += 1
        else:
            counters.failed += 1
            counters.exhausted += delivery.state is DeliveryState.EXHAUSTED
            counters.aborted += delivery.state is DeliveryState.ABORTED
        if self._queue.wants_reading(now_us):
            self._called.set()

    @override
    def forgotten(self, settled: Settled) -> None:
        self._queue.done(settled.delivery)


def _following(rows: Sequence[Delivery], near: int) -> Key | None:
    """Return where the next page begins: at the first row that is far away, or after a page that was full."""
    for row in rows:
        if row.due > near:
            return row.due, row.partition, row.n
    if len(rows) < PAGE:
        return None
    last = rows[-1]
    return last.due, last.partition, last.n + 1
