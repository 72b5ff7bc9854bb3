"""Everything due is sent once and no more than may be, over a real store whose answers overtake one another."""

import asyncio
import json
from datetime import timedelta
from random import Random

import pytest
from conformance.backends import StoreBackend

from hub.clock import to_us
from hub.control.control import Control
from hub.dispatch.contacts import ContactGate, ContactLimit
from hub.dispatch.effects.backend import Applied, ManagerBackend, NotFound
from hub.dispatch.effects.notifier import Notifier, Sent
from hub.dispatch.effects.worker import ActionWorker
from hub.intents.breakers import Rule
from hub.intents.intent import Intent, State
from hub.testing import MORNING

NOW = to_us(MORNING)
ACTIONS, MAY_BE_PAID = 18, 8
MESSAGES, MAY_BE_TOLD = 30, 12
OPEN = (State.READY, State.SENDING, State.UNKNOWN)


def an_intent(number: int, workflow: str, verb: str, **params: str) -> Intent:
    return Intent(
        key=f"{verb}:{number}",
        partition=0,
        account=f"live-1:{number % 6}",
        verb=verb,
        params=json.dumps(params).encode(),
        workflow=workflow,
        run="r",
        step="s",
        caused_by="e",
        state=State.READY,
        at=NOW,
        due=NOW - 100 + number,
    )


class Till(ManagerBackend):
    server, simulated, offers = "live-1", True, frozenset({"credit.grant"})

    def __init__(self, store: StoreBackend) -> None:
        self.paid: list[str] = []
        self._store = store

    async def execute(self, intent: Intent) -> Applied:
        kept = await self._store.intents.get(intent.key)
        assert kept is not None
        assert kept.state is State.SENDING
        self.paid.append(intent.key)
        return Applied(len(self.paid))

    async def look(self, _intent: Intent) -> NotFound:
        return NotFound()


class Post(Notifier):
    """A channel by which a message may go twice, if somebody has it sent twice."""

    offers = frozenset({"notify.push"})

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, intent: Intent) -> Sent:
        self.sent.append(intent.key)
        await asyncio.sleep(0)
        return Sent()


@pytest.mark.usefixtures("late_answers")
async def test_nothing_goes_twice_and_exactly_as_much_as_may(store: StoreBackend) -> None:
    till, post = Till(store), Post()
    control = Control(store.store.switches, store.clock, store.store.log)
    control.rules = {"bonus": Rule(MAY_BE_PAID, "money", timedelta(hours=1))}
    limit = ContactLimit(max=MAY_BE_TOLD, every=timedelta(days=7))
    worker = ActionWorker(
        store.intents,
        store.clock,
        backends=[till],
        notifiers=[post],
        random=Random(1),
        gate=ContactGate(store.store.contacts, {"marketing": limit}, store.clock),
        control=control,
    )
    # Of a workflow each: one that its breaker has stopped writes to nobody either.
    actions = [an_intent(n, "bonus", "credit.grant", amount="5") for n in range(ACTIONS)]
    about = {"to": "c-1", "text": "t", "category": "marketing"}
    await store.add_intents(
        *actions, *(an_intent(n, "offer", "notify.push", **about) for n in range(MESSAGES))
    )

    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stopping))
        while any([await store.intents.in_state(state, 1) for state in OPEN]):
            await store.clock.advance(timedelta(milliseconds=50))
        stopping.set()
        worker.wake()

    assert (len(till.paid), len(set(till.paid))) == (MAY_BE_PAID, MAY_BE_PAID)
    assert (len(post.sent), len(set(post.sent))) == (MAY_BE_TOLD, MAY_BE_TOLD)
    assert len(await store.intents.in_state(State.SUPPRESSED, 99)) == MESSAGES - MAY_BE_TOLD
    assert len(await store.intents.in_state(State.REJECTED, 99)) == ACTIONS - MAY_BE_PAID
