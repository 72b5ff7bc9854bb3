import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.clock import ManualClock, to_us
from hub.dispatch.effects.backend import Applied, Found, NotFound, NotSent, Unknown
from hub.dispatch.effects.notifier import Declined, Later, Sent
from hub.dispatch.effects.worker import ActionWorker
from hub.dispatch.memory import MemoryIntents
from hub.errors import StoreUnavailable
from hub.intents.intent import Intent, State
from hub.intents.outcome import decode_outcome

START = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
NOW = to_us(START)


def an_intent(key, verb="credit.grant", login=1001, **changes):
    fields = {
        "key": key,
        "partition": 1,
        "account": f"live-1:{login}",
        "verb": verb,
        "params": b"{}",
        "workflow": "w",
        "run": "r",
        "step": "s",
        "caused_by": "evt_1",
        "state": State.READY,
        "at": NOW,
        "due": NOW,
    }
    return Intent(**fields | changes)


class Backend:
    """Does what it is told per key; remembers the order and that no account had two at a time."""

    server = "live-1"
    offers = frozenset({"credit.grant", "balance.deposit", "account.disable", "account.enable"})
    simulated = True

    def __init__(self):
        self.log = []
        self.executes = {}
        self.looks = {}
        self.waits = {}
        self.in_flight = set()
        self.store = None

    async def execute(self, intent):
        stored = await self.store.get(intent.key)
        assert stored.state is State.SENDING, "it was sent before that was written down"
        assert intent.account not in self.in_flight, "two at a time on one account"
        self.in_flight.add(intent.account)
        self.log.append(("execute", intent.key))
        try:
            if intent.key in self.waits:
                await self.waits[intent.key].wait()
            answers = self.executes.get(intent.key, [])
            return answers.pop(0) if answers else Applied(1)
        finally:
            self.in_flight.discard(intent.account)

    async def look(self, intent):
        self.log.append(("look", intent.key))
        answers = self.looks.get(intent.key, [])
        return answers.pop(0) if answers else NotFound()

    def executed(self):
        return [key for what, key in self.log if what == "execute"]


class Channel:
    offers = frozenset({"notify.email"})

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []

    async def send(self, intent):
        self.sent.append(intent.key)
        answer = self.answers.pop(0) if self.answers else Sent()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Turns:
    """Lets some turns of the loop go by, another number each time."""

    def __init__(self, seed):
        self._random = Random(seed)

    async def pass_some(self):
        for _ in range(self._random.randrange(6)):
            await asyncio.sleep(0)


class Late(MemoryIntents):
    """Says what was due when it was asked, some turns later."""

    def __init__(self, turns, intents):
        super().__init__(intents)
        self._turns = turns

    async def due(self, now_us, limit):
        found = await super().due(now_us, limit)
        await self._turns.pass_some()
        return found


class Unhurried(Channel):
    def __init__(self, turns):
        super().__init__()
        self._turns = turns

    async def send(self, intent):
        await self._turns.pass_some()
        return await super().send(intent)


class Shop:
    def __init__(self, *intents, channel=None, gate=None, store=MemoryIntents):
        self.clock = ManualClock(START)
        self.intents = store(intents)
        self.backend = Backend()
        self.backend.store = self.intents
        self.channel = channel or Channel()
        self.elsewhere = set()
        self.worker = ActionWorker(
            self.intents,
            self.clock,
            backends=[self.backend],
            notifiers=[self.channel],
            random=Random(1),
            owns=lambda server: server not in self.elsewhere,
            control=gate,
        )

    @asynccontextmanager
    async def running(self):
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.worker.run(stopping))
            await self.pass_time(0)
            yield self
            stopping.set()
            self.worker.wake()

    async def pass_time(self, seconds):
        for _ in range(4):
            await self.clock.advance(timedelta(seconds=seconds) / 4)

    async def states(self):
        return {intent.key: intent.state for intent in self.intents.all()}

    def told(self):
        return [(told.ref, decode_outcome(told.body).state) for told in self.intents.told]


