"""One endpoint's deliveries in memory: a bounded part of what the store holds, and where the rest begins.

The promise: every waiting delivery of the endpoint is either held here, or its key (due, partition, n) is not before
`beyond`. So a million waiting deliveries cost what a thousand cost, nothing is sent twice, and nothing is forgotten.
"""

import heapq
from collections import deque
from typing import NamedTuple

from hub.dispatch.outbox import Delivery

Key = tuple[int, int, int]  # due, partition, n

CAPACITY = 1_000
# A retry further away than this waits in the store alone.
NEAR_US = 60 * 1_000_000


class Item(NamedTuple):
    delivery: Delivery
    body: bytes


class EndpointQueue:
    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._ready: deque[Item] = deque()
        self._later: list[tuple[Key, Item]] = []
        self._held: set[tuple[int, int]] = set()
        # A queue that was just made knows nothing: everything is in the store.
        self.beyond: Key | None = (0, 0, 0)
        self._reading = False
        self._declined: Key | None = None
        self._arrived: list[Item] = []
        self._left_while_reading: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self._held)

    def has_room(self) -> bool:
        return len(self._held) < self._capacity

    def offer(self, delivery: Delivery, body: bytes) -> bool:
        """Take a delivery that was just written, if there is room; a declined one is read from the store later.

        While older deliveries wait in the store a new one waits behind them there: here it would overtake them.
        """
        key = (delivery.due, delivery.partition, delivery.n)
        if self._reading:
            # The page may or may not hold it, and may or may not be the last: decided when it has arrived.
            if len(self._held) + len(self._arrived) < self._capacity:
                self._arrived.append(Item(delivery, body))
                return True
        elif self.has_room() and (self.beyond is None or key < self.beyond):
            if (delivery.partition, delivery.n) not in self._held:
                self._hold(Item(delivery, body), delivery.due)
            return True
        self._decline(key)
        return False

    def postpone(self, delivery: Delivery, body: bytes, now_us: int) -> None:
        """Put a delivery that failed and was written back among those that wait."""
        self._release(delivery)
        key = (delivery.due, delivery.partition, delivery.n)
        if delivery.due - now_us > NEAR_US or not self.has_room():
            self._decline(key)
            return
        self._hold(Item(delivery, body), now_us)

    def done(self, delivery: Delivery) -> None:
        """Forget a delivery whose result was written."""
        self._release(delivery)

    def take(self, now_us: int) -> Item | None:
        """Return the next item that is due. It stays held until `done` or `postpone`."""
        if self._later and self._later[0][0][0] <= now_us:
            return heapq.heappop(self._later)[1]
        return self._ready.popleft() if self._ready else None

    def ready(self, now_us: int) -> int:
        """Return for how many slots there may be work now."""
        due_now = len(self._later) if self._later and self._later[0][0][0] <= now_us else 0
        return len(self._ready) + due_now

    def has_later(self) -> bool:
        return bool(self._later)

    def next_due(self, now_us: int) -> int | None:
        """Return the next moment after now at which something held for later, or left in the store, is due.

        What is due already waits for a slot or for room, not for the clock: whoever frees them calls.
        """
        heads = (self._later[0][0] if self._later else None, self.beyond)
        return min((key[0] for key in heads if key is not None and key[0] > now_us), default=None)

    def wants_reading(self, now_us: int) -> bool:
        """Say whether to read a page now: something due is in the store and at least half of the room is free."""
        return (
            not self._reading
            and self.beyond is not None
            and self.beyond[0] <= now_us
            and len(self._held) <= self._capacity // 2
        )

    def start_reading(self) -> Key:
        """Return the key to read after."""
        assert self.beyond is not None
        self._reading = True
        due, partition, n = self.beyond
        return due, partition, n - 1

    def is_new(self, delivery: Delivery) -> bool:
        """Say whether a row of the page is one to take: not held, and not settled since the page was asked for."""
        identity = (delivery.partition, delivery.n)
        return identity not in self._held and identity not in self._left_while_reading

    def finish_reading(self, items: list[Item], following: Key | None, now_us: int) -> None:
        """Take what was read; `following` is where the next page begins, None when there was no more."""
        for item in items:
            if self.is_new(item.delivery):
                self._hold(item, now_us)
        self._end_reading(following, now_us)

    def abandon_reading(self, now_us: int) -> None:
        """Leave things as they were: the page could not be read."""
        self._end_reading(self.beyond, now_us)

    def look_again(self) -> None:
        """Read the store from its beginning: somebody else changed what waits there."""
        self._decline((0, 0, 0))

    def _end_reading(self, following: Key | None, now_us: int) -> None:
        arrived, self._arrived = self._arrived, []
        declined, self._declined = self._declined, None
        self.beyond = following if declined is None else min(following or declined, declined)
        for item in arrived:
            key = (item.delivery.due, item.delivery.partition, item.delivery.n)
            if not self.is_new(item.delivery):
                continue
            if self.has_room() and (self.beyond is None or key < self.beyond):
                self._hold(item, now_us)
            else:
                self.beyond = key if self.beyond is None else min(self.beyond, key)
        self._reading = False
        self._left_while_reading.clear()

    def _hold(self, item: Item, now_us: int) -> None:
        delivery = item.delivery
        self._held.add((delivery.partition, delivery.n))
        if delivery.due <= now_us:
            self._ready.append(item)
        else:
            heapq.heappush(self._later, ((delivery.due, delivery.partition, delivery.n), item))

    def _release(self, delivery: Delivery) -> None:
        identity = (delivery.partition, delivery.n)
        self._held.discard(identity)
        if self._reading:
            self._left_while_reading.add(identity)

    def _decline(self, key: Key) -> None:
        if self._reading:
            self._declined = key if self._declined is None else min(self._declined, key)
        elif self.beyond is None or key < self.beyond:
            self.beyond = key
