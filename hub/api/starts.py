"""Runs that people start."""

import secrets
from decimal import Decimal
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from hub.api.bodies import answer, read_model
from hub.api.problems import Problem, not_found
from hub.api.routing import DEPS, PRINCIPAL, Route
from hub.control.keys import Principal, Scope
from hub.engine.fields import as_text
from hub.engine.keys import KeyKind, kind_of
from hub.engine.starting import StartRefused
from hub.ingest.refusals import FieldError

HEADER = "Idempotency-Key"


def _text(value: object) -> object:
    if not isinstance(value, str | bool | int | Decimal):
        raise ValueError("it is a number, a text, true or false")  # noqa: TRY004 (pydantic takes this one)
    return as_text(value)


Given = Annotated[
    str,
    BeforeValidator(_text),
    StringConstraints(max_length=2_000),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
Once = Annotated[str, StringConstraints(strict=True, pattern=r"^[\x21-\x7e]{1,128}$")]


class StartRun(BaseModel):
    """`key` says for whom, as in live-1:7001; `inputs` are what the workflow's manual trigger asks for.

    The same `idempotency_key`, or header Idempotency-Key, is the same run for 35 days.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)]
    trigger: Annotated[str, StringConstraints(strict=True, max_length=64)] | None = None
    inputs: Annotated[dict[str, Given], Field(max_length=32)] = {}
    idempotency_key: Once | None = None


async def start_run(request: web.Request) -> web.Response:
    wanted = await read_model(request, StartRun)
    asks = request[PRINCIPAL]
    _may_act_on(asks, wanted.key)
    try:
        asked = await request.app[DEPS].starts.start(
            request.match_info["id"],
            wanted.key,
            trigger=wanted.trigger,
            inputs=wanted.inputs,
            name=_once(request, wanted.idempotency_key),
            by=f"{asks.id} ({asks.name})",
            permits=asks.may_approve,
        )
    except StartRefused as problem:
        raise _refused(problem) from problem
    if asked is None:
        raise not_found("workflow of that id")
    return answer({"run": asked.run, "duplicate": asked.duplicate}, 202)


def _once(request: web.Request, given: str | None) -> str:
    header = request.headers.get(HEADER)
    if header is not None and not (0 < len(header) <= 128 and header.isascii() and header.isprintable()):
        raise _invalid("Idempotency-Key", "it is 1 to 128 printable signs of ASCII")
    if header is not None and given is not None and header != given:
        raise _invalid("idempotency_key", f"the header {HEADER} says something else: send one of them")
    # Without one every request is its own.
    return header or given or secrets.token_hex(16)


def _may_act_on(asks: Principal, key: str) -> None:
    """Refuse what lies on other servers than the key is for; a client or everything lies on all of them."""
    if asks.servers is None:
        return
    kind = kind_of(key)
    named = key if kind is KeyKind.ACCOUNT else key.partition("=")[2]
    server = named.rpartition(":")[0] if kind is KeyKind.ACCOUNT else named.partition(":")[0]
    everywhere = not isinstance(kind, KeyKind) or kind in {KeyKind.CLIENT, KeyKind.ALL}
    if everywhere or server not in asks.servers:
        servers = ", ".join(sorted(asks.servers))
        raise Problem(403, "server-missing", f"this key is for {servers} alone, and {key} is not")


def _refused(problem: StartRefused) -> Problem:
    error = FieldError(problem.field, problem.reason, problem.fix)
    if problem.field == "permission":
        return Problem(403, "permission-missing", str(problem))
    if problem.field == "idempotency_key":
        return Problem(409, "idempotency-key-reused", str(problem), errors=[error])
    return Problem(422, "invalid", "the run cannot be started like this", errors=[error])


def _invalid(field: str, reason: str) -> Problem:
    return Problem(422, "invalid", f"{field}: {reason}", errors=[FieldError(field, reason)])


ROUTES = (
    Route(
        "POST",
        "/v1/workflows/{id}/start",
        start_run,
        Scope.WORKFLOWS_START,
        "Start a run by hand",
        "workflows",
        body=StartRun,
        answers={
            202: "It is in the log; the run begins under this id if nothing holds it back.",
            403: "The key may not start it.",
            404: "There is no such workflow.",
            409: "The idempotency key was used with other inputs.",
            422: "The trigger, the key or an input is not right.",
        },
    ),
)
