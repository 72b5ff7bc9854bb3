"""An account is read again after anything happened to it, also while it was being read."""

import asyncio

from hub.api.ports import AccountView
from hub.bus.log import Input, InputKind
from hub.engine.rows import Batch, StateRow
from hub.remembered_accounts import RememberedAccounts

KEY = "live-1:1"


class Slow:
    """`held` keeps readers waiting with what they have read."""

    def __init__(self) -> None:
        self.reads = 0
        self.balance = 0
        self.held = asyncio.Event()
        self.held.set()

    async def account(self, key: str) -> AccountView | None:
        self.reads += 1
        found = AccountView(b"%d" % self.balance, None, self.balance)
        await self.held.wait()
        return found


def row(key: str = KEY) -> Input:
    return Input(0, 1, 0, InputKind.EVENT, key, "", 1, b"{}")


def decision(key: str = KEY) -> Batch:
    return Batch(states=[StateRow(0, key, 1, "", b"{}")])


async def test_what_is_known_is_read_once() -> None:
    slow = Slow()
    accounts = RememberedAccounts(slow)

    for _ in range(3):
        assert await accounts.account(KEY) == AccountView(b"0", None, 0)
    accounts.hear([row("live-1:2")])
    accounts.decided(decision("live-1:2"))
    await accounts.account(KEY)

    assert slow.reads == 1


async def test_after_an_event_and_after_a_decision_it_is_read_again() -> None:
    slow = Slow()
    accounts = RememberedAccounts(slow)
    for happens in (lambda: accounts.hear([row()]), lambda: accounts.decided(decision())):
        await accounts.account(KEY)
        slow.balance += 1
        happens()
        found = await accounts.account(KEY)
        assert found is not None
        assert found.sequence == slow.balance


async def test_what_happens_while_it_is_read_is_not_lost() -> None:
    slow = Slow()
    accounts = RememberedAccounts(slow)
    slow.held.clear()
    reading = asyncio.create_task(accounts.account(KEY))
    await asyncio.sleep(0)
    slow.balance = 7
    accounts.decided(decision())
    slow.held.set()
    await reading

    found = await accounts.account(KEY)

    assert found is not None
    assert found.sequence == 7


async def test_so_many_are_remembered_and_no_more() -> None:
    accounts = RememberedAccounts(Slow(), most=10)

    for login in range(50):
        await accounts.account(f"live-1:{login}")

    assert len(accounts._known) == 10
    assert accounts._reading == {}
