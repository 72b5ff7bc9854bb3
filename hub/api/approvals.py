"""What runs ask people: looked at, and decided."""

import secrets
from typing import Annotated, Any, Literal, Self

import msgspec
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from hub.api.bodies import answer, read_model
from hub.api.problems import Problem, not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, PRINCIPAL, Route
from hub.api.stored import redacted, stored_json
from hub.clock import iso
from hub.control.keys import Principal, Scope
from hub.engine.ballots import MAX_COMMENT, Ballot, is_barred, refusal, rules_of_row, said_of
from hub.engine.rows import ApprovalFilter, ApprovalRow
from hub.engine.run_rows import Vote

STATES = ("open", "approved", "declined", "expired", "withdrawn")
ANY = "any"


class Decision(BaseModel):
    """`hash` is that of the approval as it was looked at; who approves sends it, so that nothing else is approved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: Literal["approve", "decline"]
    hash: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")] | None = None
    comment: Annotated[
        str, StringConstraints(strict=True, pattern=r"^[^\x00-\x1f\x7f]*$"), Field(max_length=MAX_COMMENT)
    ] = ""

    @model_validator(mode="after")
    def _looked_at(self) -> Self:
        if self.decision == "approve" and self.hash is None:
            raise PydanticCustomError(
                "hub", "`hash` is missing: approve what you have looked at, by its hash"
            )
        return self


def approval_json(row: ApprovalRow) -> dict[str, Any]:
    said = said_of(row)
    return {
        "id": row.id,
        "state": row.state,
        "title": row.title,
        "workflow": row.workflow,
        "run": row.run,
        "step": row.step,
        "key": row.key,
        "account": row.account or None,
        "permission": row.permission,
        "at": iso(row.at),
        "due": iso(row.due),
        "hash": row.hash,
        "votes": [_vote_json(vote) for vote in said.votes],
        "refused": [_vote_json(vote) for vote in said.refused],
    }


def _vote_json(vote: Vote) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(vote)
    return redacted({**told, "at": iso(vote.at)})  # type: ignore[no-any-return]  # a mapping stays one


def whole_json(row: ApprovalRow) -> dict[str, Any]:
    return {**approval_json(row), "question": stored_json(row.shown)}


async def list_approvals(request: web.Request) -> web.Response:
    query = Query(request, *PAGED, "state", "account", "workflow", "permission")
    state = query.choice("state", *STATES, ANY) or "open"
    page = await request.app[DEPS].approvals.approvals(
        after=query.text("after"),
        limit=query.limit(),
        wanted=ApprovalFilter(
            state="" if state == ANY else state,
            account=query.account(),
            workflow=query.text("workflow"),
            permission=query.text("permission"),
        ),
    )
    return answer({"items": [approval_json(row) for row in page.items], "next": page.next})


async def get_approval(request: web.Request) -> web.Response:
    return answer(whole_json(await _asked(request)))


async def decide_approval(request: web.Request) -> web.Response:
    """Judge what can be judged here, so that a person hears it at once; what counts is what the engine decides."""
    app, who = request.app[DEPS], request[PRINCIPAL]
    given = await read_model(request, Decision)
    row = await _asked(request)
    _may_decide(who, row)
    ballot = Ballot(
        id=f"bal_{secrets.token_hex(8)}",
        approval=row.id,
        workflow=row.workflow,
        run=row.run,
        decision=given.decision,
        by=who.id,
        name=who.name,
        permission=row.permission,
        hash=given.hash or "",
        comment=given.comment,
    )
    rules = rules_of_row(row)
    if is_barred(ballot, rules.barred):
        raise Problem(403, "four-eyes", f"{who.name} may not decide this: it takes somebody else")
    if row.state != "open":
        raise Problem(409, "decided", f"it is {row.state}: nobody decides it any more")
    if problem := refusal(ballot, rules, app.clock.now_us()):
        raise Problem(409, "not-counted", problem)
    row = await app.approvals.decide(row, ballot)
    said = said_of(row)
    if any(vote.ballot == ballot.id for vote in said.votes):
        return answer(whole_json(row))
    for vote in said.refused:
        if vote.ballot == ballot.id:
            raise Problem(409, "not-counted", vote.refused)
    if row.state != "open":
        raise Problem(409, "decided", f"it is {row.state} by now: this came too late")
    return answer(whole_json(row), 202)


async def _asked(request: web.Request) -> ApprovalRow:
    row = await request.app[DEPS].approvals.approval(request.match_info["id"])
    if row is None:
        raise not_found("approval of that id")
    return row


def _may_decide(who: Principal, row: ApprovalRow) -> None:
    if not who.may_approve(row.permission):
        raise Problem(
            403,
            "permission-missing",
            f"this key lacks the permission {row.permission}: an admin gives it to a new key",
        )
    if who.servers is not None and row.account.rpartition(":")[0] not in who.servers:
        raise Problem(403, "other-server", "this key is for other servers than this is about")


ROUTES = (
    Route(
        "GET",
        "/v1/approvals",
        list_approvals,
        Scope.APPROVALS_READ,
        "List what waits for a person, the newest first",
        "approvals",
        parameters=(*PAGED, "state", "account", "workflow", "permission"),
    ),
    Route(
        "GET",
        "/v1/approvals/{id}",
        get_approval,
        Scope.APPROVALS_READ,
        "Read what a person is asked, with the hash of it",
        "approvals",
        answers={200: "The approval.", 404: "There is none of that id."},
    ),
    Route(
        "POST",
        "/v1/approvals/{id}/decision",
        decide_approval,
        Scope.APPROVALS_DECIDE,
        "Approve it or decline it",
        "approvals",
        body=Decision,
        answers={
            200: "Your decision counts; the approval as it stands.",
            202: "Your decision is on disk and not looked at yet: read the approval again.",
            404: "There is none of that id.",
            409: "Your decision does not count, and why: it is over, it is another than you looked at, you have decided already.",
            422: "Some fields are not right.",
            503: "The store cannot be written now: nothing was decided.",
        },
    ),
)
