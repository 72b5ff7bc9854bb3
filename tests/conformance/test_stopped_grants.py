"""A breaker stops the gifts of a crowd: everybody gets his once it is reset often enough, and nobody two, killed or not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from random import Random

import msgspec
from conformance.backends import StoreBackend
from conformance.test_engine_on_disk import Process
from unit.engine.desk import a_workflow

from hub.control.control import Control
from hub.dispatch.effects.backend import Applied, NotFound
from hub.dispatch.effects.worker import ActionWorker
from hub.engine.live_files import LiveFiles
from hub.engine.load import LoadedSet
from hub.engine.why import why
from hub.ids import partition_of
from hub.intents.intent import Intent, State
from hub.rounds import Rounds
from hub.testing import a_deposit, an_account, an_event

GIFT = """
trip: {more_than: 2, risk: money, within: 1h}
aggregates:
  paid: {from: balance.deposited, sum: event.amount, window: lifetime}
grant:
  id: gift
  action: bonus.grant
  amount: paid * 0.3
  while: paid >= 100
  book: {at: once_true}
  take_back: {mode: none}
"""
CROWD = range(1, 7)


class Till:
    """Pays whatever it is asked for, and remembers whom."""

    server, simulated = "live-1", True
    offers = frozenset({"bonus.grant"})

    def __init__(self) -> None:
        self.paid: list[tuple[str, Decimal]] = []

    async def execute(self, intent: Intent) -> Applied:
        self.paid.append((intent.account, Decimal(msgspec.json.decode(intent.params)["amount"])))
        return Applied(len(self.paid))

    async def look(self, intent: Intent) -> NotFound:
        return NotFound()


class House(Process):
    """A hub with a till: an engine, a breaker, and somebody who sends what is due."""

    def __init__(self, backend: StoreBackend) -> None:
        super().__init__(backend)
        self.till = Till()

    async def begin(self) -> None:
        await self.start()
        workflow = a_workflow(GIFT, id="gift")
        files = LiveFiles.fixed(LoadedSet((workflow,), ()))
        self.control = Control(self.store.switches, self.clock, self.store.log)
        await self.control.look()
        self.rounds = Rounds(self.control, self.clock, self.loop.programs, files, self.loop.activate)
        await self.rounds.make_live([workflow])
        await self.rounds.look()

    async def settle(self) -> None:
        await self.loop.begin()
        await super().settle()
        await self.clock.advance(timedelta(seconds=1))  # for timers that were set meanwhile
        await super().settle()

    async def killed(self) -> None:
        await self.backend.reopen()
        await self.begin()

    async def deposits(self, login: int) -> None:
        account = an_account(login=login)
        changed = {"currency": {"after": "USD"}, "type": {"after": "real"}}
        await self.store.log.append([
            an_event("account.updated", account, dedupe_key=f"{login}", changed=changed),
            a_deposit(account, ticket=login, amount="1000"),
        ])  # fmt: skip

    async def sent(self) -> None:
        """Send what is due and may go, as often as there is any."""
        worker = ActionWorker(
            self.store.intents, self.clock, backends=[self.till], random=Random(1), control=self.control
        )
        await worker.recover()
        while True:
            async with asyncio.TaskGroup() as group:
                started = await worker.step(group)
            if not started:
                return

    async def said(self, login: int) -> str:
        programs = self.loop.programs
        answer = await why(
            self.store.engine,
            programs.of(partition_of("live-1", login)),
            "gift",
            f"live-1:{login}",
            now_us=self.clock.now_us(),
            pin=programs.pin_ledgers,
        )
        return answer.standing[0].reason


@asynccontextmanager
async def a_crowd(store: StoreBackend) -> AsyncIterator[House]:
    """Six have deposited; two have their gift, and the breaker has stopped the others'."""
    house = House(store)
    await house.begin()
    await house.settle()
    for login in CROWD:
        await house.deposits(login)
    await house.settle()
    await house.sent()
    await house.settle()
    assert len(house.till.paid) == 2
    yield house


async def test_everybody_gets_his_gift_once_however_often_it_trips_and_the_hub_is_killed(
    store: StoreBackend,
) -> None:
    async with a_crowd(store) as house:
        active = await house.store.engine.active()
        assert active is not None
        assert "stopped" not in active  # a manifest in which nothing is stopped is that of older hubs
        await house.killed()
        await house.settle()
        await house.deposits(7)  # it falls due while the workflow is stopped, and is not recorded in shadow
        await house.settle()
        assert "stopped by the workflow's breaker: asked for again when that is reset" in await house.said(7)
        active = await house.store.engine.active()
        assert active is not None
        assert '"mode":"shadow"' in active
        assert '"stopped":true' in active

        for _ in range(3):
            await house.control.reset("gift", "me", "looked")
            await house.rounds.look()
            await house.killed()  # nobody has looked at a single key yet
            for _ in range(3):
                await house.loop.step()
            await house.killed()
            await house.settle()
            await house.killed()
            await house.sent()
            await house.killed()
            await house.settle()

        assert sorted(house.till.paid) == [(f"live-1:{login}", Decimal(300)) for login in (*CROWD, 7)]
        assert "300.00 stays booked" in await house.said(7)
        states = {each.state for each in await house.intents()}
        assert states == {State.APPLIED, State.REJECTED}
        number = len(await house.intents())
        await house.clock.advance(timedelta(days=2))
        await house.killed()
        await house.settle()
        assert len(await house.intents()) == number


async def test_one_that_was_reset_before_the_workflow_was_in_shadow_is_asked_again_by_the_clock(
    store: StoreBackend,
) -> None:
    async with a_crowd(store) as house:
        await house.control.reset("gift", "me", "looked")
        await house.rounds.look()
        await house.killed()
        await house.settle()
        assert len(await house.intents()) == 6

        await house.clock.advance(timedelta(minutes=1))
        await house.settle()
        await house.sent()

        assert len(house.till.paid) == 4
