"""Requests in the worker: written down before they are sent where that matters, and never made twice after a crash."""

from random import Random

from unit.dispatch.test_action_worker import START, Channel, Shop, an_intent

from hub.dispatch.effects.requests import Answered, Denied, Unanswered
from hub.dispatch.effects.worker import ActionWorker
from hub.dispatch.memory import MemoryIntents
from hub.intents.intent import State
from hub.intents.outcome import decode_outcome


class Asker:
    offers = frozenset({"http.request"})

    def __init__(self, shop, *answers, repeatable=True):
        self.shop = shop
        self.answers = list(answers)
        self.is_repeatable = repeatable
        self.stood = []

    def repeatable(self, intent):
        return self.is_repeatable

    async def ask(self, intent):
        self.stood.append((await self.shop.intents.get(intent.key)).state)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def a_shop(*answers, repeatable=True, **changes):
    shop = Shop(an_intent("a", "http.request", account="", **changes))
    shop.asker = Asker(shop, *answers, repeatable=repeatable)
    shop.worker = ActionWorker(shop.intents, shop.clock, requesters=[shop.asker], random=Random(1))
    return shop


def outcome(shop):
    (told,) = shop.intents.told
    return decode_outcome(told.body)


async def test_an_answer_comes_back_with_its_status_and_body():
    async with a_shop(Answered(200, {"tier": "gold"})).running() as shop:
        assert (outcome(shop).state, outcome(shop).after) == (
            "delivered",
            {"status": 200, "body": {"tier": "gold"}},
        )
        assert shop.asker.stood == [State.READY]


async def test_a_request_is_made_once_whatever_comes_of_it_and_the_workflow_hears_whether_it_may_be_made_again():
    for answer, repeatable, again in (
        (Denied("no", 404), True, False),
        (Denied("later", 429, later=True), False, True),
        (Unanswered("lost"), True, True),
        (Unanswered("lost"), False, False),
        (Unanswered("not there", sent=False), False, True),
        (RuntimeError("bug"), True, True),
        (RuntimeError("bug"), False, False),
    ):
        async with a_shop(answer, repeatable=repeatable).running() as shop:
            await shop.pass_time(3600)
            assert (outcome(shop).state, outcome(shop).again) == ("exhausted", again), answer
            assert len(shop.asker.stood) == 1


async def test_one_that_must_not_be_made_twice_is_written_down_before_it_is_sent():
    async with a_shop(Answered(201), repeatable=False).running() as shop:
        assert shop.asker.stood == [State.SENDING]
        assert outcome(shop).state == "delivered"


async def test_one_that_was_being_sent_when_the_hub_stopped_is_not_sent_again():
    async with a_shop(Answered(200), repeatable=False, state=State.SENDING).running() as shop:
        await shop.pass_time(3600)
        assert shop.asker.stood == []
        assert (outcome(shop).state, outcome(shop).again) == ("exhausted", False)
        assert "nobody knows whether it was taken" in outcome(shop).reason


async def test_without_a_requester_it_is_refused():
    shop = Shop(an_intent("a", "http.request", account=""), channel=Channel())
    assert isinstance(shop.intents, MemoryIntents)
    assert shop.clock.now() == START
    async with shop.running():
        assert outcome(shop).state == "rejected"
