"""HubSpot against a server that answers every error: what is written once, what waits, and what is not known."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from conformance.crm_bench import NOW, START, Desk, Onward, a_call, a_note, a_task, an_upsert
from conformance.crm_shops import HubSpotShop, hubspot_settings
from conformance.fake_hubspot import CORRELATION, ERRORS, FakeHubSpot, a_hubspot

from hub.dispatch.effects.notifier import Declined, Later, Sent, Unsure
from hub.intents.intent import Intent

NEVER = {
    "validation",
    "no property",
    "not found",
    "wrong method",
    "too large",
    "address too long",
    "wrong type",
}
UNKNOWN = {
    "timeout",
    "internal",
    "bad gateway",
    "unavailable",
    "gateway timeout",
    "edge unknown",
    "edge timed out",
    "edge waited",
    "redirect",
}


@pytest.fixture
async def shop() -> AsyncIterator[HubSpotShop]:
    async with a_hubspot() as hubspot:
        yield HubSpotShop(hubspot)


async def test_a_record_is_made_by_the_hubs_id_and_written_under_the_crms_names(shop: HubSpotShop) -> None:
    record = {"email": "ann@example.com", "first_name": "Ann", "deposited": "250.10", "vip": True}

    first = await shop.send(an_upsert(record=record))
    second = await shop.send(an_upsert("b", record={"first_name": None, "segments": ["a", "b"]}))

    assert first == Sent("record 151 was made", made="151")
    assert second == Sent("record 151 was updated", made="151")
    assert shop.hubspot.records == {
        ("contacts", "c-1"): {
            "hub_client_id": "c-1",
            "email": "ann@example.com",
            "firstname": "",
            "last_deposit": "250.10",
            "vip": "true",
            "segments": "a;b",
        }
    }


@pytest.mark.parametrize("name", sorted(ERRORS))
async def test_every_error_means_what_it_says_for_a_record(shop: HubSpotShop, name: str) -> None:
    shop.hubspot.fail_with(name)

    told = await shop.send(an_upsert())

    assert isinstance(told, Declined if name in NEVER else Later)
    assert str(ERRORS[name][0]) in told.reason
    assert len(shop.hubspot.asked) == 1
    assert not shop.hubspot.records


@pytest.mark.parametrize("name", sorted(ERRORS))
async def test_every_error_means_what_it_says_for_a_note(shop: HubSpotShop, name: str) -> None:
    await shop.send(an_upsert())
    shop.hubspot.fail_with(name)

    told = await shop.send(a_note())

    kind = Declined if name in NEVER else Unsure if name in UNKNOWN else Later
    assert isinstance(told, kind)
    assert str(ERRORS[name][0]) in told.reason
    assert not shop.hubspot.added


async def test_a_reason_names_what_is_wrong_and_no_value_of_the_client(shop: HubSpotShop) -> None:
    shop.hubspot.fail_with("validation")
    shop.hubspot.fail_with("no scope")

    wrong, closed = await shop.send(an_upsert()), await shop.send(an_upsert())

    assert (
        wrong.reason == f"answered 400, VALIDATION_ERROR INVALID_EMAIL email (correlation id {CORRELATION})"
    )
    assert "crm.objects.contacts.write" in closed.reason


async def test_notes_activities_and_tasks_are_tied_to_their_record(shop: HubSpotShop) -> None:
    await shop.send(an_upsert())
    await shop.send(an_upsert("f", object="firm", id="f-1"))
    for intent in (
        a_note(text="<b>Ann</b> deposited\n250"),
        a_note("n2", object="firm", id="f-1"),
        a_call(),
        a_call("c2", kind="email"),
        a_call("c3", kind="meeting", minutes=30),
        a_task(due="51h", priority="high", record={"hubspot_owner_id": "7"}),
    ):
        assert isinstance(await shop.send(intent), Sent)

    added = [(kind, properties) for kind, properties in shop.hubspot.added]
    assert [kind for kind, _ in added] == ["notes", "notes", "calls", "emails", "meetings", "tasks"]
    # HubSpot shows it as HTML, and what a trader is called is no markup.
    assert added[0][1]["hs_note_body"] == "&lt;b&gt;Ann&lt;/b&gt; deposited<br>250"
    assert added[2][1]["hs_timestamp"] == "2026-06-23T08:55:00.000Z"
    assert added[4][1]["hs_meeting_start_time"] == "2026-06-23T08:30:00.000Z"
    assert added[5][1] | {} == {
        "hs_timestamp": "2026-06-25T12:00:00.000Z",
        "hs_task_subject": "Call Ann",
        "hs_task_body": "about her margin",
        "hs_task_status": "NOT_STARTED",
        "hs_task_priority": "HIGH",
        "hs_task_type": "TODO",
        "hubspot_owner_id": "7",
    }


async def test_a_note_waits_for_its_record(shop: HubSpotShop) -> None:
    early = await shop.send(a_note())
    await shop.send(an_upsert())

    assert isinstance(early, Later)
    assert "there is none of contacts with this hub_client_id yet" in early.reason
    assert isinstance(await shop.send(a_note()), Sent)


async def test_what_nothing_ties_to_a_record_is_declined_before_anything_is_asked(shop: HubSpotShop) -> None:
    told = await shop.send(a_note(object="wallet"))

    assert isinstance(told, Declined)
    assert "association" in told.reason
    assert not shop.hubspot.asked


@pytest.mark.parametrize(
    ("name", "headers", "seconds"),
    [
        ("ten seconds", {}, 10),
        ("ten seconds", {"Retry-After": "4"}, 4),
        ("day", {}, 4 * 3_600),
        ("locked", {}, 2),
        ("moving", {"Retry-After": "7200"}, 7_200),
        ("bad token", {}, 60),
    ],
)
async def test_a_limit_holds_back_everything_until_it_is_over(
    shop: HubSpotShop, name: str, headers: dict[str, str], seconds: int
) -> None:
    shop.hubspot.fail_with(name, **headers)

    first = await shop.send(an_upsert())
    await shop.desk.clock.advance(timedelta(seconds=seconds - 1))
    second = await shop.send(a_task())
    asked = len(shop.hubspot.asked)
    await shop.desk.clock.advance(timedelta(seconds=1))
    third = await shop.send(an_upsert())

    assert isinstance(first, Later)
    assert first.after_us == seconds * 1_000_000
    assert isinstance(second, Later)
    assert second.after_us == 1_000_000
    assert asked == 1
    assert isinstance(third, Sent)


async def test_what_waits_for_its_turn_goes_together_and_within_the_limit(shop: HubSpotShop) -> None:
    clock = Onward(START)
    shop.hubspot.clock, shop.desk = clock, shop.make(clock, rate=9.0)

    told = await asyncio.gather(
        *(shop.send(an_upsert(f"k{n}", id=f"c-{n}")) for n in range(150)),
        *(shop.send(an_upsert(f"f{n}", id=f"f-{n}", object="firm")) for n in range(3)),
    )

    assert all(isinstance(one, Sent) for one in told)
    assert {one.made for one in told if isinstance(one, Sent)} == set(shop.hubspot.numbers.values())
    assert len(shop.hubspot.records) == 153
    assert sum(shop.hubspot.batches) == 153
    assert max(shop.hubspot.batches) == 100
    assert shop.hubspot.too_many == 0


async def test_single_requests_keep_the_limit_as_well(shop: HubSpotShop) -> None:
    clock = Onward(START)
    shop.hubspot.clock, shop.desk = clock, shop.make(clock, rate=9.0)
    await shop.send(an_upsert())

    for n in range(60):
        assert isinstance(await shop.send(a_note(f"n{n}")), Sent)

    assert len(shop.hubspot.asked) == 121
    assert shop.hubspot.too_many == 0
    assert clock.now_us() - NOW >= 13_000_000


async def test_one_that_is_wrong_spoils_nothing_for_those_that_went_with_it(shop: HubSpotShop) -> None:
    good, bad, fine = await asyncio.gather(
        shop.send(an_upsert("a", id="c-1")),
        shop.send(an_upsert("b", id="c-2", record={"unheard_of": "1"})),
        shop.send(an_upsert("c", id="c-3")),
    )

    assert isinstance(good, Sent)
    assert isinstance(fine, Sent)
    assert isinstance(bad, Declined)
    assert "PROPERTY_DOESNT_EXIST unheard_of" in bad.reason
    assert set(shop.hubspot.records) == {("contacts", "c-1"), ("contacts", "c-3")}


async def test_an_answer_for_several_is_told_apart(shop: HubSpotShop) -> None:
    shop.hubspot.fails.append(
        (
            207,
            {
                "status": "COMPLETE",
                "results": [{"id": "9", "properties": {"hub_client_id": "c-2"}, "new": False}],
                "numErrors": 1,
                "errors": [
                    {
                        "status": "error",
                        "category": "VALIDATION_ERROR",
                        "context": {"objectWriteTraceId": ["0"]},
                    }
                ],
            },
            {},
        )
    )
    hubspot_answer = shop.hubspot.fails.popleft()
    await shop.send(an_upsert("z", id="c-9"))  # it goes at once: those after it wait together
    shop.hubspot.fails.append(hubspot_answer)

    first, second, third = await asyncio.gather(
        *(shop.send(an_upsert(f"k{n}", id=f"c-{n}")) for n in (1, 2, 3))
    )

    assert isinstance(first, Declined)
    assert second == Sent("record 9 was updated", made="9")
    # Of this one the answer says nothing, so it went once more.
    assert third == Sent("record 152 was made", made="152")
    assert shop.hubspot.batches == [1, 1]


async def test_a_yes_that_names_nothing_is_not_believed(shop: HubSpotShop) -> None:
    await shop.send(an_upsert())
    shop.hubspot.bare = True

    assert isinstance(await shop.send(an_upsert("b")), Later)
    assert isinstance(await shop.send(a_note()), Unsure)


async def test_a_crm_that_is_not_there_was_surely_not_asked() -> None:
    gone = FakeHubSpot()
    gone.url = "http://127.0.0.1:1"
    desk = Desk({"sales": hubspot_settings(gone)})

    assert isinstance(await desk.send(an_upsert()), Later)
    assert isinstance(await desk.send(a_note()), Later)


async def test_what_waited_does_not_undo_what_was_written_after_it_was_asked_for(shop: HubSpotShop) -> None:
    shop.hubspot.fail_with("unavailable")
    old = an_upsert("old", at=NOW, record={"email": "old@example.com", "first_name": "Ann"})
    new = an_upsert("new", at=NOW + 1, record={"email": "new@example.com"})

    failed, written, late = await shop.send(old), await shop.send(new), await shop.send(old)
    nothing = await shop.send(an_upsert("old 2", at=NOW, record={"email": "x@example.com"}))

    assert isinstance(failed, Later)
    assert isinstance(written, Sent)
    assert isinstance(late, Sent)
    assert nothing == Sent("a newer step has written all of it already")
    assert shop.hubspot.records["contacts", "c-1"] == {
        "hub_client_id": "c-1",
        "email": "new@example.com",
        "firstname": "Ann",
    }


@pytest.mark.parametrize(
    ("intent", "reason"),
    [
        (an_upsert(record={"deposited": "much"}), "deposited is no number"),
        (an_upsert(record={"first_name": "a", "firstname": "b"}), "another field of the record is firstname"),
        (an_upsert(object="person"), "sales keeps no person"),
        (an_upsert(profile="other"), "there is no CRM other"),
        (an_upsert(nonsense=1), "cannot be read"),
        (an_upsert(id=".."), "cannot be read"),
    ],
)
async def test_what_cannot_be_written_is_not_sent(shop: HubSpotShop, intent: Intent, reason: str) -> None:
    told = await shop.send(intent)

    assert isinstance(told, Declined)
    assert reason in told.reason
    assert not shop.hubspot.asked


async def test_an_id_stays_in_its_place_whatever_it_holds(shop: HubSpotShop) -> None:
    for own in ("a/b", "a?b=c#d", "ä ö", "%2e%2e/x"):
        assert isinstance(await shop.send(an_upsert("u" + own, id=own)), Sent)
        assert isinstance(await shop.send(a_note("n" + own, id=own)), Sent)

    assert {own for _, own in shop.hubspot.records} == {"a/b", "a?b=c#d", "ä ö", "%2e%2e/x"}
