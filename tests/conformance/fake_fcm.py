"""Firebase Cloud Messaging and Google's token endpoint: checks signatures and shapes, and answers every error code."""

import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

PROJECT = "broker-app"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD = "type.googleapis.com/google.rpc.BadRequest"


@lru_cache(maxsize=1)
def key_pair() -> tuple[str, bytes]:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def an_error(status: int, name: str, code: str = "", field: str = "") -> tuple[int, dict[str, Any]]:
    details: list[dict[str, Any]] = [{"@type": _ERROR, "errorCode": code}] if code else []
    if field:
        violations = [{"field": field, "description": "Invalid registration token"}]
        details.append({"@type": _BAD, "fieldViolations": violations})
    return status, {"error": {"code": status, "message": "no", "status": name, "details": details}}


ERRORS: dict[str, tuple[int, dict[str, Any] | str]] = {
    "bad token": an_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "message.token"),
    "bad message": an_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "message.data"),
    "unregistered": an_error(404, "NOT_FOUND", "UNREGISTERED"),
    "no project": an_error(404, "NOT_FOUND"),
    "other sender": an_error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    "no permission": an_error(403, "PERMISSION_DENIED"),
    "apns": an_error(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
    "token refused": an_error(401, "UNAUTHENTICATED"),
    "quota": an_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    "internal": an_error(500, "INTERNAL", "INTERNAL"),
    "unavailable": an_error(503, "UNAVAILABLE", "UNAVAILABLE"),
    "bad gateway": (502, "<html><title>502</title></html>"),
}


class FakeFcm:
    """`shown` are the messages each token has, by their tag: one with the same tag takes the place of the one before.

    `says` answers a token's next messages with errors, by name; `everybody` those of all tokens.
    """

    def __init__(self) -> None:
        self.url = ""
        self.sent: list[dict[str, Any]] = []
        self.shown: dict[str, dict[str, dict[str, Any]]] = {}
        self.says: dict[str, list[str]] = {}
        self.everybody: list[str] = []
        self.headers: dict[str, str] = {}
        self.tokens = 0
        self.token_answers: list[web.Response] = []
        self.valid: set[str] = set()
        self.asked: Counter[str] = Counter()
        self._names = itertools.count(1)

    def account(self) -> str:
        """Return the service account's file."""
        return json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "k1",
                "private_key": key_pair()[0],
                "client_email": f"push@{PROJECT}.iam.gserviceaccount.com",
                "token_uri": f"{self.url}/token",
            }
        )

    async def token(self, request: web.Request) -> web.Response:
        self.tokens += 1
        if self.token_answers:
            return self.token_answers.pop(0)
        form = await request.post()
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        # The moments are those of a clock of the test's, so they are held against one another alone.
        claims = jwt.decode(str(form["assertion"]), verify=False)
        unsigned, _, _ = str(form["assertion"]).rpartition(".")
        assert unsigned
        _verify(str(form["assertion"]))
        assert claims["scope"] == SCOPE
        assert claims["aud"] == f"{self.url}/token"
        assert claims["exp"] - claims["iat"] <= 3_600
        made = f"ya29.{self.tokens}"
        self.valid = {made}
        return web.json_response({"access_token": made, "expires_in": 3_599, "token_type": "Bearer"})

    async def send(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert len(body) <= 4_096
        message = json.loads(body)["message"]
        token = message["token"]
        self.asked[token] += 1
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.valid:
            return self._error("token refused")
        if self.everybody:
            return self._error(self.everybody.pop(0))
        if self.says.get(token):
            return self._error(self.says[token].pop(0))
        assert all(isinstance(value, str) for value in message.get("data", {}).values())
        self.sent.append(message)
        self.shown.setdefault(token, {})[_tag(message)] = message
        return web.json_response({"name": f"projects/{PROJECT}/messages/0:{next(self._names)}"})

    def _error(self, name: str) -> web.Response:
        status, body = ERRORS[name]
        if isinstance(body, str):
            return web.Response(status=status, text=body, content_type="text/html", headers=self.headers)
        return web.json_response(body, status=status, headers=self.headers)


def _verify(assertion: str) -> None:
    """Check the signature as Google does, whatever time the assertion says it is."""
    from google.auth import _helpers, crypt

    signed, _, given = assertion.rpartition(".")
    verifier = crypt.RSAVerifier.from_string(key_pair()[1])
    assert verifier.verify(signed.encode(), _helpers.padded_urlsafe_b64decode(given))


def _tag(message: dict[str, Any]) -> str:
    if "android" in message:
        return message["android"]["notification"]["tag"]
    if "apns" in message:
        return message["apns"]["headers"]["apns-collapse-id"]
    return message["webpush"]["notification"]["tag"]


@asynccontextmanager
async def an_fcm() -> AsyncIterator[FakeFcm]:
    fcm = FakeFcm()
    application = web.Application()
    application.router.add_post("/token", fcm.token)
    for project in (PROJECT, "other-app"):
        application.router.add_post(f"/v1/projects/{project}/messages:send", fcm.send)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fcm.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fcm
    finally:
        await runner.cleanup()