async def test_intents_of_one_account_go_one_after_another_in_order():
    async with Shop(
        *[an_intent(key, at=NOW - 5 + n, due=NOW - 5 + n) for n, key in enumerate("abc")]
    ).running() as shop:
        assert shop.backend.executed() == ["a", "b", "c"]
        assert shop.told() == [("a", "applied"), ("b", "applied"), ("c", "applied")]


async def test_money_whose_outcome_is_open_holds_back_later_money_of_the_same_account_only():
    shop = Shop(
        an_intent("a", due=NOW - 3),
        an_intent("b", due=NOW - 2),
        an_intent("lock", "account.disable", due=NOW - 1),
        an_intent("other", login=1002),
    )
    shop.backend.executes["a"] = [Unknown("dropped")]
    shop.backend.looks["a"] = [Found((7,))]
    async with shop.running():
        assert shop.backend.executed() == ["a", "other", "lock"]

        await shop.pass_time(59)
        assert ("look", "a") not in shop.backend.log
        await shop.pass_time(2)

        assert shop.backend.log[-2:] == [("look", "a"), ("execute", "b")]
        assert set((await shop.states()).values()) == {State.APPLIED}


async def test_an_older_desired_state_that_waits_is_not_overtaken_by_a_newer_one():
    shop = Shop(
        an_intent("off", "account.disable", due=NOW - 2), an_intent("on", "account.enable", due=NOW - 1)
    )
    shop.backend.executes["off"] = [NotSent("away"), NotSent("away"), Applied()]
    async with shop.running():
        await shop.pass_time(10)

        assert shop.backend.executed() == ["off", "off", "off", "on"]


async def test_not_found_twice_is_sent_once_more_and_never_a_third_time():
    shop = Shop(an_intent("a"))
    shop.backend.executes["a"] = [Unknown("x"), Unknown("y"), Unknown("z")]
    async with shop.running():
        await shop.pass_time(400)

        kinds = [what for what, _ in shop.backend.log]
        assert kinds == ["execute", "look", "look", "execute", "look", "look"]
        assert await shop.states() == {"a": State.PARKED}
        assert [state for _, state in shop.told()] == ["unknown", "unknown", "parked"]


async def test_a_second_send_that_was_applied_is_checked_for_a_late_first_one():
    shop = Shop(an_intent("a"))
    shop.backend.executes["a"] = [Unknown("x"), Applied(9)]
    shop.backend.looks["a"] = [NotFound(), NotFound(), Found((8, 9))]
    async with shop.running():
        await shop.pass_time(200)

        last = decode_outcome(shop.intents.told[-1].body)
        assert (last.state, last.ticket) == ("applied", 9)
        assert "2 times" in last.incident


async def test_what_was_being_sent_when_the_hub_died_is_looked_for_first():
    shop = Shop(an_intent("a", state=State.SENDING, sends=1, attempts=1, sent_at=NOW - 5), an_intent("b"))
    shop.backend.looks["a"] = [Found((3,))]
    async with shop.running():
        assert await shop.states() == {"a": State.UNKNOWN, "b": State.READY}
        await shop.pass_time(61)

        assert shop.backend.log == [("look", "a"), ("execute", "b")]


async def test_a_backend_that_raises_has_perhaps_sent_something():
    shop = Shop(an_intent("a"))

    async def broken(intent):
        raise RuntimeError("bug")

    shop.backend.execute = broken
    async with shop.running():
        assert await shop.states() == {"a": State.UNKNOWN}


async def test_an_intent_somebody_else_moved_is_not_sent():
    shop = Shop(an_intent("a"))

    async def steal(moves):
        shop.intents.before_move = None
        shop.intents._intents["a"] = an_intent("a", state=State.REJECTED, attempts=9)

    shop.intents.before_move = steal
    async with shop.running():
        assert shop.backend.log == []


