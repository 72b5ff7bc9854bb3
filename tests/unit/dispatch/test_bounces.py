"""A mail that comes back after it was taken: whose it was is known, and its way is closed if nobody is there."""

from datetime import UTC, datetime
from typing import Any

import pytest
from conformance.delivery_report_mails import EXCHANGE, EXIM, OLD_EXIM, POSTFIX, QMAIL, a_mail
from pydantic import SecretStr

from hub.clock import ManualClock
from hub.dispatch.bounces import Bounces, CameBack, Ignored
from hub.dispatch.contacts import Asked
from hub.dispatch.effects.aftermath import Aftermath, Said
from hub.dispatch.memory_contacts import MemoryContacts
from hub.dispatch.memory_messages import MemoryDevices
from hub.dispatch.messages import message_id
from hub.dispatch.return_path import ReturnPath

NAME = message_id("i1")
OWN_ID = f"<{NAME.removeprefix('msg_')}@broker.example>"
SECRET, OLD = SecretStr("s" * 40), SecretStr("o" * 40)
PATH = ReturnPath("bounces@broker.example", [SECRET])
SHAPES = {"Postfix": POSTFIX, "Exim": EXIM, "Exchange": EXCHANGE, "old Exim": OLD_EXIM, "qmail": QMAIL}


class Desk:
    def __init__(self, path: ReturnPath | None = PATH) -> None:
        self.contacts = MemoryContacts()
        self.told: list[tuple[str, Said, str]] = []
        clock = ManualClock(datetime(2026, 6, 23, 9, 0, tzinfo=UTC))

        async def tell(kind: str, said: Said, key: str) -> None:
            self.told.append((kind, said, key))

        aftermath = Aftermath(self.contacts.messages, self.contacts, MemoryDevices(), tell, clock)
        self.bounces = Bounces("Hub@Broker.example", path, self.contacts.messages, aftermath, clock)

    async def sent(self, intent: str = "i1", channel: str = "email", to: str = "Ann@Example.com") -> None:
        await self.contacts.admit(
            Asked(intent, channel, to.lower(), "c1", "live-1:7001", "service", at=1, template="w/mail")
        )

    async def take(self, shape: str = POSTFIX, **more: Any) -> CameBack | Ignored:
        return await self.bounces.take(a_mail(shape, **{"message_id": OWN_ID, "back": PATH.of(NAME)} | more))

    async def closed(self) -> list[str]:
        return [entry.value for entry in await self.contacts.list(after="", limit=10)]


@pytest.mark.parametrize("server", SHAPES)
async def test_where_nobody_is_there_the_address_is_closed_and_it_is_told(server: str) -> None:
    desk = Desk()
    await desk.sent()

    found = await desk.take(SHAPES[server])

    assert isinstance(found, CameBack)
    assert (found.message, found.code, found.closed) == (NAME, "5.1.1", True)
    kept = await desk.contacts.messages.get(NAME)
    assert kept is not None
    assert (kept.status, kept.error) == ("bounced", "5.1.1")
    assert await desk.closed() == ["ann@example.com"]
    ((kind, said, key),) = desk.told
    assert (kind, said.message, said.address, said.client, key) == (
        "notification.bounced",
        NAME,
        "ann@example.com",
        "c1",
        f"{NAME}:notification.bounced",
    )


async def test_told_twice_it_is_the_same() -> None:
    desk = Desk()
    await desk.sent()

    first, again = await desk.take(), await desk.take(EXIM)

    assert isinstance(first, CameBack)
    assert isinstance(again, CameBack)
    assert len({key for _, _, key in desk.told}) == 1
    assert await desk.closed() == ["ann@example.com"]


