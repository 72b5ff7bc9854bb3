"""The kill switch and the breakers: what they let through, what they hold, and what is told of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.clock import ManualClock, to_us
from hub.control.control import Control, NotSwitched
from hub.control.memory import MemorySwitches
from hub.engine.memory import MemoryLog
from hub.errors import StoreUnavailable
from hub.events.records import decode_envelope
from hub.intents.breakers import Rule, counted, encode_count
from hub.intents.gate import Go, Hold, Refuse
from hub.intents.intent import Intent, State
from hub.intents.verbs import PUBLISH

START = datetime(2026, 6, 23, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MONEY = Rule(3, "money", 5 * MINUTE)


def an_intent(number=1, verb="credit.grant", workflow="bonus", **changes):
    fields = {
        "key": f"{workflow}/live-1:1/event/{number}/pay",
        "partition": 1,
        "account": "live-1:1",
        "verb": verb,
        "params": b"{}",
        "workflow": workflow,
        "run": "r",
        "step": "pay",
        "caused_by": "evt_1",
        "state": State.READY,
        "at": 0,
        "due": 0,
    }
    return Intent(**fields | changes)


class Desk:
    def __init__(self, **rules):
        self.clock = ManualClock(START)
        self.log = MemoryLog(self.clock)
        self.store = MemorySwitches()
        self.control = self.another(**rules)

    def another(self, **rules):
        """Return the control of another process over the same rows, or of this one after a restart."""
        made = Control(self.store, self.clock, self.log)
        made.rules = rules
        return made

    async def told(self):
        await self.control.tell(await self.control.look())
        return [decode_envelope(row.body).type for row in self.log.ranked(0, 99)]


async def test_halted_every_manager_action_is_held_and_mail_goes():
    desk = Desk()
    await desk.control.halt("key_1 (risk)", "wrong prices")

    held = await desk.control.ask(an_intent())

    assert held == Hold("halted by key_1 (risk): wrong prices")
    assert await desk.control.ask(an_intent(verb="notify.email")) == Go()
    assert isinstance(await desk.control.ask(an_intent(verb="unheard.of")), Hold)


async def test_it_holds_in_every_process_and_over_a_restart_until_somebody_resumes():
    desk = Desk()
    await desk.control.halt("a", "why")
    assert isinstance(await desk.another().ask(an_intent()), Hold)

    await desk.another().resume("b", "mended")

    assert await desk.control.ask(an_intent()) == Go()
    assert desk.control.stands.resumed.by == "b"


async def test_who_halts_what_is_halted_changes_neither_who_nor_why():
    desk = Desk()
    first = await desk.control.halt("a", "first")
    await desk.clock.advance(MINUTE)

    assert await desk.control.halt("b", "second") == first


async def test_there_is_nothing_to_resume_or_reset_where_nothing_was_stopped():
    desk = Desk()
    with pytest.raises(NotSwitched, match="nothing is halted"):
        await desk.control.resume("a", "b")
    with pytest.raises(NotSwitched, match="the breaker of bonus has not tripped"):
        await desk.control.reset("bonus", "a", "b")


async def test_exactly_as_many_as_are_allowed_are_sent_over_all_processes():
    desk = Desk(bonus=MONEY)
    other = desk.another(bonus=MONEY)

    answers = [await (other if n % 2 else desk.control).ask(an_intent(n)) for n in range(6)]

    assert [type(answer) for answer in answers] == [Go, Go, Go, Refuse, Refuse, Refuse]
    assert "more than 3 within 0:05:00" in answers[3].reason


async def test_they_are_counted_one_after_the_other_however_many_ask_at_once():
    desk = Desk(bonus=MONEY)

    answers = await asyncio.gather(*(desk.control.ask(an_intent(n)) for n in range(50)))

    assert answers.count(Go()) == 3


class Late(MemorySwitches):
    """Says how things stood when it was asked, or right after a change, some turns of the loop later; so does its log."""

    def __init__(self, seed, log):
        super().__init__()
        self._random = Random(seed)
        self._log = log

    async def read(self):
        return await self.later(await super().read())

    async def change(self, work):
        return await self.later(await super().change(work))

    async def append(self, facts):
        return await self.later(await self._log.append(facts))

    async def later(self, answer):
        for _ in range(self._random.randrange(6)):
            await asyncio.sleep(0)
        return answer


def slow_desk(seed, **rules):
    desk = Desk()
    desk.store = desk.log = Late(seed, desk.log)
    desk.control = desk.another(**rules)
    return desk


@given(st.integers(0, 2**32))
def test_exactly_as_many_are_sent_whoever_hears_first_what_was_read_before(seed):
    async def asked():
        desk = slow_desk(seed, bonus=MONEY)
        return await asyncio.gather(*(desk.control.ask(an_intent(n)) for n in range(12)))

    assert asyncio.run(asked()).count(Go()) == 3


@given(st.integers(0, 2**32))
def test_what_was_read_before_it_was_halted_does_not_show_it_as_running_later(seed):
    async def run():
        desk = slow_desk(seed)
        looks = [desk.control.look() for _ in range(9)]
        *_, said = await asyncio.gather(*looks, desk.control.halt("a", "b"))
        return said, desk.control.stands.halted

    said, shown = asyncio.run(run())
    assert shown == said


def published(number, workflow="bonus", state=State.DELIVERED):
    return [an_intent(n, PUBLISH, workflow, state=state) for n in range(number)]


async def test_events_it_published_are_counted_once_a_look_and_stop_it():
    desk = Desk(bonus=Rule(3, "notify", 5 * MINUTE))
    desk.control.published(published(3))
    await desk.control.count_published()
    await desk.control.count_published()  # nothing new
    assert not desk.control.stands.tripped

    desk.control.published(published(2))
    await desk.control.count_published()

    assert "2 more events were published" in desk.control.stands.tripped["bonus"].because
    assert (await desk.told()) == ["workflow.tripped"]
    assert isinstance(await desk.control.ask(an_intent(9, "notify.email")), Refuse)


@given(st.integers(0, 2**32))
def test_events_are_counted_once_by_several_who_look_at_once(seed):
    async def tripped():
        desk = slow_desk(seed, chatty=Rule(3, "notify", MINUTE))
        for number in (2, 1, 1):
            desk.control.published(published(number, "chatty"))
            await asyncio.gather(*(desk.control.count_published() for _ in range(2)))
            yield "chatty" in desk.control.stands.tripped

    async def each():
        return [stopped async for stopped in tripped()]

    assert asyncio.run(each()) == [False, False, True]


async def test_messages_and_events_are_counted_together_over_all_processes():
    desk = Desk(bonus=Rule(3, "any", 5 * MINUTE))
    other = desk.another(bonus=Rule(3, "any", 5 * MINUTE))
    other.published(published(2))
    await other.count_published()

    answers = [await desk.control.ask(an_intent(n)) for n in range(2)]

    assert [type(answer) for answer in answers] == [Go, Refuse]


async def test_events_of_shadow_of_others_and_of_another_risk_do_not_count():
    desk = Desk(bonus=MONEY, chatty=Rule(1, "notify", MINUTE))
    desk.control.published(published(9))
    desk.control.published(published(9, "other"))
    desk.control.published(published(9, "chatty", State.SHADOW))

    await desk.control.count_published()

    assert not desk.control.stands.tripped
    assert desk.store.rows == {}


async def test_events_published_while_the_store_is_away_are_counted_when_it_is_back():
    desk = Desk(chatty=Rule(3, "notify", MINUTE))
    desk.control.published(published(2, "chatty"))
    change = desk.store.change

    async def away(_work):
        raise StoreUnavailable("disk full")

    desk.store.change = away
    with pytest.raises(StoreUnavailable):
        await desk.control.count_published()
    desk.control.published(published(2, "chatty"))
    desk.store.change = change
    await desk.control.count_published()

    assert "chatty" in desk.control.stands.tripped


async def test_events_are_kept_to_be_counted_until_it_is_known_who_has_a_breaker():
    desk = Desk()
    desk.control.rules = None
    desk.control.published(published(5, "chatty"))
    await desk.control.count_published()
    desk.control.rules = {"chatty": Rule(3, "notify", MINUTE)}

    await desk.control.count_published()

    assert "chatty" in desk.control.stands.tripped


async def test_other_workflows_other_risks_and_what_is_asked_again_do_not_count():
    desk = Desk(bonus=MONEY)
    for number in range(9):
        assert await desk.control.ask(an_intent(number, workflow="other")) == Go()
        assert await desk.control.ask(an_intent(number, verb="account.disable")) == Go()
        assert await desk.control.ask(an_intent(number, sends=1, attempts=3)) == Go()
        assert (
            await desk.control.ask(an_intent(99, attempts=number)) == Go()
        )  # could not be sent, and is tried again

    answers = [await desk.control.ask(an_intent(n)) for n in range(3)]
    assert [type(answer) for answer in answers] == [Go, Go, Refuse]


async def test_what_lies_behind_the_time_counts_no_more():
    desk = Desk(bonus=MONEY)
    for number in range(3):
        await desk.control.ask(an_intent(number))
    await desk.clock.advance(6 * MINUTE)

    assert await desk.control.ask(an_intent(9)) == Go()


async def test_tripped_it_stays_so_until_a_person_resets_it_and_then_counts_from_nothing():
    desk = Desk(bonus=MONEY)
    for number in range(4):
        await desk.control.ask(an_intent(number))
    await desk.clock.advance(timedelta(days=9))
    restarted = desk.another(bonus=MONEY)
    assert isinstance(await restarted.ask(an_intent(9)), Refuse)
    assert isinstance(await restarted.ask(an_intent(9, verb="notify.email")), Refuse)

    await restarted.reset("bonus", "key_1 (risk)", "looked at it")

    answers = [await restarted.ask(an_intent(n)) for n in range(20, 24)]
    assert [type(answer) for answer in answers] == [Go, Go, Go, Refuse]


async def test_what_was_sent_before_waits_for_the_person_and_is_not_said_to_be_refused():
    desk = Desk(bonus=MONEY)
    for number in range(4):
        await desk.control.ask(an_intent(number))

    held = await desk.control.ask(an_intent(2, sends=1, attempts=4))

    assert isinstance(held, Hold)
    assert held.workflow == "bonus"


async def test_before_it_is_known_which_workflows_have_breakers_nothing_goes():
    desk = Desk()
    desk.control.rules = None

    assert isinstance(await desk.control.ask(an_intent()), Hold)


async def test_everything_is_told_once_whoever_tells_it():
    desk = Desk(bonus=MONEY)
    await desk.control.halt("a", "b")
    await desk.control.resume("a", "c")
    for number in range(6):
        await desk.control.ask(an_intent(number))
    await desk.control.reset("bonus", "a", "d")
    other = desk.another()
    await other.tell(await other.look())

    assert await desk.told() == ["manager.halted", "manager.resumed", "workflow.tripped", "workflow.reset"]


async def test_what_could_not_be_told_is_in_force_and_told_by_whoever_looks_next():
    desk = Desk()

    class Away:
        async def append(self, facts, **more):
            raise StoreUnavailable("away")

    far = Control(desk.store, desk.clock, Away())
    await far.halt("a", "b")

    assert isinstance(await desk.control.ask(an_intent()), Hold)
    assert await desk.told() == ["manager.halted"]


@given(
    st.lists(st.integers(0, 400_000_000), min_size=1, max_size=60),
    st.integers(1, 600),
)
def test_the_count_is_never_too_low_and_at_most_a_sixtieth_of_the_time_too_high(steps, seconds):
    rule = Rule(1, "any", timedelta(seconds=seconds))
    within, at, value, moments = seconds * 1_000_000, to_us(START), None, []
    for step in steps:
        at += step
        moments.append(at)
        count = counted(value, rule, at)
        value = encode_count(count)

        exact = sum(1 for each in moments if each > at - within)
        with_the_oldest = sum(1 for each in moments if each > at - within - 2 * count.width)
        assert exact <= count.total <= with_the_oldest
        assert len(count.buckets) <= 62


def test_a_rule_with_another_time_counts_from_nothing():
    value = encode_count(counted(None, MONEY, to_us(START)))

    assert counted(value, Rule(3, "money", MINUTE), to_us(START)).total == 1
