"""One endpoint's deliveries in memory, sent one after the other for each account, and side by side for different ones.

The store lists what waits by when it is due. That is the order of events until one fails: then it is due later than those
behind it. So these are put off to where it stands now, and what comes to the account before that moment is put off
with them: what is due at the same moment is listed by number. An account's `floor` is the last such moment; it can be
worked out again from what waits, so a restart changes nothing.
"""

from collections import deque
from typing import Final, final

import msgspec
from typing_extensions import override

from hub.clock import SECOND_US
from hub.dispatch.endpoint_queue import CAPACITY, EndpointQueue, Item, Key, Room
from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import Delivery, DeliveryState, PutOff, Settled

# One account with many events must not fill the room of all: it gets this part of it.
_PART: Final = 16
_SOON_US: Final = SECOND_US // 4
# Somebody may still write a delivery that was due before the floor: he who fanned it out may have waited for the store.
_FLOORS_KEPT_US: Final = 3600 * SECOND_US
_MANY_FLOORS: Final = 1_000

Identity = tuple[int, int]


class Lane:
    """The deliveries of one account, the next one first; `is_free` while nothing of it is on its way or held up."""

    __slots__ = ("is_free", "items")

    def __init__(self, item: Item) -> None:
        self.items = [item]
        self.is_free = True


class _Account(msgspec.Struct):
    server: str
    login: int


class _Body(msgspec.Struct):
    account: _Account | None = None


_read = msgspec.json.Decoder(_Body).decode


def lane_of(delivery: Delivery, body: bytes) -> str:
    """Return what has to go one after the other: an account, or an event that belongs to none by itself."""
    account = _read(body).account
    return f"{delivery.partition}.{delivery.n}" if account is None else f"{account.server}:{account.login}"