async def test_nothing_is_sent_while_the_store_cannot_write_it_down():
    shop = Shop(an_intent("a"))
    away = True

    async def full(moves):
        if away:
            raise StoreUnavailable("disk full")

    shop.intents.before_move = full
    async with shop.running():
        await shop.pass_time(5)
        assert shop.backend.log == []

        away = False
        await shop.pass_time(2)
        assert await shop.states() == {"a": State.APPLIED}


async def test_critical_intents_go_first():
    shop = Shop(an_intent("bulk", login=1, priority=2), an_intent("critical", login=2, priority=0))
    async with shop.running():
        assert shop.backend.executed() == ["critical", "bulk"]


async def test_stopping_waits_for_the_outcome_of_what_was_sent():
    shop = Shop(an_intent("a"), an_intent("b"))
    free = shop.backend.waits["a"] = asyncio.Event()
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(shop.worker.run(stopping))
        await shop.pass_time(0)
        stopping.set()
        shop.worker.wake()
        await shop.pass_time(1)
        assert not task.done()
        free.set()

    assert await shop.states() == {"a": State.APPLIED, "b": State.READY}


async def test_a_new_intent_is_noticed_when_the_worker_is_woken():
    async with Shop().running() as shop:
        shop.intents.add(an_intent("a"))
        shop.worker.wake()
        await shop.pass_time(0)

        assert await shop.states() == {"a": State.APPLIED}


async def test_one_due_later_is_started_by_the_clock():
    async with Shop(an_intent("a", due=NOW + 30_000_000)).running() as shop:
        await shop.pass_time(20)
        assert shop.backend.log == []
        await shop.pass_time(20)

        assert shop.backend.executed() == ["a"]


@pytest.mark.parametrize(
    ("answers", "state", "times"),
    [
        ([Sent()], State.DELIVERED, 1),
        ([Later("busy"), Sent()], State.DELIVERED, 2),
        ([RuntimeError("bug"), Sent()], State.DELIVERED, 2),
        ([Declined("no such mailbox")], State.EXHAUSTED, 1),
        ([Later("busy")] * 20, State.EXHAUSTED, 7),
    ],
)
async def test_a_message_is_tried_until_it_is_taken_refused_or_too_old(answers, state, times):
    channel = Channel(*answers)
    async with Shop(an_intent("mail", "notify.email"), channel=channel).running() as shop:
        for _ in range(60):
            await shop.pass_time(600)

        assert await shop.states() == {"mail": state}
        assert channel.sent == ["mail"] * times
        assert shop.told() == [("mail", state.value)]


@given(st.integers(0, 2**32))
def test_a_message_goes_once_though_it_was_read_as_due_before_it_had_gone(seed):
    messages = [an_intent(str(n), "notify.email", due=NOW + n % 2) for n in range(6)]

    async def sent():
        turns = Turns(seed)
        shop = Shop(*messages, channel=Unhurried(turns), store=lambda intents: Late(turns, intents))
        async with shop.running():
            await shop.pass_time(1)
        return shop.channel.sent

    assert sorted(asyncio.run(sent())) == [message.key for message in messages]


async def test_a_message_no_channel_takes_is_rejected():
    async with Shop(an_intent("sms", "notify.sms")).running() as shop:
        assert decode_outcome(shop.intents.told[0].body).reason == "no configured channel offers notify.sms"


async def test_another_servers_account_is_not_touched_by_this_backend():
    async with Shop(an_intent("a", account="live-2:1001")).running() as shop:
        assert await shop.states() == {"a": State.REJECTED}
        assert shop.backend.log == []


async def test_nothing_is_sent_to_a_server_whose_lease_ended_and_its_next_owner_looks_first():
    shop = Shop(an_intent("a"))
    shop.elsewhere.add("live-1")
    async with shop.running():
        assert shop.backend.log == []
        assert await shop.states() == {"a": State.SENDING}

    shop.elsewhere.clear()
    async with shop.running():
        await shop.pass_time(61)
        await shop.pass_time(61)

        assert shop.backend.log[:3] == [("look", "a"), ("look", "a"), ("execute", "a")]
        assert await shop.states() == {"a": State.APPLIED}
