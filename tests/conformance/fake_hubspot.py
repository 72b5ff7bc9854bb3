"""HubSpot's records and timelines: checks the token, the shapes and its limits, and answers every error it knows."""

import itertools
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from conformance.crm_bench import broken_off, served

from hub.clock import Clock

TOKEN = "pat-eu1-secret-token"
CORRELATION = "aeb5f871-7f07-4993-9211-075dc63e7cbf"
PROPERTIES = {"hub_client_id", "email", "firstname", "last_deposit", "vip", "segments"}
TIES = {
    "notes": {"contacts": 202, "companies": 190},
    "tasks": {"contacts": 204, "companies": 192},
    "calls": {"contacts": 194, "companies": 182},
    "emails": {"contacts": 198, "companies": 186},
    "meetings": {"contacts": 200, "companies": 188},
}
NEEDED = {
    "notes": "hs_note_body",
    "tasks": "hs_task_subject",
    "calls": "hs_call_title",
    "emails": "hs_email_subject",
}


def an_error(category: str, message: str = "no", **more: Any) -> dict[str, Any]:
    return {"status": "error", "message": message, "correlationId": CORRELATION, "category": category} | more


def a_limit(policy: str) -> dict[str, Any]:
    return {
        "status": "error",
        "message": "You have reached a limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": CORRELATION,
        "policyName": policy,
        "requestId": "3d3e35b7-0dae-4b9f-a6e3-9c230cbcf8dd",
    }


# What it may answer, by name: the status and the body.
ERRORS: dict[str, tuple[int, dict[str, Any] | str]] = {
    "validation": (
        400,
        an_error(
            "VALIDATION_ERROR",
            'Property values were not valid: [{"isValid":false,"message":"Email address ann@example.com is invalid",'
            '"error":"INVALID_EMAIL","name":"email"}]',
        ),
    ),
    "no property": (
        400,
        an_error(
            "VALIDATION_ERROR",
            errors=[
                {"message": "no such", "code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": ["vip"]}}
            ],
        ),
    ),
    "bad token": (401, an_error("INVALID_AUTHENTICATION")),
    "expired token": (401, an_error("EXPIRED_AUTHENTICATION")),
    "no scope": (
        403,
        an_error(
            "MISSING_SCOPES",
            errors=[{"message": "x", "context": {"requiredGranularScopes": ["crm.objects.contacts.write"]}}],
        ),
    ),
    "not found": (404, an_error("OBJECT_NOT_FOUND")),
    "wrong method": (405, "<html>405</html>"),
    "timeout": (408, ""),
    "conflict": (409, an_error("CONFLICT", subCategory="OBJECT_ALREADY_EXISTS")),
    "too large": (413, ""),
    "address too long": (414, ""),
    "wrong type": (415, ""),
    "locked": (423, an_error("LOCKED")),
    "ten seconds": (429, a_limit("TEN_SECONDLY_ROLLING")),
    "a second": (429, a_limit("SECONDLY")),
    "day": (429, a_limit("DAILY")),
    "moving": (477, an_error("MIGRATION_IN_PROGRESS")),
    "internal": (500, an_error("INTERNAL_ERROR")),
    "bad gateway": (502, "<html>502</html>"),
    "unavailable": (503, "<html>503</html>"),
    "gateway timeout": (504, "<html>504</html>"),
    "edge unknown": (520, "<html>520</html>"),
    "edge down": (521, "<html>521</html>"),
    "edge timed out": (522, "<html>522</html>"),
    "edge unreachable": (523, "<html>523</html>"),
    "edge waited": (524, "<html>524</html>"),
    "edge no tls": (525, "<html>525</html>"),
    "edge bad certificate": (526, "<html>526</html>"),
    "redirect": (302, ""),
}