@final
class AccountQueue(EndpointQueue):
    """`stuck` and `stuck_s` of the options say what becomes of those behind one that fails.

    block: they wait for it, `stuck_s` at most, and then pass it. skip: the same, without waiting where no time is given.
    park: it is given up after that time, so that nothing ever comes out of order.
    """

    def __init__(self, options: EndpointOptions, capacity: int = CAPACITY, room: Room | None = None) -> None:
        super().__init__(capacity, room)
        self.near_us = 0
        self.put_off: list[PutOff] = []
        self._most_in_lane = max(capacity // _PART, 1)
        self._parks = options.stuck == "park"
        seconds = options.stuck_s
        if seconds is None and options.stuck != "block":
            seconds = 0.0
        self._patience_us = None if seconds is None else int(seconds * SECOND_US)
        self._lanes: dict[str, Lane] = {}
        self._lane_of: dict[Identity, str] = {}
        self._free: deque[str] = deque()  # lanes to take from; one that went meanwhile may still stand there
        self._floors: dict[str, int] = {}
        self._first_tried: dict[Identity, int] = {}

    # --- what is learnt from the store

    def learn_floor(self, lane: str, row: Delivery, first_tried: int | None) -> None:
        """Hear of a row that waits where it was put: one that failed, first at `first_tried`, or one put off behind it."""
        until = row.due if first_tried is None else self._held_up_until(row.due, first_tried)
        self._raise_floor(lane, until)

    def learn_first_tried(self, row: Delivery, at: int) -> None:
        self._first_tried[row.partition, row.n] = at

    def wants_history(self, row: Delivery) -> bool:
        return self._patience_us is not None and row.attempts > 0

    def take_in(self, item: Item, now_us: int) -> None:
        """Take a row that was read, or put it off where it has to go behind others of its account."""
        delivery = item.delivery
        if not self.is_new(delivery):
            return
        name = lane_of(*item)
        until = self._floors.get(name, 0)
        if delivery.due >= until and self._is_full(name):
            until = now_us + _SOON_US
            self._raise_floor(name, until)
        if delivery.due >= until:
            self._hold(item, now_us)
            return
        self._held[delivery.partition, delivery.n] = 0  # until that is written
        self.put_off.append(PutOff(delivery, until))

    def was_put_off(self, moves: list[PutOff]) -> None:
        """Hear that rows were put off in the store."""
        for delivery, due in moves:
            if (delivery.partition, delivery.n) in self._lane_of:
                self._leave(delivery, frees=False)
            else:
                self._release(delivery)
            self.left_behind((due, delivery.partition, delivery.n))
        del self.put_off[: len(moves)]

    # --- what came of an attempt

    def judged(self, settled: Settled, now_us: int) -> Settled:
        """Return what an attempt came to, with what that means for those behind it."""
        delivery = settled.delivery
        if not self._parks or delivery.state is not DeliveryState.WAITING:
            return settled
        assert self._patience_us is not None
        end = self._first_tried.get((delivery.partition, delivery.n), settled.attempt.at) + self._patience_us
        if end <= now_us:
            over = delivery._replace(state=DeliveryState.EXHAUSTED, due=settled.due)
            return settled._replace(delivery=over, attempt=settled.attempt._replace(next_at=None))
        due = min(delivery.due, end)  # tried once more before it is given up
        return settled._replace(
            delivery=delivery._replace(due=due), attempt=settled.attempt._replace(next_at=due)
        )

    @override
    def postpone(self, delivery: Delivery, body: bytes, now_us: int) -> None:
        identity = (delivery.partition, delivery.n)
        until = self._held_up_until(delivery.due, self._first_tried.pop(identity, now_us))
        self._decline((delivery.due, *identity))
        name = self._lane_of.get(identity)
        if name is None:  # everything was dropped meanwhile
            return
        if until > now_us:
            self._raise_floor(name, until)
            behind = (item.delivery for item in self._lanes[name].items)
            self.put_off += [PutOff(other, until) for other in behind if other.n != delivery.n]
        self._leave(delivery, frees=until <= now_us)

    def _held_up_until(self, due: int, first_tried: int) -> int:
        return due if self._patience_us is None else min(due, first_tried + self._patience_us)

    # --- the queue

    @override
    def offer(self, delivery: Delivery, body: bytes) -> bool:
        lane = lane_of(delivery, body)
        is_late = delivery.due < self._floors.get(lane, 0)
        # While a page is read nobody knows what older ones it leaves in the store, nor while some are put off.
        if self._reading or self.put_off or is_late or self._is_full(lane):
            self._decline((delivery.due, delivery.partition, delivery.n))
            return False
        return super().offer(delivery, body)

    @override
    def take(self, now_us: int) -> Item | None:
        while self._free:
            lane = self._lanes.get(self._free.popleft())
            if lane is not None and lane.is_free:
                lane.is_free = False
                return lane.items[0]
        return None

    @override
    def ready(self, now_us: int) -> int:
        return len(self._free)

    @override
    def done(self, delivery: Delivery) -> None:
        self._first_tried.pop((delivery.partition, delivery.n), None)
        if (delivery.partition, delivery.n) in self._lane_of:
            self._leave(delivery)

    @override
    def finish_reading(self, items: list[Item], following: Key | None, now_us: int) -> None:
        super().finish_reading(items, following, now_us)
        if len(self._floors) > _MANY_FLOORS:
            old = now_us - _FLOORS_KEPT_US
            self._floors = {lane: floor for lane, floor in self._floors.items() if floor > old}

    @override
    def drop(self) -> None:
        super().drop()
        self._lanes.clear()
        self._lane_of.clear()
        self._free.clear()
        self.put_off.clear()
        self._floors.clear()

    @override
    def _hold(self, item: Item, now_us: int) -> None:
        delivery, body = item
        identity = (delivery.partition, delivery.n)
        self._keep(identity, body)
        name = lane_of(delivery, body)
        self._lane_of[identity] = name
        lane = self._lanes.get(name)
        if lane is None:
            self._lanes[name] = Lane(item)
            self._free.append(name)
            return
        items = lane.items
        first, place = int(not lane.is_free), len(items)
        while place > first and items[place - 1].delivery.n > delivery.n:
            place -= 1
        items.insert(place, item)

    def _leave(self, delivery: Delivery, *, frees: bool = True) -> None:
        """Let a delivery go; when it was the one on its way, the next of its lane may, unless it is held up."""
        identity = (delivery.partition, delivery.n)
        self._release(delivery)
        name = self._lane_of.pop(identity)
        lane = self._lanes[name]
        was_first = lane.items[0].delivery.n == delivery.n
        lane.items = [item for item in lane.items if item.delivery.n != delivery.n]
        if not lane.items:
            del self._lanes[name]
        elif was_first and frees and not lane.is_free:
            lane.is_free = True
            self._free.append(name)

    def _is_full(self, name: str) -> bool:
        lane = self._lanes.get(name)
        return lane is not None and len(lane.items) >= self._most_in_lane

    def _raise_floor(self, lane: str, until: int) -> None:
        self._floors[lane] = max(self._floors.get(lane, 0), until)
