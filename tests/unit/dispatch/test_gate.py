"""Nothing is sent that the gate holds or refuses, and it is asked before anything is written down as being sent."""

from datetime import timedelta
from decimal import Decimal

from conformance.put_right import PutRight
from unit.dispatch.test_action_worker import NOW, Shop, an_intent
from unit.dispatch.test_fresh import GUARD, Reading

from hub.errors import StoreUnavailable
from hub.intents.checks import Checks, with_checks
from hub.intents.gate import Go, Hold, Refuse
from hub.intents.intent import State
from hub.intents.outcome import decode_outcome


class Gate:
    """Answers as it is told to, and remembers in which state an intent was when it was asked for."""

    def __init__(self, answer=None):
        self.answer = answer or Go()
        self.asked = []
        self.intents = None

    async def ask(self, intent):
        stored = await self.intents.get(intent.key)
        self.asked.append((intent.key, stored.state))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(intent) if callable(self.answer) else self.answer


def a_shop(gate, *intents):
    shop = Shop(*intents, gate=gate)
    gate.intents = shop.intents
    return shop


async def test_it_is_asked_for_each_before_that_is_written_down_as_being_sent():
    gate = Gate()
    shop = a_shop(gate, an_intent("a"), an_intent("mail", "notify.email", login=1002))
    async with shop.running():
        assert sorted(gate.asked) == [("a", State.READY), ("mail", State.READY)]
        assert shop.backend.executed() == ["a"]
        assert shop.channel.sent == ["mail"]


async def test_what_is_held_stays_due_as_it_was_and_goes_within_a_second_of_the_gate_opening():
    gate = Gate(lambda intent: Hold("halted") if intent.key != "mail" else Go())
    shop = a_shop(
        gate, an_intent("a"), an_intent("b", login=1002), an_intent("mail", "notify.email", login=1003)
    )
    async with shop.running():
        await shop.pass_time(20)
        assert shop.backend.log == []
        assert shop.channel.sent == ["mail"]
        held = await shop.intents.get("a")
        assert (held.state, held.attempts, held.sends, held.due) == (State.READY, 0, 0, NOW)
        assert len(gate.asked) < 60  # it is not asked over and over

        gate.answer = Go()
        await shop.pass_time(1.1)

        assert sorted(shop.backend.executed()) == ["a", "b"]


async def test_what_is_held_waits_for_no_clock_that_was_put_right():
    gate = Gate(Hold("halted"))
    shop = a_shop(gate, an_intent("a"))
    shop.clock = shop.worker._clock = PutRight(shop.clock, timedelta(days=365))
    async with shop.running():
        await shop.pass_time(3)
        shop.clock.ahead = timedelta()
        gate.answer = Go()
        await shop.pass_time(2.5)

        assert shop.backend.executed() == ["a"]


async def test_one_workflow_that_is_held_holds_up_no_other():
    gate = Gate(lambda intent: Hold("stopped", "w") if intent.workflow == "w" else Go())
    shop = a_shop(gate, an_intent("a"), an_intent("b", login=1002, workflow="other"))
    async with shop.running():
        await shop.pass_time(3)

        assert shop.backend.executed() == ["b"]


async def test_what_is_refused_has_ended_and_the_engine_is_told_why():
    gate = Gate(Refuse("the breaker tripped"))
    shop = a_shop(gate, an_intent("a"), an_intent("mail", "notify.email", login=1002))
    async with shop.running():
        await shop.pass_time(1)

        assert set((await shop.states()).values()) == {State.REJECTED}
        assert shop.backend.log == []
        assert shop.channel.sent == []
        told = {item.ref: decode_outcome(item.body) for item in shop.intents.told}
        assert (told["a"].reason, told["a"].stopped) == ("the breaker tripped", True)


async def test_of_what_was_sent_before_nobody_is_told_that_it_only_was_stopped():
    gate = Gate(Refuse("the breaker tripped"))
    shop = a_shop(gate, an_intent("a", sends=1))
    async with shop.running():
        await shop.pass_time(1)

        (told,) = [decode_outcome(item.body) for item in shop.intents.told]
        assert (told.state, told.stopped) == ("rejected", False)
        assert "sent before and never found" in told.incident


async def test_while_nobody_can_tell_nothing_is_sent():
    gate = Gate(StoreUnavailable("away"))
    shop = a_shop(gate, an_intent("a"), an_intent("mail", "notify.email", login=1002))
    async with shop.running():
        await shop.pass_time(3)
        assert shop.backend.log == []
        assert shop.channel.sent == []
        assert len(gate.asked) < 20

        gate.answer = Go()
        await shop.pass_time(1.1)

        assert shop.backend.executed() == ["a"]


async def test_what_was_sent_and_is_unknown_is_looked_for_while_everything_is_held():
    gate = Gate(Hold("halted"))
    shop = a_shop(gate, an_intent("a", state=State.UNKNOWN, sends=1, attempts=2, sent_at=NOW - 60_000_000))
    async with shop.running():
        await shop.pass_time(30)

        assert [what for what, _ in shop.backend.log] == ["look", "look"]
        assert (
            await shop.intents.get("a")
        ).state is State.READY  # found nowhere, and not sent again while held


async def test_the_most_urgent_that_are_due_go_first():
    shop = Shop(
        *[an_intent(f"bulk{n}", login=2000 + n, priority=2, due=NOW - 9) for n in range(40)],
        an_intent("breach", "account.disable", login=1, priority=0),
    )
    async with shop.running():
        assert shop.backend.executed()[0] == "breach"


class Closing(Reading):
    """Reads accounts; somebody closes the gate while it does."""

    def __init__(self, gate):
        super().__init__({"free_margin": Decimal(100)})
        self.gate = gate

    async def read(self, account):
        self.gate.answer = Hold("halted")
        return await super().read(account)


async def test_what_was_let_through_before_its_account_was_read_is_asked_for_again_after():
    gate = Gate()
    shop = a_shop(gate, an_intent("a", params=with_checks(b"{}", Checks(GUARD, None))))
    shop.backend = shop.worker._backends["live-1"] = Closing(gate)
    shop.backend.store = shop.intents
    async with shop.running():
        await shop.pass_time(2)

        assert shop.backend.executed() == []
        assert (await shop.intents.get("a")).state is State.READY
