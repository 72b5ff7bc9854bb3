from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hub.dispatch.endpoint_queue import NEAR_US, EndpointQueue, Item, Room
from hub.dispatch.outbox import Delivery, DeliveryState

PAGE = 3


def a_delivery(n, due):
    return Delivery("ep", 0, n, f"evt_{n}", DeliveryState.WAITING, 0, due, due)


def key(delivery):
    return delivery.due, delivery.partition, delivery.n


def test_a_new_queue_reads_the_store_before_it_takes_anything():
    queue = EndpointQueue()

    assert not queue.offer(a_delivery(1, 10), b"x")
    assert queue.wants_reading(10)


def test_after_an_empty_page_what_is_written_is_taken_at_once():
    queue = EndpointQueue()
    queue.start_reading()
    queue.finish_reading([], None, 10)

    assert queue.offer(a_delivery(1, 10), b"x")
    assert queue.take(10).delivery.n == 1


def test_a_retry_far_away_leaves_memory_and_does_not_hold_up_what_is_new():
    queue = EndpointQueue()
    queue.start_reading()
    queue.finish_reading([], None, 10)
    queue.offer(a_delivery(1, 10), b"x")
    item = queue.take(10)

    queue.postpone(item.delivery._replace(due=10 + NEAR_US + 1), b"x", 10)

    assert len(queue) == 0
    assert queue.next_due(10) == 10 + NEAR_US + 1
    assert queue.offer(a_delivery(2, 11), b"y")


class Covers(RuleBasedStateMachine):
    """The queue against a store: nothing waiting is ever out of sight, nothing is handed out twice at a time."""

    def __init__(self):
        super().__init__()
        self.queue = EndpointQueue(4)
        self.now = 0
        self.n = 0
        self.store = {}
        self.out = {}
        self.page = None
        self.unwritten = []
        self.delivered = set()

    @rule()
    def a_delivery_is_offered_while_it_is_on_its_way_to_disk(self):
        self.n += 1
        delivery = a_delivery(self.n, self.now)
        self.unwritten.append((delivery, self.queue.offer(delivery, b"")))

    @precondition(lambda self: self.unwritten)
    @rule()
    def what_was_offered_is_on_disk(self):
        for delivery, taken in self.unwritten:
            self.store[delivery.n] = delivery
            if not taken:
                self.queue.left_behind((delivery.due, delivery.partition, delivery.n))
        self.unwritten.clear()

    @rule(by=st.sampled_from([1, 5_000_000, NEAR_US + 1]))
    def time_passes(self, by):
        self.now += by

    @rule()
    def a_slot_takes(self):
        item = self.queue.take(self.now)
        if item is not None:
            n = item.delivery.n
            assert n not in self.out, "handed out twice at a time"
            assert n not in self.delivered, "handed out again after it was delivered"
            assert item.delivery.due <= self.now
            self.out[n] = item.delivery

    # The store writes in the order it is asked: a result never comes before what was offered.
    @precondition(lambda self: self.out.keys() & self.store.keys())
    @rule(data=st.data(), wait=st.sampled_from([None, 0, 5_000_000, NEAR_US * 10]))
    def an_attempt_ends_and_is_written(self, data, wait):
        n = data.draw(st.sampled_from(sorted(self.out.keys() & self.store.keys())))
        delivery = self.out.pop(n)
        if wait is None:
            del self.store[n]
            self.delivered.add(n)
            self.queue.done(delivery)
        else:
            again = delivery._replace(due=self.now + wait, attempts=delivery.attempts + 1)
            self.store[n] = again
            self.queue.postpone(again, b"", self.now)

    @precondition(lambda self: self.page is None and self.queue.wants_reading(self.now))
    @rule()
    def a_page_is_asked_for(self):
        after = self.queue.start_reading()
        rows = sorted((d for d in self.store.values() if key(d) > after), key=key)
        self.page = rows[:PAGE]

    @precondition(lambda self: self.page is not None)
    @rule(fails=st.booleans())
    def the_page_arrives(self, fails):
        rows, self.page = self.page, None
        if fails:
            self.queue.abandon_reading(self.now)
            return
        near = [row for row in rows if row.due <= self.now + NEAR_US]
        following = None
        if len(near) < len(rows):
            following = key(rows[len(near)])
        elif len(rows) == PAGE:
            following = (rows[-1].due, rows[-1].partition, rows[-1].n + 1)
        items = [Item(row, b"") for row in near if self.queue.is_new(row)]
        self.queue.finish_reading(items, following, self.now)

    @invariant()
    def memory_is_bounded(self):
        assert len(self.queue) <= 4 + PAGE

    @invariant()
    def whatever_waits_is_held_or_beyond(self):
        if self.page is not None:
            return
        for n, delivery in self.store.items():
            held = (0, n) in self.queue._held
            assert held or (self.queue.beyond is not None and key(delivery) >= self.queue.beyond), n


TestCovers = Covers.TestCase
TestCovers.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


def test_what_was_declined_before_it_was_written_is_read_although_a_page_came_too_early():
    queue = EndpointQueue(1)
    late = a_delivery(2, 10)
    queue.start_reading()
    queue.finish_reading([], None, 10)
    queue.offer(a_delivery(1, 10), b"x")
    assert not queue.offer(late, b"y")

    queue.done(queue.take(10).delivery)
    queue.start_reading()  # what was declined is not on disk yet
    queue.finish_reading([], None, 10)
    queue.left_behind((late.due, late.partition, late.n))

    assert queue.wants_reading(10)
    assert queue.start_reading() < key(late)


def test_queues_share_the_room_beyond_their_own_and_give_it_back():
    room = Room(1)
    first, second = EndpointQueue(1, room), EndpointQueue(1, room)
    for queue in (first, second):
        queue.start_reading()
        queue.finish_reading([], None, 10)

    assert first.offer(a_delivery(1, 10), b"x")
    assert not first.offer(a_delivery(2, 10), b"x")
    assert second.offer(a_delivery(1, 10), b"x")
    assert not second.offer(a_delivery(2, 10), b"x")

    first.drop()
    second.done(second.take(10).delivery)
    assert room.left == 1


def test_what_was_delivered_while_a_page_was_read_is_not_taken_from_that_page_again():
    queue = EndpointQueue(4)
    queue.start_reading()
    queue.finish_reading([Item(a_delivery(1, 10), b"x")], (11, 0, 2), 20)
    in_flight = queue.take(20).delivery

    queue.start_reading()
    queue.done(in_flight)
    queue.finish_reading([Item(in_flight, b"x"), Item(a_delivery(2, 11), b"y")], None, 20)

    assert queue.take(20).delivery.n == 2
    assert queue.take(20) is None
