"""Six days of one endpoint on a clock that is moved by hand: the whole schedule, Retry-After, rotation, and its end."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from unit.dispatch.answering import Answering
from unit.dispatch.test_dispatcher import LOST, SECRET, START, an_endpoint, an_event

from hub.clock import SECOND_US, to_us
from hub.dispatch.delivery import Delivered, Refused
from hub.dispatch.keyring import GRACE, keyring_of, rotated, text_of
from hub.dispatch.outbox import DeliveryState
from hub.dispatch.schedule import JITTER, WAITS
from hub.dispatch.signing import SignatureInvalid, parse_secret, verify

NEW = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
ROTATED_AT = timedelta(hours=12)
AN_HOUR_US = 3_600 * SECOND_US


class Story:
    """The endpoint's receiver: fails as told, and notes when it was called and with which signatures."""

    def __init__(self) -> None:
        self.house = Answering(an_endpoint())
        self.calls: list[tuple[timedelta, dict[str, str]]] = []
        self.house.receivers.answers["ep"] = self.receive

    def receive(self, headers: dict[str, str]) -> Any:
        self.calls.append((self.now - START, headers))
        if len(self.calls) == 2:
            return Refused(429, 10, b"", AN_HOUR_US)
        return LOST

    @property
    def now(self) -> datetime:
        return self.house.clock.now()

    def of(self, event: int) -> list[timedelta]:
        return [at for at, headers in self.calls if headers["webhook-id"] == f"evt_{event}"]

    async def until(self, moment: timedelta) -> None:
        while self.now - START < moment:
            await self.house.advance(minutes=30)

    async def rotate(self) -> None:
        endpoint = await self.house.endpoints.get("ep")
        ring = rotated(keyring_of(endpoint.secret), NEW, now_us=to_us(self.now), grace=GRACE)
        assert await self.house.endpoints.replace_secret("ep", endpoint.secret, text_of(ring))
        await self.house.dispatcher.refresh()
        await self.house.settle()

    def signed_with(self, call: int) -> list[str]:
        """Return which of the two secrets a receiver that has only one of them takes a request by."""
        at, headers = self.calls[call]
        body = self.house.receivers.requests()[call][1]
        return [secret for secret in (SECRET, NEW) if verifies(secret, headers, body, START + at)]


def verifies(secret: str, headers: dict[str, str], body: bytes, now: datetime) -> bool:
    try:
        verify(parse_secret(secret), headers, body, now)
    except SignatureInvalid:
        return False
    return True


async def test_seventy_five_hours_with_a_rotation_and_then_the_end() -> None:
    story = Story()
    async with story.house.running() as house:
        await house.tell(an_event(1))
        await story.until(ROTATED_AT)
        await story.rotate()
        await story.until(timedelta(hours=96))

        # Every wait of the schedule, never early; the second as long as the receiver asked for.
        tried = story.of(1)
        waits = [later - earlier for earlier, later in pairwise(tried)]
        asked = [timedelta(seconds=wait) for wait in WAITS]
        asked[1] = timedelta(hours=1)
        assert len(tried) == len(WAITS) + 1
        assert all(
            wait <= waited <= wait * (1 + JITTER) + timedelta(seconds=1)
            for wait, waited in zip(asked, waits, strict=True)
        )
        assert tried[-1] >= timedelta(hours=75)
        assert house.states() == {("ep", 1): DeliveryState.EXHAUSTED}
        assert house.types().count("delivery.exhausted") == 1

        # Before the rotation the old secret, in the overlap both, and then the new one alone.
        ends = ROTATED_AT + GRACE
        phases = {
            (SECRET,): [at for at in tried if at < ROTATED_AT],
            (SECRET, NEW): [at for at in tried if ROTATED_AT <= at < ends],
            (NEW,): [at for at in tried if at >= ends],
        }
        assert all(phases.values()), "there is an attempt in each"
        for secrets, moments in phases.items():
            for at in moments:
                call = tried.index(at)
                assert story.signed_with(call) == list(secrets), at
                assert len(story.calls[call][1]["webhook-signature"].split(" ")) == len(secrets), at

        # Nothing was accepted for five days: warned of at 50, 70 and 90 %, and switched off; what waits is kept.
        await house.tell(an_event(2))
        await story.until(timedelta(days=7))
        failing = [said for said in house.told() if said.type == "endpoint.failing"]
        assert [said.dedupe_key.rsplit(":", 1)[1] for said in failing] == ["1", "2", "3", "4"]
        assert (await house.endpoints.get("ep")).state == "disabled"
        assert house.types().count("endpoint.disabled") == 1
        assert house.states()["ep", 2] is DeliveryState.WAITING
        assert story.of(2)[-1] >= timedelta(days=5)
        calls = len(story.calls)
        await house.tell(an_event(3))
        await story.until(timedelta(days=8))
        assert len(story.calls) == calls

        # Whoever puts it right and switches it on again gets what waited.
        house.receivers.answers["ep"] = Delivered(204, 10)
        off = await house.endpoints.get("ep")
        await house.endpoints.replace(off, off._replace(state="enabled", reason=""))
        await house.dispatcher.refresh()
        await story.until(timedelta(days=9))
        assert house.states()["ep", 2] is DeliveryState.DELIVERED


@pytest.mark.parametrize("grace", [timedelta(), GRACE])
async def test_a_delivery_that_waits_is_signed_with_what_signs_when_it_goes(grace: timedelta) -> None:
    story = Story()
    answers = iter([Refused(503, 10), Delivered(204, 10)])
    house = story.house
    house.receivers.answers["ep"] = lambda headers: (
        story.calls.append((story.now - START, headers)) or next(answers)
    )
    async with house.running():
        await house.tell(an_event(1))
        endpoint = await house.endpoints.get("ep")
        ring = rotated(keyring_of(endpoint.secret), NEW, now_us=to_us(story.now), grace=grace)
        await house.endpoints.replace_secret("ep", endpoint.secret, text_of(ring))
        await house.dispatcher.refresh()
        await house.advance(seconds=7)

    assert story.signed_with(0) == [SECRET]
    assert story.signed_with(1) == ([SECRET, NEW] if grace else [NEW])
    assert house.states() == {("ep", 1): DeliveryState.DELIVERED}
