"""Conditions asked where an action is carried out: on what was just read, before it is sent and after it was applied."""

from decimal import Decimal

import pytest
from unit.dispatch.test_action_worker import NOW, Backend, Shop, an_intent

from hub.dispatch.effects.backend import Applied, Found, Refused, Unknown, Unreadable
from hub.dispatch.effects.worker import ActionWorker
from hub.intents.checks import Check, Checks, with_checks
from hub.intents.intent import State
from hub.intents.kept import keep
from hub.intents.outcome import decode_outcome

GUARD = Check("account.free_margin >= event.amount", {"event.amount": keep(Decimal(100))})
VERIFY = Check("account.open_positions == 0", {})


class Reading(Backend):
    """Answers reads from a list; the last one stays."""

    def __init__(self, *reads):
        super().__init__()
        self.reads = list(reads)
        self.seen = []

    async def read(self, account):
        self.log.append(("read", account))
        return self.reads.pop(0) if len(self.reads) > 1 else self.reads[0]

    async def execute(self, intent):
        self.seen.append(intent.params)
        return await super().execute(intent)


def a_shop(*reads, verb="credit.grant", guard=None, verify=None, backend=None, **changes):
    given = {"params": with_checks(b'{"amount":"5"}', Checks(guard, verify))} | changes
    intent = an_intent("a", verb, **given)
    shop = Shop(intent)
    shop.backend = backend or Reading(*reads)
    shop.backend.store = shop.intents
    shop.worker._backends = {"live-1": shop.backend}
    return shop


def outcomes(shop):
    return [decode_outcome(told.body) for told in shop.intents.told]


def did(shop):
    return [what for what, _ in shop.backend.log]


async def test_a_guard_that_holds_lets_the_action_be_sent_without_its_conditions():
    async with a_shop({"free_margin": Decimal(100)}, guard=GUARD).running() as shop:
        assert did(shop) == ["read", "execute"]
        assert shop.backend.seen == [b'{"amount":"5"}']
        assert outcomes(shop)[-1].state == "applied"


@pytest.mark.parametrize(
    ("read", "why"),
    [
        ({"free_margin": Decimal(99)}, "guard: account.free_margin >= event.amount is false (99 >= 100)"),
        ({}, "account.free_margin is missing"),
        (Refused("no such login"), "guard: the account cannot be read: no such login"),
    ],
)
async def test_a_guard_that_does_not_hold_keeps_the_action_from_being_sent(read, why):
    async with a_shop(read, guard=GUARD).running() as shop:
        assert did(shop) == ["read"]
        (outcome,) = outcomes(shop)
        assert outcome.state == "rejected"
        assert why in outcome.reason
        assert outcome.sends == 0


async def test_an_account_that_cannot_be_read_is_asked_about_again_and_nothing_is_sent_meanwhile():
    async with a_shop(Unreadable("away"), {"free_margin": Decimal(100)}, guard=GUARD).running() as shop:
        assert did(shop) == ["read"]
        await shop.pass_time(10)
        assert did(shop) == ["read", "read", "execute"]
        assert outcomes(shop)[-1].state == "applied"


async def test_a_backend_that_reads_nothing_sends_nothing_that_has_a_guard():
    async with a_shop(guard=GUARD, backend=Backend()).running() as shop:
        assert did(shop) == []
        assert "no backend that reads accounts" in outcomes(shop)[0].reason


async def test_a_guard_is_asked_again_before_money_is_sent_a_second_time():
    reads = [{"free_margin": Decimal(100)}, {"free_margin": Decimal(1)}]
    shop = a_shop(*reads, guard=GUARD)
    shop.backend.executes["a"] = [Unknown("lost")]
    async with shop.running():
        await shop.pass_time(200)
        assert did(shop) == ["read", "execute", "look", "look", "read"]
        last = outcomes(shop)[-1]
        assert last.state == "rejected"
        assert "it was sent before and never found" in last.incident


async def test_what_holds_afterwards_is_applied():
    async with a_shop({"open_positions": 0}, verify=VERIFY).running() as shop:
        assert did(shop) == ["execute", "read"]
        assert outcomes(shop)[-1].unverified == ""


async def test_what_does_not_hold_afterwards_was_applied_all_the_same_and_is_told():
    async with a_shop({"open_positions": 2}, verify=VERIFY).running() as shop:
        (outcome,) = outcomes(shop)
        assert (outcome.state, outcome.after) == ("applied", {"open_positions": 2})
        assert outcome.unverified == "verify: account.open_positions == 0 is false (2 == 0)"
        await shop.pass_time(600)
        assert did(shop) == ["execute", "read"], "money is not sent again for it"
        assert (await shop.states())["a"] is State.APPLIED


async def test_what_cannot_be_read_afterwards_is_looked_for_and_read_again():
    shop = a_shop(Unreadable("away"), {"open_positions": 0}, verify=VERIFY)
    shop.backend.executes["a"] = [Applied(5)]
    shop.backend.looks["a"] = [Found((5,))]
    async with shop.running():
        await shop.pass_time(200)
        assert did(shop) == ["execute", "read", "look", "read"]
        assert [each.state for each in outcomes(shop)] == ["unknown", "applied"]
        assert outcomes(shop)[-1].unverified == ""


async def test_what_a_crash_left_unknown_is_verified_when_it_is_found():
    shop = a_shop({"open_positions": 2}, verify=VERIFY, state=State.SENDING, sends=1, sent_at=NOW)
    shop.backend.looks["a"] = [Found((5,))]
    async with shop.running():
        await shop.pass_time(200)
        assert did(shop) == ["look", "read"]
        assert "2 == 0" in outcomes(shop)[-1].unverified


async def test_conditions_that_cannot_be_read_keep_the_action_from_being_sent():
    shop = a_shop({"free_margin": 1}, params=b'{"amount":"5","$checks":7}')
    assert isinstance(shop.worker, ActionWorker)
    async with shop.running():
        assert did(shop) == []
        assert "cannot be read" in outcomes(shop)[0].reason
