"""The runs of all workflows, and open ones that go over to another version."""

from typing import Annotated, Any, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from hub.api.bodies import answer, read_model
from hub.api.ports import MovedRun
from hub.api.problems import Problem, not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, PAGED, PRINCIPAL, Route
from hub.api.unknown import no_workflow
from hub.api.workflows import run_json
from hub.control.keys import Scope

Name = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]*$")
]


class Migration(BaseModel):
    """Which open runs are to go over to the live version of their workflow: all of it, or one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: Name
    run: Name | None = None
    dry_run: Annotated[bool, Field(strict=True, description="Only say what would become of each.")] = False
    after: Annotated[Name | None, Field(description="`next` of the answer before.")] = None

    @model_validator(mode="after")
    def _one_or_all(self) -> Self:
        if self.run is not None and self.after is not None:
            raise PydanticCustomError("hub", "`run` or `after`: one run has no pages")
        return self


async def list_all_runs(request: web.Request) -> web.Response:
    query = Query(request, *PAGED, "workflow", "key", "state")
    page = await request.app[DEPS].workflows.runs(
        after=query.text("after"),
        limit=query.limit(),
        workflow=query.text("workflow"),
        key=query.text("key"),
        state=query.choice("state", "queued", "running", "done", "failed"),
    )
    return answer({"items": [run_json(run) for run in page.items], "next": page.next})


async def migrate_runs(request: web.Request) -> web.Response:
    app, who = request.app[DEPS], request[PRINCIPAL]
    given = await read_model(request, Migration)
    if who.servers is not None:
        raise Problem(403, "other-server", "this key is for some servers, and runs of all would go over")
    if given.run is not None:
        run = await app.workflows.run(given.run)
        if run is None or run.workflow != given.workflow:
            raise not_found("run of that id and workflow")
    elif all(each.id != given.workflow for each in await app.workflows.workflows()):
        raise await no_workflow(request, given.workflow)
    page = await app.runs.migrate(
        given.workflow, run=given.run or "", after=given.after or "", dry_run=given.dry_run, by=who.name
    )
    return answer({"items": [_moved_json(each) for each in page.items], "next": page.next})


def _moved_json(moved: MovedRun) -> dict[str, Any]:
    return {
        "run": moved.run,
        "key": moved.key,
        "version": moved.version,
        "live": moved.live or None,
        "state": moved.state,
        "reason": moved.reason or None,
        "left_out": list(moved.left_out),
    }


ROUTES = (
    Route(
        "GET",
        "/v1/runs",
        list_all_runs,
        Scope.READ,
        "List the runs of all workflows, the newest first",
        "workflows",
        parameters=(*PAGED, "workflow", "key", "state"),
    ),
    Route(
        "POST",
        "/v1/runs/migrate",
        migrate_runs,
        Scope.ADMIN,
        "Have open runs of older versions go over to the live version of their workflow",
        "workflows",
        body=Migration,
        answers={
            200: "What has become of each, or would: `moved`, `would move`, `stays` with the reason, or `ordered`: "
            "on disk and not decided yet. Runs of the live version are not among them.",
            404: "There is no such workflow or run.",
            422: "Some fields are not right.",
            503: "The store cannot be written now: nothing was ordered.",
        },
    ),
)
