"""Errors as RFC 9457 problem details: what went wrong, where, and what to do about it."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from aiohttp import web

from hub.ingest.refusals import FieldError

_HEADERS = {"Content-Type": "application/problem+json"}
_encode = msgspec.json.Encoder().encode


class ProblemBody(msgspec.Struct, omit_defaults=True):
    """`type` names the kind of problem and never changes; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: Sequence[FieldError] = ()


class Problem(Exception):
    """Answered instead of a result."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {kind}: {detail}")
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers

    def response(self) -> web.Response:
        body = ProblemBody(
            type=f"urn:hub:problem:{self.kind}",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            errors=self.errors,
        )
        return web.Response(
            body=_encode(body), status=self.status, headers={**_HEADERS, **(self.headers or {})}
        )


def not_found(what: str) -> Problem:
    return Problem(404, "not-found", f"there is no {what}")


def unauthorized() -> Problem:
    return Problem(
        401,
        "no-key",
        "send a valid API key as `Authorization: Bearer hub_…` or `X-API-Key: hub_…`",
        headers={"WWW-Authenticate": 'Bearer realm="hub"'},
    )


def forbidden(scope: str) -> Problem:
    return Problem(403, "scope-missing", f"this key lacks the scope {scope}")


def unavailable(detail: str, retry_after: int) -> Problem:
    return Problem(503, "unavailable", detail, headers={"Retry-After": str(max(retry_after, 1))})


def internal(request_id: str) -> Problem:
    return Problem(500, "internal", f"the hub failed; its log says why under {request_id}")
