"""Messages pass a gate before they are sent: what may not go ends with its reason, and the cap holds over all workflows."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from hub.clock import ManualClock, to_us
from hub.dispatch.contacts import Asked, ContactGate, ContactLimit, Contacts, Suppression
from hub.dispatch.effects.notifier import Declined, Later, Notifier, Sent, Told
from hub.dispatch.effects.worker import ActionWorker
from hub.dispatch.memory import MemoryIntents
from hub.dispatch.memory_contacts import MemoryContacts
from hub.errors import StoreUnavailable
from hub.intents.contact import CHANNELS, plain_address
from hub.intents.intent import Intent, State
from hub.intents.outcome import decode_outcome
from hub.intents.verbs import VERBS, ToClient

START = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
NOW = to_us(START)
TWO_A_WEEK = {"marketing": ContactLimit(max=2, every=timedelta(days=7))}


def a_mail(
    key: str, *, verb: str = "notify.email", account: str = "live-1:7001", run: str = "r", **params: Any
) -> Intent:
    body = {"to": "Ann@Example.com", "subject": "s", "text": "t", "category": "marketing", **params}
    named = {name: value for name, value in body.items() if value is not None}
    return Intent(
        key=key,
        partition=1,
        account=account,
        verb=verb,
        params=json.dumps(named).encode(),
        workflow=f"w-{key}",
        run=run,
        step="s",
        caused_by="evt_1",
        state=State.READY,
        at=NOW,
        due=NOW,
    )


class Phone(Notifier):
    """Answers as told, and remembers what was sent."""

    offers = frozenset(CHANNELS) | {"notify.page"}

    def __init__(self, *answers: Told) -> None:
        self.answers = list(answers)
        self.sent: list[str] = []

    async def send(self, intent: Intent) -> Told:
        self.sent.append(intent.key)
        return self.answers.pop(0) if self.answers else Sent()


class Post:
    def __init__(
        self,
        *intents: Intent,
        phone: Phone | None = None,
        policy: Any = None,
        contacts: Contacts | None = None,
    ) -> None:
        self.clock = ManualClock(START)
        self.intents = MemoryIntents(intents)
        self.contacts = MemoryContacts()
        self.phone = phone or Phone()
        gate = ContactGate(contacts or self.contacts, TWO_A_WEEK if policy is None else policy, self.clock)
        self.worker = ActionWorker(
            self.intents, self.clock, notifiers=[self.phone], random=Random(1), gate=gate
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Post"]:
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.worker.run(stopping))
            await self.pass_time(0)
            yield self
            stopping.set()
            self.worker.wake()

    async def pass_time(self, seconds: float) -> None:
        for _ in range(4):
            await self.clock.advance(timedelta(seconds=seconds) / 4)

    def states(self) -> dict[str, str]:
        return {intent.key: intent.state.value for intent in self.intents.all()}


async def test_of_many_workflows_that_write_to_one_client_as_many_as_may_do() -> None:
    mails = [a_mail(f"m{number}", client="c1", account=f"live-1:{number}") for number in range(10)]

    async with Post(*mails).running() as post:
        assert len(post.phone.sent) == 2
        assert sorted(post.states().values()) == ["delivered"] * 2 + ["suppressed"] * 8
        assert all(
            "contact policy" in each.reason for each in post.intents.all() if each.key not in post.phone.sent
        )
        outcomes = [decode_outcome(told.body) for told in post.intents.told]
        assert sorted(outcome.state for outcome in outcomes) == ["delivered"] * 2 + ["suppressed"] * 8


async def test_a_client_that_a_workflow_is_kept_by_is_counted_with_its_accounts() -> None:
    post = Post(
        a_mail("by-client", account="", run="w/client%3Dc1/t/1"),
        a_mail("by-account", client=None),
        a_mail("by-another", account="live-2:5"),
    )
    post.contacts.linked = {"live-1:7001": "c1", "live-2:5": "c1"}

    async with post.running():
        assert sorted(post.states().values()) == ["delivered", "delivered", "suppressed"]


async def test_a_message_tried_again_is_one_contact_and_one_given_up_is_none() -> None:
    post = Post(a_mail("m1", client="c1"), phone=Phone(Later("busy"), Later("busy"), Sent()))

    async with post.running():
        await post.pass_time(1_000)
        post.intents.add(a_mail("m2", client="c1"), a_mail("m3", client="c1"))
        post.worker.wake()
        await post.pass_time(1)

        assert sorted(post.states().values()) == ["delivered", "delivered", "suppressed"]


async def test_one_suppressed_between_two_attempts_is_not_tried_again() -> None:
    post = Post(a_mail("m1", client="c1"), phone=Phone(Later("busy")))

    async with post.running():
        await post.contacts.add(
            Suppression.of("address", "ANN@example.com", "email", "complaint", "crm", NOW)
        )
        await post.pass_time(1_000)

        assert post.phone.sent == ["m1"]
        assert post.states() == {"m1": "suppressed"}
        assert post.intents.all()[0].reason == "suppressed: complaint"


async def test_what_the_server_declines_ends_as_it_did() -> None:
    async with Post(a_mail("m1"), phone=Phone(Declined("no such box"))).running() as post:
        assert post.states() == {"m1": "exhausted"}


async def test_what_goes_to_a_team_is_nobodys_contact() -> None:
    pages = [a_mail(f"p{number}", verb="notify.page", category=None) for number in range(5)]
    policy = {"service": ContactLimit(max=1, every=timedelta(days=1))}

    async with Post(*pages, policy=policy).running() as post:
        assert len(post.phone.sent) == 5


async def test_a_message_without_a_category_is_a_service_message() -> None:
    mails = [a_mail(f"m{number}", category=None) for number in range(3)]
    policy = {"service": ContactLimit(max=1, every=timedelta(days=1))}

    async with Post(*mails, policy=policy).running() as post:
        assert len(post.phone.sent) == 1


async def test_until_the_store_answers_nothing_is_sent() -> None:
    class Away(Contacts):
        answers = 2

        async def admit(self, asked: Asked) -> str | None:
            self.answers -= 1
            if self.answers >= 0:
                raise StoreUnavailable("disk full")
            return None

    async with Post(a_mail("m1"), contacts=Away()).running() as post:
        assert post.phone.sent == []
        await post.pass_time(8)

        assert post.states() == {"m1": "delivered"}


async def test_a_message_nobody_can_read_is_not_sent() -> None:
    broken = a_mail("m1")._replace(params=b'{"category":"marketting"}')

    async with Post(broken).running() as post:
        assert post.phone.sent == []
        assert post.states() == {"m1": "suppressed"}


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        (" Ann@Example.COM ", "ann@example.com"),
        ("+49 (30) 1234-56", "4930123456"),
        ("0049 30 123456", "4930123456"),
        ("030 123456", "030123456"),
        ("device-TOKEN", "device-token"),
    ],
)
def test_an_address_is_known_again_however_it_is_written(written: str, compared: str) -> None:
    assert plain_address(written) == compared
    assert plain_address(compared) in {compared, compared.removeprefix("00")}


def test_verbs_that_write_to_a_client_say_whose_contact_it_is() -> None:
    assert all(issubclass(VERBS[verb].params, ToClient) for verb in CHANNELS)


@pytest.mark.parametrize(
    "limit", [{"max": -1, "every": "7d"}, {"max": 1, "every": "400d"}, {"max": 1}, {"every": "1d"}]
)
def test_a_limit_that_cannot_be_kept_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ContactLimit.model_validate(limit)
