"""Salesforce: signs apps in by secret or by key, keeps records by external id, and answers every error it knows."""

import itertools
import json
from base64 import urlsafe_b64decode
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

from aiohttp import web
from conformance.crm_bench import NOW, broken_off, served
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

CLIENT_ID, SECRET, USER, AUDIENCE = (
    "3MVG9app",
    "app-secret",
    "hub@broker.example",
    "https://login.salesforce.com",
)
FIELDS = {
    "Contact": {"Email", "FirstName", "Deposited__c", "VIP__c", "Since__c"},
    "Task": {
        "WhoId",
        "WhatId",
        "Subject",
        "Description",
        "Status",
        "Priority",
        "ActivityDate",
        "TaskSubtype",
        "CallDurationInSeconds",
        "OwnerId",
    },
    "Event": {"WhoId", "WhatId", "Subject", "Description", "StartDateTime", "DurationInMinutes"},
    "Note": {"ParentId", "Title", "Body"},
}
# What it may answer, by the code: the status.
ERRORS = {
    "INVALID_SESSION_ID": 401,
    "INVALID_AUTH_HEADER": 401,
    "REQUEST_LIMIT_EXCEEDED": 403,
    "API_DISABLED_FOR_ORG": 403,
    "API_CURRENTLY_DISABLED": 403,
    "FUNCTIONALITY_NOT_ENABLED": 403,
    "INSUFFICIENT_ACCESS": 403,
    "INSUFFICIENT_ACCESS_OR_READONLY": 400,
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": 403,
    "ORG_LOCKED": 403,
    "INACTIVE_ORG": 403,
    "STORAGE_LIMIT_EXCEEDED": 400,
    "TXN_SECURITY_RUNTIME_EXCEPTION": 400,
    "UNABLE_TO_LOCK_ROW": 400,
    "SERVER_UNAVAILABLE": 503,
    "DUPLICATE_EXTERNAL_ID": 400,
    "REQUIRED_FIELD_MISSING": 400,
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": 400,
    "FIELD_FILTER_VALIDATION_EXCEPTION": 400,
    "FIELD_INTEGRITY_EXCEPTION": 400,
    "INVALID_FIELD": 400,
    "INVALID_FIELD_FOR_INSERT_UPDATE": 400,
    "INVALID_EMAIL_ADDRESS": 400,
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": 400,
    "INVALID_CROSS_REFERENCE_KEY": 400,
    "INVALID_TYPE_ON_FIELD_IN_RECORD": 400,
    "STRING_TOO_LONG": 400,
    "NUMBER_OUTSIDE_VALID_RANGE": 400,
    "JSON_PARSER_ERROR": 400,
    "MALFORMED_ID": 400,
    "MISSING_ARGUMENT": 400,
    "DUPLICATES_DETECTED": 400,
    "DUPLICATE_VALUE": 400,
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": 400,
    "INACTIVE_OWNER_OR_USER": 400,
    "ENTITY_IS_DELETED": 404,
    "NOT_FOUND": 404,
    "INVALID_TYPE": 404,
    "METHOD_NOT_ALLOWED": 405,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "UNKNOWN_EXCEPTION": 500,
}


@lru_cache(maxsize=1)
def key_pair() -> tuple[str, rsa.RSAPublicKey]:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), key.public_key()