@pytest.mark.parametrize(
    ("more", "closed"),
    [
        ({"status": "5.2.2", "said": "552 5.2.2 mailbox full"}, False),
        ({"status": "5.7.1", "said": "550 5.7.1 looks like spam"}, False),
        ({"status": "4.4.7", "said": "451 4.4.7 delivery time expired"}, False),
        ({"status": "5.0.0", "said": "550 No such user here"}, True),
        ({"status": "5.0.0", "said": "550 Message content rejected", "command": "end of data"}, False),
        ({"status": "5.0.0", "said": "554 go away"}, False),
    ],
)
@pytest.mark.parametrize("server", ["Postfix", "old Exim", "qmail"])
async def test_what_says_nothing_of_the_address_leaves_it_open(
    server: str, more: dict[str, str], closed: bool
) -> None:
    desk = Desk()
    await desk.sent()

    found = await desk.take(SHAPES[server], **more)

    assert isinstance(found, CameBack)
    assert found.closed is closed
    kept = await desk.contacts.messages.get(NAME)
    assert kept is not None
    assert kept.status == "bounced"
    assert (await desk.closed() != [], desk.told != []) == (closed, closed)


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
async def test_what_tells_of_no_failure_changes_nothing(action: str) -> None:
    desk = Desk()
    await desk.sent()

    assert isinstance(await desk.take(action=action, status="4.4.1"), Ignored)
    kept = await desk.contacts.messages.get(NAME)
    assert kept is not None
    assert kept.status == ""


async def test_one_who_passed_it_on_to_nobody_is_not_nobody() -> None:
    desk = Desk()
    await desk.sent()

    found = await desk.take(EXIM, to="ann@elsewhere.example")

    assert isinstance(found, CameBack)
    assert not found.closed
    assert desk.told == []


@pytest.mark.parametrize(
    "back",
    [
        "hub@broker.example",
        "bounces@broker.example",
        f"bounces+{NAME.removeprefix('msg_')}{'0' * 16}@broker.example",
        ReturnPath("bounces@broker.example", [OLD]).of(NAME),
        PATH.of(message_id("i2")).replace(message_id("i2")[4:], NAME[4:]),
        PATH.of(NAME) + ".attacker.example",
        "x" + PATH.of(NAME),
    ],
)
async def test_an_address_is_closed_only_on_a_signed_way_back(back: str) -> None:
    desk = Desk()
    await desk.sent()

    found = await desk.take(back=back)

    assert isinstance(found, CameBack)  # its Message-ID says which it was, and anybody may know that
    assert not found.closed
    assert (await desk.closed(), desk.told) == ([], [])


async def test_without_a_way_back_of_its_own_the_message_id_is_believed() -> None:
    desk = Desk(path=None)
    await desk.sent()

    found = await desk.take(EXCHANGE, back="hub@broker.example")

    assert isinstance(found, CameBack)
    assert found.closed


async def test_the_signed_way_back_counts_where_no_message_id_came_back() -> None:
    desk = Desk()
    await desk.sent()

    assert isinstance(await desk.take(message_id="<gone@elsewhere>", back=PATH.of(NAME).upper()), CameBack)


async def test_a_way_back_that_was_signed_before_goes_on_leading_back() -> None:
    desk = Desk(ReturnPath("bounces@broker.example", [SecretStr("n" * 40), SECRET]))
    await desk.sent()

    found = await desk.take()

    assert isinstance(found, CameBack)
    assert found.closed


async def test_of_what_is_no_mail_of_this_hub_nothing_is_kept() -> None:
    desk = Desk()
    await desk.sent("i1", "sms", "+35799000001")

    assert await desk.take() == Ignored("it is of no mail of this hub")
    assert await desk.take(message_id="<a@b>", back="hub@broker.example") == Ignored(
        "it is of no mail of this hub"
    )
    assert isinstance(await desk.bounces.take(b"Subject: I am away\n\nBack on Monday"), Ignored)


def test_a_way_back_fits_into_an_address() -> None:
    longest = ReturnPath("bounces.of.hub@broker.example", [SECRET]).of(NAME)

    assert len(longest.partition("@")[0]) <= 64
    assert ReturnPath("bounces.of.hub@broker.example", [SECRET]).message_of(f"<{longest}>") == NAME
