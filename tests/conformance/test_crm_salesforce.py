"""Salesforce against a server that answers every error: signing in, records by external id, and what is added to them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conformance.crm_bench import a_call, a_note, a_task, an_upsert
from conformance.crm_shops import SalesforceShop
from conformance.fake_salesforce import (
    ERRORS,
    USER,
    a_salesforce,
    key_pair,
)

from hub.dispatch.effects.notifier import Declined, Later, Sent, Unsure
from hub.errors import ConfigError

SIGNED_IN_AGAIN = {"INVALID_SESSION_ID", "INVALID_AUTH_HEADER"}
WAITS = {
    "REQUEST_LIMIT_EXCEEDED",
    "API_DISABLED_FOR_ORG",
    "API_CURRENTLY_DISABLED",
    "FUNCTIONALITY_NOT_ENABLED",
    "INSUFFICIENT_ACCESS",
    "INSUFFICIENT_ACCESS_OR_READONLY",
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
    "ORG_LOCKED",
    "INACTIVE_ORG",
    "STORAGE_LIMIT_EXCEEDED",
    "TXN_SECURITY_RUNTIME_EXCEPTION",
    "UNABLE_TO_LOCK_ROW",
    "SERVER_UNAVAILABLE",
    "DUPLICATE_EXTERNAL_ID",
}


@pytest.fixture
async def shop() -> AsyncIterator[SalesforceShop]:
    async with a_salesforce() as salesforce:
        yield SalesforceShop(salesforce)


async def test_a_record_is_made_by_the_hubs_id_and_kept_as_what_it_is(shop: SalesforceShop) -> None:
    record = {"email": "ann@example.com", "deposited": "250.10", "vip": True, "since": "2026-06-23T09:00:00Z"}

    made, changed = (
        await shop.send(an_upsert(record=record)),
        await shop.send(an_upsert(record={"email": None})),
    )
    shop.salesforce.bare = True
    silent = await shop.send(an_upsert(record={"first_name": "Ann"}))

    assert made == Sent("record 003xx0000000001AAA was made", made="003xx0000000001AAA")
    assert changed == Sent("record 003xx0000000001AAA was updated", made="003xx0000000001AAA")
    assert silent == Sent("record was updated")
    assert shop.salesforce.records == {
        ("Contact", "c-1"): {
            "Email": None,
            "Deposited__c": 250.1,
            "VIP__c": True,
            "Since__c": "2026-06-23",
            "FirstName": "Ann",
        }
    }
    assert shop.salesforce.tokens == 1


@pytest.mark.parametrize("code", sorted(ERRORS))
async def test_every_code_means_what_it_says(shop: SalesforceShop, code: str) -> None:
    await shop.send(an_upsert())
    shop.salesforce.fail_with(code, "Email")
    upserted = await shop.send(an_upsert())
    shop.desk = shop.make()  # which knows of no rest
    shop.salesforce.fail_with(code, "Email")
    added = await shop.send(a_note())

    if code in SIGNED_IN_AGAIN:
        assert isinstance(upserted, Sent)
        assert isinstance(added, Sent)
        return
    assert code in upserted.reason
    assert "(Email)" in upserted.reason
    if code == "UNKNOWN_EXCEPTION":
        assert isinstance(upserted, Later)
        assert isinstance(added, Unsure)
    else:
        kind = Later if code in WAITS else Declined
        assert isinstance(upserted, kind)
        assert isinstance(added, kind)
    assert not shop.salesforce.added


@pytest.mark.parametrize(
    ("status", "upserted", "added"),
    [
        *((status, Later, Unsure) for status in (302, 408, 500, 502, 503, 504)),
        *((status, Later, Later) for status in (403, 429)),
        *((status, Declined, Declined) for status in (400, 404, 405, 409, 410, 412, 414, 415, 420, 428, 431)),
    ],
)
async def test_what_names_no_code_is_judged_by_its_status(
    shop: SalesforceShop, status: int, upserted: type[object], added: type[object]
) -> None:
    await shop.send(an_upsert())
    shop.salesforce.fails.append((status, "<html>", {}))
    assert isinstance(await shop.send(an_upsert()), upserted)
    shop.desk = shop.make()
    shop.salesforce.fails.append((status, "<html>", {}))
    assert isinstance(await shop.send(a_note()), added)


async def test_several_records_with_one_id_are_for_a_person_to_put_right(shop: SalesforceShop) -> None:
    await shop.send(an_upsert())
    shop.salesforce.several = True

    upserted, added = await shop.send(an_upsert()), await shop.send(a_note())

    assert isinstance(upserted, Declined)
    assert upserted.reason == "answered 300: several records have this id"
    assert isinstance(added, Declined)


async def test_a_duplicate_of_the_id_was_written_by_somebody_else_meanwhile(shop: SalesforceShop) -> None:
    shop.salesforce.fail_with(
        "DUPLICATE_VALUE", message="duplicate value found: Hub_Client_Id__c duplicates 003"
    )

    assert isinstance(await shop.send(an_upsert()), Later)


async def test_a_session_that_is_over_is_replaced_once(shop: SalesforceShop) -> None:
    await shop.send(an_upsert())
    shop.salesforce.sessions = set()

    again = await shop.send(a_task())

    assert isinstance(again, Sent)
    assert shop.salesforce.tokens == 2
    assert len(shop.salesforce.added) == 1


async def test_a_session_that_is_refused_anew_is_ours_to_put_right(shop: SalesforceShop) -> None:
    shop.salesforce.fail_with("INVALID_SESSION_ID")
    shop.salesforce.fail_with("INVALID_SESSION_ID")

    told, next_one = await shop.send(an_upsert()), await shop.send(an_upsert())

    assert isinstance(told, Later)
    assert "a new one was refused" in told.reason
    assert isinstance(next_one, Later)
    assert (len(shop.salesforce.asked), shop.salesforce.tokens) == (2, 2)


async def test_many_that_need_a_token_ask_for_one(shop: SalesforceShop) -> None:
    told = await asyncio.gather(*(shop.send(an_upsert(f"k{n}", id=f"c-{n}")) for n in range(5)))
    shop.salesforce.sessions = set()
    told += await asyncio.gather(*(shop.send(an_upsert(f"l{n}", id=f"c-{n}")) for n in range(5)))

    assert all(isinstance(one, Sent) for one in told)
    assert shop.salesforce.tokens == 2


@pytest.mark.parametrize("in_file", [True, False])
async def test_an_app_signs_in_with_its_key_for_a_user(
    shop: SalesforceShop, tmp_path: Path, in_file: bool
) -> None:
    file = tmp_path / "key.pem"
    file.write_text(key_pair()[0], encoding="utf-8")
    key: dict[str, Any] = {"private_key_file": str(file)} if in_file else {"private_key": key_pair()[0]}
    shop.desk = shop.make(client_secret=None, user=USER, **key)

    assert isinstance(await shop.send(an_upsert()), Sent)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            400,
            {"error": "invalid_grant", "error_description": "user hasn't approved this consumer"},
            "invalid_grant",
        ),
        (400, {"error": "invalid_client_id"}, "invalid_client_id"),
        (401, {"error": "invalid_client"}, "invalid_client"),
        (400, {"error": "inactive_user"}, "inactive_user"),
        (403, "<html>", "answered 403"),
        (429, {"error": "login_rate_exceeded"}, "login_rate_exceeded"),
        (500, {"error": "server_error"}, "server_error"),
        (503, "<html>", "answered 503"),
        (200, {"access_token": "a\r\nb"}, "holds none"),
        (200, {"access_token": "abc"}, "instance_url is missing"),
        (200, {"access_token": "abc", "instance_url": "http://10.0.0.1"}, "instance_url"),
        (200, {"access_token": "abc", "instance_url": "https://evil.example/x?y"}, "more than a host"),
    ],
)
async def test_without_a_token_nothing_is_sent_and_it_is_asked_for_a_minute_later(
    shop: SalesforceShop, status: int, body: Any, said: str
) -> None:
    shop.salesforce.token_answers.append((status, body))

    first, second = await shop.send(an_upsert()), await shop.send(a_note())
    asked = shop.salesforce.tokens
    await shop.desk.clock.advance(timedelta(seconds=60))
    third = await shop.send(an_upsert())

    assert isinstance(first, Later)
    assert said in first.reason
    assert isinstance(second, Later)
    assert asked == 1
    assert isinstance(third, Sent)


async def test_the_wrong_secret_is_not_repeated_in_the_reason(shop: SalesforceShop) -> None:
    shop.desk = shop.make(client_secret="wrong-secret")

    told = await shop.send(an_upsert())

    assert told.reason == "no access token: answered 400, invalid_client: look at the connected app"


@pytest.mark.parametrize(
    ("message", "headers", "seconds"),
    [
        ("TotalRequests Limit exceeded.", {}, 4 * 3_600),
        ("TotalRequests Limit exceeded.", {"Retry-After": "900"}, 900),
        ("ConcurrentPerOrgLongTxn Limit exceeded.", {}, 30),
    ],
)
async def test_a_limit_holds_back_everything_until_it_is_over(
    shop: SalesforceShop, message: str, headers: dict[str, str], seconds: int
) -> None:
    shop.salesforce.fail_with("REQUEST_LIMIT_EXCEEDED", message=message, **headers)

    first = await shop.send(an_upsert())
    await shop.desk.clock.advance(timedelta(seconds=seconds - 1))
    second = await shop.send(a_note())
    asked = len(shop.salesforce.asked)
    await shop.desk.clock.advance(timedelta(seconds=1))
    third = await shop.send(an_upsert())

    assert isinstance(first, Later)
    assert first.after_us == seconds * 1_000_000
    assert isinstance(second, Later)
    assert asked == 1
    assert isinstance(third, Sent)


async def test_the_last_requests_of_a_day_are_left_to_others(shop: SalesforceShop) -> None:
    shop.desk = shop.make(leave_calls=500)
    shop.salesforce.usage = "14500/15000"

    taken, held = await shop.send(an_upsert()), await shop.send(a_note())
    await shop.desk.clock.advance(timedelta(hours=1))
    shop.salesforce.usage = "14/15000"

    assert isinstance(taken, Sent)
    assert isinstance(held, Later)
    assert "leave_calls keeps 500" in held.reason
    assert isinstance(await shop.send(a_note()), Sent)


async def test_notes_activities_and_tasks_stand_at_their_record(shop: SalesforceShop) -> None:
    early = await shop.send(a_note())
    await shop.send(an_upsert())
    for intent in (
        a_note(text="Deposited\n250"),
        a_call(),
        a_call("m", kind="meeting", minutes=30),
        a_call("e", kind="email"),
        a_task(due="51h", priority="high", record={"OwnerId": "005xx"}),
    ):
        assert isinstance(await shop.send(intent), Sent)

    own = shop.salesforce.numbers["Contact", "c-1"]
    assert isinstance(early, Later)
    assert early.reason == "there is no Contact with this Hub_Client_Id__c yet"
    (note, call, meeting, email, task) = shop.salesforce.added
    assert note == ("Note", {"ParentId": own, "Title": "Deposited", "Body": "Deposited\n250"})
    assert call[1]["CallDurationInSeconds"] == 300
    assert (call[0], call[1]["Status"], call[1]["TaskSubtype"]) == ("Task", "Completed", "Call")
    assert meeting == (
        "Event",
        {
            "WhoId": own,
            "Subject": "Welcome",
            "Description": None,
            "StartDateTime": "2026-06-23T08:30:00.000Z",
            "DurationInMinutes": 30,
        },
    )
    assert email[1]["TaskSubtype"] == "Email"
    assert task[1] == {
        "WhoId": own,
        "Subject": "Call Ann",
        "Description": "about her margin",
        "Status": "Not Started",
        "Priority": "High",
        "ActivityDate": "2026-06-25",
        "OwnerId": "005xx",
    }


async def test_a_yes_that_names_nothing_is_not_believed(shop: SalesforceShop) -> None:
    await shop.send(an_upsert())
    shop.salesforce.bare = True

    assert isinstance(await shop.send(a_note()), Unsure)


def test_a_key_that_cannot_sign_is_refused_at_the_start(shop: SalesforceShop) -> None:
    for key in ("no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"):
        with pytest.raises(ConfigError, match=r"crm.office: the private key"):
            shop.make(client_secret=None, user=USER, private_key=key)
