"""Backtests: asked for, looked at while they run, read when they are done, taken back."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from hub import durations
from hub.api.backtest_ports import BacktestAsked, BacktestJob, BacktestsFull, JobState
from hub.api.bodies import answer, read_model
from hub.api.problems import Problem, not_found
from hub.api.routing import DEPS, PRINCIPAL, Route
from hub.clock import iso, to_us
from hub.control.keys import Principal, Scope

MOST_TEXT: Final = 256 * 1024
_PAGE_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class AskBacktest(BaseModel):
    """Which time is told to the workflow, and what is assumed. Without `draft` it is the live version that is told.

    `from` and `to` are times with their offset; `warm_up` is how long before `from` it is told events: 30d, all or none,
    and as long as it looks back where it is left out; `assume` is what people say who are asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Annotated[AwareDatetime | None, Field(alias="from", description="From this time on.")] = None
    until: Annotated[AwareDatetime | None, Field(alias="to", description="Up to this time, without it.")] = (
        None
    )
    warm_up: Annotated[
        str | None,
        StringConstraints(strict=True, max_length=32),
        Field(description="How long before `from` it is told events: a duration such as 30d, all, or none."),
    ] = None
    assume: Literal["approve", "deny"] | None = Field(
        None, description="What people say who are asked for an approval; else nobody answers."
    )
    draft: Annotated[
        str | None,
        StringConstraints(strict=True, min_length=1, max_length=MOST_TEXT),
        Field(
            description="The workflow's file as it would be: it is told beside the live version and compared."
        ),
    ] = None

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.warm_up not in {None, "all", "none"}:
            try:
                durations.duration(self.warm_up or "")
            except ValueError as error:
                raise ValueError(f"warm_up: {error}, or all, or none") from error
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("to is not after from: nothing lies between them")
        return self


async def ask_backtest(request: web.Request) -> web.Response:
    wanted = await read_model(request, AskBacktest)
    who, app, workflow = request[PRINCIPAL], request.app[DEPS], request.match_info["id"]
    _for_all_servers(who)
    if wanted.draft is None and all(each.id != workflow for each in await app.workflows.workflows()):
        raise not_found("workflow of that id")
    asked = BacktestAsked(
        workflow=workflow,
        by=who.name,
        text=wanted.draft or "",
        since=_told(wanted.since),
        until=_told(wanted.until),
        warm_up=wanted.warm_up or "",
        assume=wanted.assume or "",
    )
    try:
        job = app.backtests.ask(asked)
    except BacktestsFull:
        raise Problem(
            429, "too-many-backtests", "as many backtests wait as may", headers={"Retry-After": "30"}
        ) from None
    response = answer(job_json(job), 202)
    response.headers["Location"] = f"/v1/backtests/{job.id}"
    return response


async def list_backtests(request: web.Request) -> web.Response:
    _for_all_servers(request[PRINCIPAL])
    return answer({"items": [job_json(job) for job in request.app[DEPS].backtests.jobs()], "next": None})


async def get_backtest(request: web.Request) -> web.Response:
    job = _job(request)
    return answer(job_json(job) | {"result": msgspec.Raw(job.result) if job.result else None})


async def backtest_report(request: web.Request) -> web.Response:
    job = _job(request)
    if job.state is not JobState.DONE:
        raise Problem(409, "not-done", f"this backtest is {job.state}: its report is there once it is done")
    return web.Response(text=job.page, headers=_PAGE_HEADERS)


async def cancel_backtest(request: web.Request) -> web.Response:
    _job(request)
    request.app[DEPS].backtests.cancel(request.match_info["id"])
    return web.Response(status=204)


def job_json(job: BacktestJob) -> dict[str, Any]:
    asked = job.asked
    return {
        "id": job.id,
        "workflow": asked.workflow,
        "state": job.state.value,
        "by": asked.by,
        "at": iso(job.at),
        "ended_at": iso(job.ended_at) if job.ended_at is not None else None,
        "from": asked.since or None,
        "to": asked.until or None,
        "warm_up": asked.warm_up or None,
        "assume": asked.assume or None,
        "draft": bool(asked.text),
        "progress": {"share": job.share, "events": job.events},
        "reason": job.reason or None,
    }


def _job(request: web.Request) -> BacktestJob:
    _for_all_servers(request[PRINCIPAL])
    job = request.app[DEPS].backtests.job(request.match_info["id"])
    if job is None:
        raise Problem(
            404,
            "not-found",
            "there is no backtest of that id: each is kept for an hour, by the process that was asked",
        )
    return job


def _for_all_servers(who: Principal) -> None:
    if who.servers is not None:
        raise Problem(403, "other-server", "this key is for some servers, and a backtest tells of all")


def _told(moment: datetime | None) -> str:
    return iso(to_us(moment)) if moment is not None else ""


ROUTES = (
    Route(
        "POST",
        "/v1/workflows/{id}/backtest",
        ask_backtest,
        Scope.WORKFLOWS_BACKTEST,
        "Have recorded events told to a workflow, to see whom it would have touched",
        "workflows",
        body=AskBacktest,
        answers={
            202: "It waits for its turn or runs; look at it under its id.",
            403: "The key is for some servers alone.",
            404: "There is no such workflow, and no draft.",
            422: "Some fields are not right.",
            429: "As many wait as may: try again later.",
        },
    ),
    Route(
        "GET",
        "/v1/backtests",
        list_backtests,
        Scope.WORKFLOWS_BACKTEST,
        "List the backtests this process was asked for, the newest first",
        "workflows",
    ),
    Route(
        "GET",
        "/v1/backtests/{id}",
        get_backtest,
        Scope.WORKFLOWS_BACKTEST,
        "Read how far a backtest is, and what came of it",
        "workflows",
        answers={200: "As it stands; `result` once it is done.", 404: "There is none of that id."},
    ),
    Route(
        "GET",
        "/v1/backtests/{id}/report",
        backtest_report,
        Scope.WORKFLOWS_BACKTEST,
        "Read the report of a backtest as a page",
        "workflows",
        answers={200: "The page.", 404: "There is none of that id.", 409: "It is not done."},
        media="text/html",
    ),
    Route(
        "DELETE",
        "/v1/backtests/{id}",
        cancel_backtest,
        Scope.WORKFLOWS_BACKTEST,
        "Take a backtest back: end it while it waits or runs, forget it when it is over",
        "workflows",
        answers={204: "It is gone.", 404: "There is none of that id."},
    ),
)