class FakeHubSpot:
    """`records` by kind and id, `added` what was added to them. `fails` are answers to the next requests that write.

    `breaks_off` drops those, `loses` those of a kind; with `takes_first` one that is dropped was taken all the same. With a `clock` it bears no
    more than 100 requests in ten seconds.
    """

    def __init__(self) -> None:
        self.url = ""
        self.records: dict[tuple[str, str], dict[str, str]] = {}
        self.numbers: dict[tuple[str, str], str] = {}
        self.added: list[tuple[str, dict[str, Any]]] = []
        self.batches: list[int] = []
        self.asked: list[str] = []
        self.fails: deque[tuple[int, dict[str, Any] | str, dict[str, str]]] = deque()
        self.breaks_off = False
        self.loses = ""
        self.takes_first = False
        self.bare = False  # answers a yes that says nothing
        self.clock: Clock | None = None
        self.too_many = 0
        self._times: deque[int] = deque()
        self._next = itertools.count(151)

    def fail_with(self, name: str, **headers: str) -> None:
        status, body = ERRORS[name]
        self.fails.append((status, body, headers))

    def refused(self, request: web.Request, *, writes: bool = True) -> web.Response | None:
        self.asked.append(f"{request.method} {request.path}")
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _answer(401, an_error("INVALID_AUTHENTICATION"))
        if self._over():
            self.too_many += 1
            return _answer(429, a_limit("TEN_SECONDLY_ROLLING"))
        if self.fails and writes:
            return _answer(*self.fails.popleft())
        return None

    def _over(self) -> bool:
        if self.clock is None:
            return False
        now = self.clock.now_us()
        while self._times and self._times[0] <= now - 10_000_000:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) > 100

    async def upsert(self, request: web.Request) -> web.Response:
        no = self.refused(request)
        if no is not None:
            return no
        kind, inputs = request.match_info["kind"], (await request.json())["inputs"]
        self.batches.append(len(inputs))
        ids = [each["id"] for each in inputs]
        if len(ids) > 100 or len(set(ids)) < len(ids):
            return _answer(400, an_error("VALIDATION_ERROR", "too many, or the same twice"))
        for each in inputs:
            if unknown := sorted(each["properties"].keys() - PROPERTIES):
                why = [
                    {"message": "x", "code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": unknown}}
                ]
                return _answer(400, an_error("VALIDATION_ERROR", errors=why))
            assert each["idProperty"] == "hub_client_id"
            assert all(isinstance(value, str) for value in each["properties"].values())
        if self.breaks_off:
            if self.takes_first:
                self._write(kind, inputs)
            return broken_off(request)
        results = self._write(kind, inputs)
        return _answer(200, {} if self.bare else {"status": "COMPLETE", "results": results})

    def _write(self, kind: str, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        results = []
        for each in inputs:
            place = kind, each["id"]
            new = place not in self.records
            self.records.setdefault(place, {}).update(each["properties"])
            own = self.numbers.setdefault(place, str(next(self._next)))
            told = {"id": own, "properties": self.records[place], "new": new, "archived": False}
            results.append(told | {"objectWriteTraceId": each.get("objectWriteTraceId")})
        return results[::-1]  # in no order it would promise

    async def read(self, request: web.Request) -> web.Response:
        no = self.refused(request, writes=False)
        if no is not None:
            return no
        place = request.match_info["kind"], request.match_info["id"]
        assert request.query["idProperty"] == "hub_client_id"
        if place not in self.records:
            return _answer(404, an_error("OBJECT_NOT_FOUND"))
        return _answer(200, {"id": self.numbers[place], "properties": self.records[place]})

    async def add(self, request: web.Request) -> web.Response:
        no = self.refused(request)
        if no is not None:
            return no
        kind, body = request.match_info["kind"], await request.json()
        properties = body["properties"]
        assert "hs_timestamp" in properties
        assert properties.get(NEEDED.get(kind, "hs_meeting_title"))
        ((to, (tie,)),) = ((each["to"]["id"], each["types"]) for each in body["associations"])
        (of,) = (place[0] for place, number in self.numbers.items() if number == to)
        assert tie == {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": TIES[kind][of]}
        lost = self.breaks_off or self.loses == kind
        if lost and not self.takes_first:
            return broken_off(request)
        self.added.append((kind, properties))
        if lost:
            return broken_off(request)
        return _answer(201, {} if self.bare else {"id": str(next(self._next)), "properties": properties})


def _answer(status: int, body: dict[str, Any] | str, headers: dict[str, str] | None = None) -> web.Response:
    if isinstance(body, str):
        return web.Response(status=status, text=body, content_type="text/html", headers=headers)
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/json", headers=headers
    )


@asynccontextmanager
async def a_hubspot() -> AsyncIterator[FakeHubSpot]:
    hubspot = FakeHubSpot()
    application = web.Application()
    application.router.add_post("/crm/v3/objects/{kind}/batch/upsert", hubspot.upsert)
    application.router.add_get("/crm/v3/objects/{kind}/{id}", hubspot.read)
    application.router.add_post("/crm/v3/objects/{kind}", hubspot.add)
    async with served(application) as url:
        hubspot.url = url
        yield hubspot
