"""The kill switch, and workflows that were stopped by their breakers."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StringConstraints

from hub.api.bodies import answer, read_model
from hub.api.problems import Problem
from hub.api.routing import DEPS, PRINCIPAL, Route
from hub.clock import iso
from hub.control.control import Control, NotSwitched
from hub.control.keys import Scope
from hub.control.switches import Switched


class Because(BaseModel):
    """Why, for whoever asks later; who and when is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    because: Annotated[
        str, StringConstraints(strict=True, min_length=1, max_length=1_000, pattern=r"^[^\x00-\x1f\x7f]+$")
    ]


async def read_halt(request: web.Request) -> web.Response:
    control = request.app[DEPS].control
    await control.look()
    return answer(_state(control))


async def halt(request: web.Request) -> web.Response:
    said = await read_model(request, Because)
    control = request.app[DEPS].control
    await control.halt(_who(request), said.because)
    return answer(_state(control))


async def resume(request: web.Request) -> web.Response:
    said = await read_model(request, Because)
    control = request.app[DEPS].control
    try:
        await control.resume(_who(request), said.because)
    except NotSwitched as problem:
        raise Problem(409, "not-halted", str(problem)) from problem
    return answer(_state(control))


async def reset_workflow(request: web.Request) -> web.Response:
    said = await read_model(request, Because)
    control = request.app[DEPS].control
    try:
        await control.reset(request.match_info["id"], _who(request), said.because)
    except NotSwitched as problem:
        raise Problem(409, "not-tripped", str(problem)) from problem
    return answer(_state(control))


def _who(request: web.Request) -> str:
    asks = request[PRINCIPAL]
    return f"{asks.id} ({asks.name})"


def _state(control: Control) -> dict[str, Any]:
    halted, resumed, tripped = control.stands
    return {
        "halted": _said(halted),
        "resumed": _said(resumed),
        "tripped": [{"workflow": name, **(_said(stop) or {})} for name, stop in tripped.items()],
    }


def _said(switched: Switched | None) -> dict[str, Any] | None:
    if switched is None:
        return None
    return {"at": iso(switched.at), "by": switched.by, "because": switched.because}


ROUTES = (
    Route("GET", "/v1/halt", read_halt, Scope.READ, "See what is halted or stopped", "operation"),
    Route(
        "POST",
        "/v1/halt",
        halt,
        Scope.OPERATE,
        "Let no manager action leave",
        "operation",
        body=Because,
        answers={200: "Nothing leaves any more; halted before, it stays as it was said first."},
    ),
    Route(
        "POST",
        "/v1/resume",
        resume,
        Scope.OPERATE,
        "Let manager actions go again",
        "operation",
        body=Because,
        answers={200: "They go again.", 409: "Nothing was halted."},
    ),
    Route(
        "POST",
        "/v1/workflows/{id}/reset",
        reset_workflow,
        Scope.OPERATE,
        "Let a workflow go on that its breaker stopped",
        "workflows",
        body=Because,
        answers={200: "It goes on, as its file says.", 409: "Its breaker has not tripped."},
    ),
)