class FakeSalesforce:
    """`records` by object and external id, `added` what was added to them. `fails` are answers to the next that write.

    `breaks_off` drops those; with `takes_first` one that is dropped was taken all the same. `sessions` are the tokens
    that are good.
    """

    def __init__(self) -> None:
        self.url = ""
        self.records: dict[tuple[str, str], dict[str, Any]] = {}
        self.numbers: dict[tuple[str, str], str] = {}
        self.added: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[str] = []
        self.fails: deque[tuple[int, Any, dict[str, str]]] = deque()
        self.token_answers: deque[tuple[int, Any]] = deque()
        self.tokens = 0
        self.sessions: set[str] = set()
        self.breaks_off = False
        self.takes_first = False
        self.several = False
        self.bare = False
        self.usage = ""
        self.instance = ""
        self._next = itertools.count(1)

    def fail_with(
        self, code: str, *fields: str, message: str = "ann@example.com is no", **headers: str
    ) -> None:
        self.fails.append(
            (ERRORS[code], [{"message": message, "errorCode": code, "fields": [*fields]}], headers)
        )

    async def token(self, request: web.Request) -> web.Response:
        self.tokens += 1
        if self.token_answers:
            status, body = self.token_answers.popleft()
            return self._answer(status, body)
        form = {name: str(value) for name, value in (await request.post()).items()}
        if form["grant_type"] == "client_credentials":
            if (form["client_id"], form["client_secret"]) != (CLIENT_ID, SECRET):
                return self._answer(
                    400, {"error": "invalid_client", "error_description": "bad secret " + SECRET}
                )
        else:
            assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            _verify(form["assertion"])
        made = f"00Dxx!{self.tokens}"
        self.sessions = {made}
        body = {"access_token": made, "instance_url": self.instance or self.url, "token_type": "Bearer"}
        return self._answer(200, body | {"id": f"{self.url}/id/00D/005", "issued_at": "1", "signature": "x"})

    async def upsert(self, request: web.Request) -> web.Response:
        no = self._refused(request)
        if no is not None:
            return no
        of, known_by, own = (request.match_info[name] for name in ("object", "field", "id"))
        assert known_by == "Hub_Client_Id__c"
        body = await request.json()
        if wrong := sorted(body.keys() - FIELDS[of]):
            return self._answer(400, [{"message": "no", "errorCode": "INVALID_FIELD", "fields": wrong}])
        assert not isinstance(body.get("Deposited__c", 0), str)
        if self.several:
            return self._answer(300, [f"/services/data/v62.0/sobjects/{of}/003{n}" for n in (1, 2)])
        if self.breaks_off and not self.takes_first:
            return broken_off(request)
        place = of, own
        new = place not in self.records
        self.records.setdefault(place, {}).update(body)
        number = self.numbers.setdefault(place, f"003xx{next(self._next):010d}AAA")
        if self.breaks_off:
            return broken_off(request)
        if not new and self.bare:
            return self._answer(204, None)
        status = 201 if new else 200
        return self._answer(status, {"id": number, "success": True, "errors": [], "created": new})

    async def read(self, request: web.Request) -> web.Response:
        no = self._refused(request, writes=False)
        if no is not None:
            return no
        place = request.match_info["object"], request.match_info["id"]
        if self.several:
            return self._answer(300, ["a", "b"])
        if place not in self.records:
            return self._answer(
                404, [{"message": "Provided external ID does not exist", "errorCode": "NOT_FOUND"}]
            )
        return self._answer(200, {"attributes": {"type": place[0]}, "Id": self.numbers[place]})

    async def add(self, request: web.Request) -> web.Response:
        no = self._refused(request)
        if no is not None:
            return no
        of, body = request.match_info["object"], await request.json()
        assert not body.keys() - FIELDS[of]
        assert {body.get("WhoId"), body.get("WhatId"), body.get("ParentId")} & set(self.numbers.values())
        if self.breaks_off and not self.takes_first:
            return broken_off(request)
        self.added.append((of, body))
        if self.breaks_off:
            return broken_off(request)
        number = f"00Txx{next(self._next):010d}AAA"
        return self._answer(201, {} if self.bare else {"id": number, "success": True, "errors": []})

    def _refused(self, request: web.Request, *, writes: bool = True) -> web.Response | None:
        self.asked.append(f"{request.method} {request.path}")
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.sessions:
            why = {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
            return self._answer(401, [why])
        if self.fails and writes:
            return self._answer(*self.fails.popleft())
        return None

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> web.Response:
        more = {"Sforce-Limit-Info": f"api-usage={self.usage}"} if self.usage else {}
        if body is None:
            return web.Response(status=status, headers=more)
        if isinstance(body, str):
            return web.Response(status=status, text=body, content_type="text/html", headers=headers)
        text = json.dumps(body)
        return web.Response(
            status=status, text=text, content_type="application/json", headers={**more, **(headers or {})}
        )


def _verify(assertion: str) -> None:
    """Check the signature and the claims as Salesforce does."""
    head, claims, signature = assertion.split(".")
    key_pair()[1].verify(_plain(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), SHA256())
    assert json.loads(_plain(head)) == {"alg": "RS256", "typ": "JWT"}
    said = json.loads(_plain(claims))
    assert (said["iss"], said["sub"], said["aud"]) == (CLIENT_ID, USER, AUDIENCE)
    assert 0 < said["exp"] - NOW // 1_000_000 <= 180


def _plain(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@asynccontextmanager
async def a_salesforce() -> AsyncIterator[FakeSalesforce]:
    salesforce = FakeSalesforce()
    application = web.Application()
    base = "/services/data/v62.0/sobjects/{object}"
    application.router.add_post("/services/oauth2/token", salesforce.token)
    application.router.add_patch(base + "/{field}/{id}", salesforce.upsert)
    application.router.add_get(base + "/{field}/{id}", salesforce.read)
    application.router.add_post(base, salesforce.add)
    async with served(application) as url:
        salesforce.url = url
        yield salesforce
