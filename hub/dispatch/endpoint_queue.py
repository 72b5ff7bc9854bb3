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
ROOM_BYTES = 32 * 1024 * 1024
_ITEM_BYTES = 512  # of an item beside its body
# A retry further away than this waits in the store alone.
NEAR_US = 60 * 1_000_000


class Item(NamedTuple):
    delivery: Delivery
    body: bytes


class Room:
    """What the queues of all endpoints may hold beyond `CAPACITY` each: a backlog of seconds need not be read again."""

    def __init__(self, size: int) -> None:
        self.left = size


class EndpointQueue:
    def __init__(self, capacity: int = CAPACITY, room: Room | None = None) -> None:
        self.near_us = NEAR_US
        self._capacity = capacity
        self._room = Room(0) if room is None else room
        self._ready: deque[Item] = deque()
        self._later: list[tuple[Key, Item]] = []
        self._held: dict[tuple[int, int], int] = {}  # with the bytes each takes
        # A queue that was just made knows nothing: everything is in the store.
        self.beyond: Key | None = (0, 0, 0)
        self._reading = False
        self._declined: Key | None = None
        self._arrived: list[Item] = []
        self._left_while_reading: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self._held)

    def has_room(self) -> bool:
        return len(self._held) + len(self._arrived) < self._capacity or self._room.left > 0

    def offer(self, delivery: Delivery, body: bytes) -> bool:
        """Take a delivery that is being written, if there is room.

        While older deliveries wait in the store a new one waits behind them there: here it would overtake them.
        Whoever is told False calls `left_behind` once the delivery is written: before that, no page can hold it.
        """
        key = (delivery.due, delivery.partition, delivery.n)
        if self._reading:
            # The page may or may not hold it: it joins the others when that is known.
            if self.has_room():
                self._arrived.append(Item(delivery, body))
                return True
        elif (delivery.partition, delivery.n) in self._held:
            # On its way since another reader of the log brought it, and perhaps over already: only the store knows.
            pass
        elif self.has_room() and (self.beyond is None or key < self.beyond):
            self._hold(Item(delivery, body), delivery.due)
            return True
        self._decline(key)
        return False

    def left_behind(self, first: Key) -> None:
        """Hear that deliveries are in the store which nobody took, none before this key: they are to be read from there."""
        self._decline(first)

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

    def drop(self) -> None:
        """Let go of everything: whoever comes next reads it from the store."""
        for identity in list(self._held):
            self._give_back(identity)
        self._ready.clear()
        self._later.clear()
        self._arrived.clear()

    def look_again(self) -> None:
        """Read the store from its beginning: somebody else changed what waits there."""
        self._decline((0, 0, 0))

    def _end_reading(self, following: Key | None, now_us: int) -> None:
        arrived, self._arrived = self._arrived, []
        declined, self._declined = self._declined, None
        self.beyond = following if declined is None else min(following or declined, declined)
        for item in arrived:
            if self.is_new(item.delivery):
                self._hold(item, now_us)
        self._reading = False
        self._left_while_reading.clear()

    def _hold(self, item: Item, now_us: int) -> None:
        delivery = item.delivery
        self._keep((delivery.partition, delivery.n), item.body)
        if delivery.due <= now_us:
            self._ready.append(item)
        else:
            heapq.heappush(self._later, ((delivery.due, delivery.partition, delivery.n), item))

    def _keep(self, identity: tuple[int, int], body: bytes) -> None:
        size = len(body) + _ITEM_BYTES
        self._held[identity] = size
        self._room.left -= size

    def _release(self, delivery: Delivery) -> None:
        identity = (delivery.partition, delivery.n)
        self._give_back(identity)
        if self._reading:
            self._left_while_reading.add(identity)

    def _give_back(self, identity: tuple[int, int]) -> None:
        self._room.left += self._held.pop(identity, 0)

    def _decline(self, key: Key) -> None:
        if self._reading:
            self._declined = key if self._declined is None else min(self._declined, key)
        elif self.beyond is None or key < self.beyond:
            self.beyond = key
