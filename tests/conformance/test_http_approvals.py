"""Approvals over HTTP: who may look, who may decide, and what a person hears at once."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from conformance.api_bench import ApiBench, an_api

from hub.clock import to_us
from hub.control.keys import Scope
from hub.engine.ballots import Ballot, Said, said_of
from hub.engine.rows import ApprovalRow
from hub.engine.run_rows import Vote
from hub.testing import MORNING

HASH = "ab" * 32
QUESTION = {
    "text": "Pay 5000?",
    "quorum": 2,
    "not_by": ["carl"],
    "actions": [{"step": "pay", "verb": "balance.withdraw", "params": {"amount": "5000.00"}}],
    "shown": {"client": {"password": "hunter2"}},
}


def a_question(name: str = "apr_1", **changes: Any) -> ApprovalRow:
    now = to_us(MORNING)
    row = ApprovalRow(
        0, name, "live-1:7001", "payouts", "payouts/live-1:7001/e/1", "sign_off", "Pay them", "live-1:7001",
        "money.approve", "open", now, now + 3_600_000_000, HASH, json.dumps(QUESTION).encode(),
        b'{"votes":[],"refused":[]}',
    )  # fmt: skip
    return row._replace(**changes)


def counted(row: ApprovalRow, ballot: Ballot, *, state: str = "approved", refused: str = "") -> ApprovalRow:
    said = said_of(row)
    vote = Vote(ballot.id, ballot.by, ballot.name, ballot.decision, row.at, ballot.comment, refused)
    votes = said.votes if refused else [*said.votes, vote]
    return row._replace(
        state=state, votes=msgspec.json.encode(Said(votes, [vote] if refused else said.refused))
    )


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        bench.shelves.asked["apr_1"] = a_question()
        bench.shelves.decided = counted
        yield bench


async def a_person(api: ApiBench, name: str, *, may: str = "money.approve", **more: Any) -> dict[str, str]:
    secret, _ = await api.keys.create(name, [], permissions=[may], **more)
    return {"Authorization": f"Bearer {secret}"}


async def decides(api: ApiBench, who: dict[str, str], **body: Any) -> tuple[int, Any]:
    body = {"decision": "approve", "hash": HASH} | body
    head = {"Content-Type": "application/json", **who}
    path = "/v1/approvals/apr_1/decision"
    status, answer, _ = await api.ask("POST", path, scope=None, headers=head, data=json.dumps(body))
    return status, answer


async def test_what_waits_for_a_person_is_listed_and_read(api: ApiBench) -> None:
    api.shelves.asked["apr_2"] = a_question("apr_2", state="approved", workflow="bonus")

    status, listed, _ = await api.ask("GET", "/v1/approvals", scope=Scope.READ)
    _, every, _ = await api.ask("GET", "/v1/approvals?state=any&limit=1", scope=Scope.READ)
    _, bonus, _ = await api.ask("GET", "/v1/approvals?state=approved&workflow=bonus")
    _, one, _ = await api.ask("GET", "/v1/approvals/apr_1", scope=Scope.READ)

    assert status == 200
    assert [item["id"] for item in listed["items"]] == ["apr_1"]
    assert "question" not in listed["items"][0]
    assert ([item["id"] for item in every["items"]], every["next"] is not None) == (["apr_1"], True)
    assert [item["id"] for item in bonus["items"]] == ["apr_2"]
    assert (one["hash"], one["state"], one["account"]) == (HASH, "open", "live-1:7001")
    assert one["question"]["actions"] == QUESTION["actions"]
    assert one["question"]["shown"] == {"client": {"password": "•••"}}
    assert (await api.ask("GET", "/v1/approvals/apr_9"))[0] == 404
    assert (await api.ask("GET", "/v1/approvals?state=lost"))[0] == 400


async def test_who_has_the_permission_decides_under_his_own_name(api: ApiBench) -> None:
    dora = await a_person(api, "dora")

    status, answer = await decides(api, dora, comment="seen")

    assert (status, answer["state"]) == (200, "approved")
    assert [(vote["name"], vote["comment"]) for vote in answer["votes"]] == [("dora", "seen")]
    (ballot,) = api.shelves.ballots
    assert (ballot.name, ballot.permission, ballot.hash) == ("dora", "money.approve", HASH)
    assert ballot.by.startswith("key_")


async def test_an_admin_may_decide_everything_and_others_what_they_have_the_permission_for(
    api: ApiBench,
) -> None:
    status, answer = await decides(api, await a_person(api, "mia", may="mail.approve"))
    assert (status, answer["type"]) == (403, "urn:hub:problem:permission-missing")
    assert (await decides(api, api.headers(Scope.APPROVALS_DECIDE)))[0] == 403
    assert (await decides(api, api.headers(Scope.READ)))[0] == 403
    assert api.shelves.ballots == []

    assert (await decides(api, api.headers(Scope.ADMIN)))[0] == 200


async def test_a_key_for_other_servers_does_not_decide(api: ApiBench) -> None:
    far = await a_person(api, "far", servers=["demo-1"])
    near = await a_person(api, "near", servers=["live-1"])

    assert (await decides(api, far))[0] == 403
    assert (await decides(api, near))[0] == 200
    api.shelves.asked["apr_1"] = a_question(account="")
    assert (await decides(api, near))[0] == 403


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"state": "approved"}, "decided"),
        ({"state": "withdrawn"}, "decided"),
        ({"due": to_us(MORNING)}, "not-counted"),
        ({"hash": "cd" * 32}, "not-counted"),
    ],
)
async def test_what_cannot_count_is_refused_at_once(
    api: ApiBench, changes: dict[str, Any], kind: str
) -> None:
    api.shelves.asked["apr_1"] = a_question(**changes)

    status, answer = await decides(api, await a_person(api, "dora"))

    assert (status, answer["type"]) == (409, f"urn:hub:problem:{kind}")
    assert api.shelves.ballots == []


async def test_four_eyes_is_heard_at_once(api: ApiBench) -> None:
    status, answer = await decides(api, await a_person(api, "Carl"))

    assert (status, answer["type"]) == (403, "urn:hub:problem:four-eyes")
    assert api.shelves.ballots == []


async def test_a_second_vote_of_one_person_is_refused_at_once(api: ApiBench) -> None:
    api.shelves.decided = lambda row, ballot: counted(row, ballot, state="open")
    dora = await a_person(api, "dora")

    assert (await decides(api, dora))[0] == 200
    status, answer = await decides(api, dora)

    assert (status, answer["detail"]) == (409, "dora has approved already: it takes somebody else")
    assert len(api.shelves.ballots) == 1
    assert (await decides(api, dora, decision="decline"))[0] == 200


async def test_what_the_engine_refuses_is_refused_here(api: ApiBench) -> None:
    dora = await a_person(api, "dora")
    api.shelves.decided = lambda row, ballot: counted(row, ballot, state="open", refused="four eyes: no")
    assert (await decides(api, dora))[1]["detail"] == "four eyes: no"

    api.shelves.decided = lambda row, _ballot: row._replace(state="expired")
    assert (await decides(api, dora))[1]["detail"] == "it is expired by now: this came too late"


async def test_what_nobody_has_looked_at_yet_is_accepted_and_no_more(api: ApiBench) -> None:
    api.shelves.decided = lambda row, _ballot: row

    status, answer = await decides(api, await a_person(api, "dora"))

    assert (status, answer["state"]) == (202, "open")


@pytest.mark.parametrize(
    "body",
    [
        {"hash": None},
        {"hash": "x"},
        {"decision": "maybe"},
        {"comment": "x" * 501},
        {"comment": "a\nb"},
        {"name": "emil"},
    ],
)
async def test_a_decision_that_is_not_one_is_refused(api: ApiBench, body: dict[str, Any]) -> None:
    assert (await decides(api, await a_person(api, "dora"), **body))[0] == 422
    assert api.shelves.ballots == []


async def test_to_decline_one_need_not_name_the_hash(api: ApiBench) -> None:
    api.shelves.decided = lambda row, ballot: counted(row, ballot, state="declined")

    status, answer = await decides(api, await a_person(api, "dora"), decision="decline", hash=None)

    assert (status, answer["state"]) == (200, "declined")


async def test_a_key_in_the_address_is_no_key(api: ApiBench) -> None:
    path = f"/v1/approvals/apr_1?key={api.secrets[Scope.ADMIN]}"

    assert (await api.ask("GET", path, scope=None))[0] == 401


async def test_a_key_that_expired_decides_nothing(api: ApiBench) -> None:
    dora = await a_person(api, "dora", expires_at=to_us(MORNING + timedelta(minutes=1)))
    await api.clock.advance(timedelta(minutes=2))

    assert (await decides(api, dora))[0] == 401
