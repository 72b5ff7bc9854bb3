"""Workflows, why they fired or did not, and their runs."""

from typing import Any

from aiohttp import web

from hub.api.bodies import answer
from hub.api.ports import Reason
from hub.api.problems import Problem, not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, Route
from hub.api.stored import stored_json
from hub.api.unknown import no_workflow
from hub.clock import iso
from hub.control.keys import Scope
from hub.engine.keys import problem
from hub.engine.problems import quoted
from hub.engine.rows import RunRow
from hub.ids import from_id


async def list_workflows(request: web.Request) -> web.Response:
    view = request.app[DEPS].workflows
    found = await view.workflows()
    problems = [{"severity": each.severity.value, "text": str(each)} for each in view.file_problems()]
    return answer({"items": [workflow._asdict() for workflow in found], "problems": problems, "next": None})


async def why(request: web.Request) -> web.Response:
    query = Query(request, "key", "event", "at")
    key = query.text("key")
    if not key:
        raise Problem(400, "bad-query", 'key: say whose, for example "live-1:7001"')
    event, at = query.text("event"), query.moment("at")
    if event and at is not None:
        raise Problem(400, "bad-query", "event, at: ask of one of them")
    if (wrong := problem(key)) is not None:
        raise Problem(400, "bad-query", f"key: {wrong}")
    if event and from_id("evt", event) is None:
        fix = "they are evt_ and 26 small letters and digits"
        raise Problem(400, "bad-query", f"event: {quoted(event)} is no event's id: {fix}")
    name = request.match_info["id"]
    found = await request.app[DEPS].workflows.why(name, key, event=event, at=at)
    if found is None:
        raise await no_workflow(request, name)
    return answer(
        {
            "workflow": found.workflow,
            "key": found.key,
            "decided": [reason_json(reason) for reason in found.decided],
            "now": [reason_json(reason) for reason in found.now],
            "then": [reason_json(reason) for reason in found.then],
            "note": found.note,
        }
    )


async def list_runs(request: web.Request) -> web.Response:
    query = Query(request, *PAGED, "key", "state")
    page = await request.app[DEPS].workflows.runs(
        after=query.text("after"),
        limit=query.limit(),
        workflow=request.match_info.get("id", ""),
        key=query.text("key"),
        state=query.choice("state", "queued", "running", "done", "failed"),
    )
    return answer({"items": [run_json(run) for run in page.items], "next": page.next})


async def get_run(request: web.Request) -> web.Response:
    run = await request.app[DEPS].workflows.run(request.match_info["id"])
    if run is None:
        raise not_found("run of that id")
    return answer({**run_json(run), "detail": stored_json(run.body)})


def run_json(run: RunRow) -> dict[str, Any]:
    return {
        "id": run.id,
        "workflow": run.workflow,
        "version": run.version,
        "key": run.key,
        "state": run.state,
        "at": iso(run.at),
    }


def reason_json(reason: Reason) -> dict[str, Any]:
    return {
        "outcome": reason.outcome,
        "text": reason.text,
        "at": iso(reason.at) if reason.at is not None else None,
        "event": reason.event or None,
        "remains": list(reason.remains),
        "share": reason.share,
    }


ROUTES = (
    Route(
        "GET", "/v1/workflows", list_workflows, Scope.READ, "List the workflows that are loaded", "workflows"
    ),
    Route(
        "GET",
        "/v1/workflows/{id}/why",
        why,
        Scope.READ,
        "Tell why a workflow fired for a key, or did not",
        "workflows",
        parameters=("key", "event", "at"),
        answers={
            200: "Stored decisions, and how its conditions stand now, or stood with that event or at that time.",
            404: "There is no such workflow.",
        },
    ),
    Route(
        "GET",
        "/v1/workflows/{id}/runs",
        list_runs,
        Scope.READ,
        "List a workflow's runs, the newest first",
        "workflows",
        parameters=(*PAGED, "key", "state"),
    ),
    Route(
        "GET",
        "/v1/runs/{id:.+}",
        get_run,
        Scope.READ,
        "Read one run",
        "workflows",
        answers={200: "The run.", 404: "There is none of that id."},
    ),
)
