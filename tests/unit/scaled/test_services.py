"""The small services of a process among several: they look when there is word, and by themselves when there is none."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import pytest

from hub.bus.kafka.inbox import Taken
from hub.bus.log import Appended
from hub.clock import ManualClock
from hub.dispatch.fanout import New
from hub.dispatch.memory import MemoryDeliveries
from hub.errors import LeaseLost, StoreRefused, StoreUnavailable
from hub.ingest.samples import Quote, Sample
from hub.scaled.admission import MOST, Admission, Sampling, take_all_arrivals
from hub.scaled.ears import Ears
from hub.scaled.hand_over import StoreHandOver
from hub.scaled.looking import Looking
from hub.scaled.owned import Nothing, only_looking
from hub.stages import Every, Stages, run_until
from hub.testing import MORNING, a_delivery, a_trade_closed, an_account


@pytest.fixture
def clock():
    return ManualClock(MORNING)


async def settle(clock):
    for _ in range(10):
        await clock.advance(timedelta(0))


@asynccontextmanager
async def running(service, clock):
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(service.run(stopping))
        await settle(clock)
        yield
        stopping.set()
        await settle(clock)
        task.cancel()


class Inbox:
    def __init__(self, *taken):
        self.waiting = list(taken)
        self.backlogs = []

    async def take(self, limit, *, live_backlog=0):
        self.backlogs.append(live_backlog)
        if self.waiting:
            return self.waiting.pop(0)
        await asyncio.Event().wait()
        return None


class OwnersLog:
    """Notes what was admitted; refuses the keys it is told to, and everything while it is away."""

    def __init__(self):
        self.admitted = []
        self.refused = set()
        self.away = False
        self.arrivals = 0
        self.looks = 0

    async def admit(self, facts, positions):
        if self.away:
            raise StoreUnavailable("away")
        if any(fact.key in self.refused for fact in facts):
            raise StoreRefused("never")
        self.admitted.append(([fact.key for fact in facts], dict(positions)))
        return [Appended(fact.envelope.id, duplicate=False, mismatch=False) for fact in facts]

    async def take_arrivals(self, limit):
        self.looks += 1
        if self.away:
            raise StoreUnavailable("away")
        taken = min(limit, self.arrivals)
        self.arrivals -= taken
        return taken


class Backlog:
    def backlog(self):
        return 7


async def test_what_kafka_holds_is_stored_with_the_position_it_was_read_to(clock):
    fact = a_trade_closed(an_account())
    log, inbox = OwnersLog(), Inbox(Taken([fact], 1, {("hub.live", 3): 18}))
    async with running(Admission(inbox, log, Backlog(), clock), clock):
        assert log.admitted == [([fact.key], {("kafka:hub.live", 3): 18})]
        assert inbox.backlogs[0] == 7


async def test_nothing_else_is_taken_before_it_is_stored(clock):
    first, second = a_trade_closed(an_account()), a_trade_closed(an_account())
    log = OwnersLog()
    inbox = Inbox(Taken([first], 1, {("hub.live", 3): 1}), Taken([second], 1, {("hub.live", 3): 2}))
    log.away = True
    async with running(Admission(inbox, log, Backlog(), clock), clock):
        assert (len(inbox.waiting), log.admitted) == (1, [])

        log.away = False
        await clock.advance(timedelta(seconds=1))
        await settle(clock)
        assert [keys for keys, _ in log.admitted] == [[first.key], [second.key]]


async def test_one_fact_that_can_never_be_stored_does_not_hold_up_the_others(clock):
    facts = [a_trade_closed(an_account()) for _ in range(3)]
    log = OwnersLog()
    log.refused = {facts[1].key}
    async with running(Admission(Inbox(Taken(facts, 3, {("hub.live", 3): 9})), log, Backlog(), clock), clock):
        assert log.admitted == [
            ([facts[0].key], {}),
            ([facts[2].key], {}),
            ([], {("kafka:hub.live", 3): 9}),
        ]


@pytest.mark.parametrize(
    ("facts", "owned", "waits"), [(7, 64, 0.0), (8, 64, 0.02), (8, 32, 0.04), (8, 1, 0.1)]
)
async def test_the_smaller_its_share_the_longer_a_busy_owner_gathers(clock, facts, owned, waits):
    many = [a_trade_closed(an_account()) for _ in range(facts)]
    later = a_trade_closed(an_account())
    log = OwnersLog()
    inbox = Inbox(Taken(many, facts, {("hub.live", 3): 9}), Taken([later], 1, {("hub.live", 3): 10}))
    async with running(Admission(inbox, log, Backlog(), clock, owned=owned), clock):
        if waits:
            await clock.advance(timedelta(seconds=waits - 0.001))
            await settle(clock)
            assert len(log.admitted) == 1
            await clock.advance(timedelta(seconds=0.001))
            await settle(clock)
        assert len(log.admitted) == 2


@pytest.mark.parametrize(("waiting", "looks"), [(0, 1), (3, 1), (MOST, 2), (2 * MOST + 1, 3)])
async def test_arrivals_are_taken_until_those_are_that_were_left_so_far(waiting, looks):
    log = OwnersLog()
    log.arrivals = waiting
    await take_all_arrivals(log)
    assert (log.arrivals, log.looks) == (0, looks)


async def test_there_is_a_look_at_once_when_there_is_word_and_every_so_often_without(clock):
    looks, away = [], []

    async def look():
        if away:
            raise StoreUnavailable(away.pop())
        looks.append(clock.now())

    looking = Looking("things", look, clock, every=timedelta(seconds=5))
    async with running(looking, clock):
        assert looks == []
        looking.now()
        await settle(clock)
        assert len(looks) == 1
        await clock.advance(timedelta(seconds=5))
        await settle(clock)
        assert len(looks) == 2

        away.append("the store is away")
        looking.now()
        await settle(clock)
        await clock.advance(timedelta(seconds=5))
        await settle(clock)
        assert len(looks) == 3


async def test_samples_and_quotes_are_brought_to_the_watcher(clock):
    nothing = dict.fromkeys(("balance", "credit", "margin", "free_margin", "margin_level", "floating"))
    sample = Sample("live-1", 7001, Decimal(5), **nothing, at=1)
    quote = Quote("live-1", "EURUSD", Decimal(1), Decimal(2), 1)

    class Samples:
        def __init__(self):
            self.waiting = [[sample, quote, sample], [quote], [sample], []]

        async def take(self, limit):
            if self.waiting:
                return self.waiting.pop(0)
            await asyncio.Event().wait()
            return []

    class Watcher:
        def __init__(self):
            self.seen = []

        async def samples(self, batch):
            self.seen.append(batch)

        async def quotes(self, batch):
            self.seen.append(batch)

    watcher = Watcher()
    async with running(Sampling(Samples(), watcher), clock):
        assert watcher.seen == [[sample, sample], [quote], [quote], [sample]]


async def test_who_is_owed_an_event_is_written_although_the_store_was_away(clock):
    class Disk(MemoryDeliveries):
        away = True

        async def fan_out(self, positions, deliveries, attempted=()):
            if self.away:
                raise StoreUnavailable("away")
            await super().fan_out(positions, deliveries, attempted)

    disk = Disk()
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(StoreHandOver(disk, clock).take({0: 1}, [New([a_delivery(n=1)], b"{}")]))
        await settle(clock)
        assert not writing.done()
        disk.away = False
        await clock.advance(timedelta(seconds=1))
        await settle(clock)
        assert writing.done()
    assert [row.n for row in disk.rows()] == [1]


def test_those_who_listen_hear_their_channel_and_of_every_gap():
    ears, heard = Ears(), []
    ears.listen("a", lambda text: heard.append(("a", text)), lambda: heard.append("gap a"))
    with ears.listening("b", lambda text: heard.append(("b", text)), lambda: heard.append("gap b")):
        ears.notice("a", "1")
        ears.notice("b", "2")
        ears.notice("c", "3")
        ears.gap()
    ears.notice("b", "4")
    ears.gap()
    assert heard == [("a", "1"), ("b", "2"), "gap a", "gap b", "gap a"]


def test_who_only_looks_can_prove_nothing():
    assert Nothing().partitions() == ()
    with pytest.raises(LeaseLost):
        Nothing().fence((1,))
    with pytest.raises(LeaseLost):
        only_looking(("ep_1",))


class Worker:
    def __init__(self, name, log):
        self.name, self.log = name, log

    async def run(self, stopping):
        self.log.append(f"{self.name} begins")
        await stopping.wait()
        self.log.append(f"{self.name} ends")


async def test_stages_begin_in_one_order_and_end_in_the_other(clock):
    log = []
    stages = Stages(
        ((Worker("store", log),), (Worker("engine", log),), (Worker("source", log),)),
        lambda: log.append("woken"),
        begun=lambda: log.append("begun"),
    )
    async with running(stages, clock):
        pass
    assert log == [
        "begun",
        "store begins",
        "engine begins",
        "source begins",
        *("woken", "source ends", "woken", "engine ends", "woken", "store ends"),
    ]


async def test_something_is_done_every_so_often_until_told_to_stop(clock):
    done = []
    async with running(Every(timedelta(seconds=5), lambda: done.append(1), clock), clock):
        await clock.advance(timedelta(seconds=4))
        assert done == []
        await clock.advance(timedelta(seconds=1))
        await clock.advance(timedelta(seconds=5))
        assert done == [1, 1]
    await clock.advance(timedelta(seconds=5))
    assert done == [1, 1]


async def test_a_loop_that_fails_is_heard_of():
    async def fails():
        raise ValueError("a bug")

    with pytest.raises(ExceptionGroup):
        await run_until(asyncio.Event(), fails)
