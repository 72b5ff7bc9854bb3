"""One endpoint's worker: takes what is due, sends it on a few connections, and hands the results over for writing.

Each endpoint has its own pace, so one that hangs holds up nobody else. What can be sent at once, on a kept connection,
goes without a task: what was answered in a turn of the loop is settled together, and what is ready then is signed
together and sent together. Nothing is written before an attempt: a crash repeats the attempts in flight and those of
the settler's last moment, with the same webhook-id, and nothing more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from random import Random
from typing import NamedTuple, final

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
from hub.dispatch.safe_http import Flight, Headers, Prompt, Transport
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


class _Sent(NamedTuple):
    """What there is to know of an attempt while it is on its way."""

    item: Item
    started_us: int
    size: int  # of its body


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
        self._way = transport.way(url) if isinstance(transport, Prompt) else None
        self._group: asyncio.TaskGroup | None = None
        self._stopped = False
        self._turning = False  # a turn is due already
        self._flights = 0
        self._over: list[Flight] = []
        self._landed = asyncio.Event()
        self._bug: Exception | None = None

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

    def held(self) -> int:
        return len(self._queue)

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as self._group:
                await self._put_right()
                if self._line is not None:
                    await learn_floors(self._line, self.endpoint.id, self._deliveries, self._clock)
                while not self._stopped:
                    await self._tend()
                while self._flights and self._bug is None:
                    self._landed.clear()
                    await self._landed.wait()
            if self._bug is not None:
                raise self._bug
        finally:
            self._group = None  # whatever is still on its way is nobody's: whoever comes next repeats it
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
        if self._queue.ready(self._clock.now_us()):
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
        self._call_turn()  # also to give the place back, where there is nothing to do

    def _wake(self) -> None:
        if self._pace.running < self._pace.limit and not self._stopped:
            self._call_turn()

    def _call_turn(self) -> None:
        if not self._turning and self._group is not None:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _told(self, flight: Flight) -> None:
        self._over.append(flight)
        self._call_turn()

    def _turn(self) -> None:
        """Settle what was answered meanwhile and send what may go now."""
        self._turning = False
        group = self._group
        if group is None:
            return
        try:
            self._take_answers(group)
            self._send_some(group)
        except Exception as bug:  # here it has nobody to go to
            self._bug = bug
            self.stop()
            self._landed.set()

    def _take_answers(self, group: asyncio.TaskGroup) -> None:
        flights, self._over = self._over, []
        if not flights:
            return
        now_us = self._clock.now_us()
        for flight in flights:
            self._flights -= 1
            sent = flight.about
            assert isinstance(sent, _Sent), "it was begun here"
            try:
                outcome = flight.outcome()
            except Exception as bug:
                outcome = self._failed(bug)
            if outcome is None:
                group.create_task(self._once_more(flight, sent))
            else:
                self._ended(sent.item, outcome, sent.started_us, now_us, sent.size)
        if self._stopped:
            self._landed.set()

    def _send_some(self, group: asyncio.TaskGroup) -> None:
        queue, pace, requests, way, places = self._queue, self._pace, self._requests, self._way, self._places
        now_us = self._clock.now_us()
        ready: list[tuple[Item, str]] = []
        while not self._stopped:
            open_now = now_us >= pace.not_before and pace.running < pace.limit
            item, crowded = None, False
            if open_now and queue.ready(now_us):
                crowded = not places.enter(self)
                item = None if crowded else queue.take(now_us)
                if item is None and not crowded:
                    places.leave()
            if item is None:
                if open_now and not crowded and queue.has_later():
                    self._called.set()  # the alarm was set for what was taken now: set it for the next
                break
            if pace.begins(now_us):
                self._called.set()  # nobody may take the next one yet: set the alarm for when somebody may
            self.counters.sent += 1
            lines = None
            if way is not None:
                try:
                    lines = requests.at_once(*item, now_us)
                except Exception:
                    lines = None  # whoever prepares it at leisure finds out, and says why
            if lines is None:
                group.create_task(self._attempt(item, now_us))
            else:
                ready.append((item, lines))
        places.give_back(self)
        # Writes that follow one another cost half as much: the first wakes the receiver, the others find it awake.
        for item, lines in ready:
            assert way is not None, "without one there are no lines"
            body = item.body
            if way.begin(lines, body, _Sent(item, now_us, len(body)), self._told):
                self._flights += 1
            else:
                group.create_task(self._attempt(item, now_us))

    async def _attempt(self, item: Item, started_us: int) -> None:
        """Send what has to wait for something: for its form, for a connection, or in a transport that takes a task."""

        async def send(headers: Headers, body: bytes) -> Outcome:
            return await self._transport.send(self._url, headers, body)

        await self._try(item, started_us, send)

    async def _once_more(self, flight: Flight, sent: _Sent) -> None:
        way = self._way
        assert way is not None, "it has flown"

        async def send(headers: Headers, body: bytes) -> Outcome:
            return await way.once_more(flight, headers, body)

        await self._try(sent.item, sent.started_us, send)

    async def _try(
        self, item: Item, started_us: int, send: Callable[[Headers, bytes], Awaitable[Outcome]]
    ) -> None:
        delivery, body = item
        sent = b""
        try:
            headers, sent = await self._requests.prepare(delivery, body, started_us)
            outcome = await send(headers, sent)
        except NotShaped as problem:
            outcome = Unreachable(ErrorClass.TRANSFORM, str(problem), 0)
        except Exception as bug:
            outcome = self._failed(bug)
        self._ended(item, outcome, started_us, self._clock.now_us(), len(sent))
        self._call_turn()

    def _failed(self, bug: Exception) -> Unreachable:
        """Return what an attempt came to that met a bug: it must not end the other endpoints' work with this one's."""
        log.error("delivery.transport_failed", endpoint=self.endpoint.id, exc_info=bug)
        return Unreachable(ErrorClass.CONNECT, f"the hub failed: {type(bug).__name__}", 0)

    def _ended(self, item: Item, outcome: Outcome, started_us: int, now_us: int, size: int) -> None:
        """Hand over what came of an attempt with a body of `size` bytes."""
        delivery, body = item
        if type(outcome) is not Delivered or outcome.farewell or self._pace.unwell:
            self._hold_back(outcome, started_us, now_us)
        settled = settle(
            delivery,
            outcome,
            started_us=started_us,
            now_us=now_us,
            waits=self._waits,
            random=self._random,
            record=attempt_record.written(self._requests.asked, size, outcome.seen),
            longest_us=self._longest_pause_us,
        )
        if self._line is not None:
            settled = self._line.judged(settled, now_us)
        self._watched(settled)
        self._settler.add(self, settled, body)
        self._pace.running -= 1
        self._places.leave()

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
