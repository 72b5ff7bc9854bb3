"""An endpoint's signing keys: a new one in the place of the old, and the public halves for whoever verifies."""

import asyncio
import base64
from datetime import timedelta
from typing import Annotated, final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from hub.api.bodies import answer, encoded, read_model
from hub.api.endpoint_models import endpoint_json
from hub.api.endpoints import check, found, invalid
from hub.api.problems import Problem, not_found
from hub.api.queries import Query
from hub.api.routing import DEPS, Route
from hub.clock import SECOND_US, Clock
from hub.control.keys import Scope
from hub.dispatch import keyring
from hub.dispatch.keyring import KeyKind, Keyring, RotationRefused, SigningKey, keyring_of
from hub.dispatch.outbox import Endpoint, Endpoints
from hub.dispatch.signing import SecretInvalid
from hub.dispatch.signing_v1a import parse_private
from hub.ingest.refusals import FieldError

_FRESH_US = 10 * SECOND_US


class Rotation(BaseModel):
    """The key that signed till now signs beside the new one for as long as `grace` says, in seconds; 0 ends all old ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: KeyKind | None = Field(None, description="v1 or v1a; as it is when left out.")
    grace: Annotated[
        float, Field(strict=True, ge=0, le=keyring.LONGEST_GRACE.total_seconds(), allow_inf_nan=False)
    ] = keyring.GRACE.total_seconds()
    secret: SecretStr | None = Field(
        None, max_length=256, description="A whsec_ secret of your own; the hub makes one when left out."
    )


async def rotate_secret(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    endpoint = await found(request)
    wanted = await read_model(request, Rotation)
    try:
        ring = keyring_of(endpoint.secret)
        new = _new(wanted, ring)
        now_us = app.clock.now_us()
        after = keyring.rotated(ring, new, now_us=now_us, grace=timedelta(seconds=wanted.grace))
    except SecretInvalid as problem:
        raise invalid([FieldError("secret", str(problem))]) from None
    except RotationRefused as problem:
        raise Problem(409, "too-many-keys", str(problem)) from None
    text = keyring.text_of(after)
    check(endpoint._replace(secret=text), app)
    if not await app.endpoints.replace_secret(endpoint.id, endpoint.secret, text):
        if await app.endpoints.get(endpoint.id) is None:
            raise not_found("endpoint of that id")
        raise Problem(409, "changed-meanwhile", "somebody else rotated it just now: look, and ask again")
    await app.endpoints_changed()
    return answer(endpoint_json(endpoint._replace(secret=text), now_us, secret=True))


def _new(wanted: Rotation, ring: Keyring) -> str:
    if wanted.secret is None:
        return keyring.generate(wanted.kind or ring.newest.kind)
    given = wanted.secret.get_secret_value()
    if wanted.kind == "v1a":
        raise SecretInvalid("a pair of keys is made by the hub alone: leave the secret out")
    keyring.signer_of(given)
    if not given.startswith("whsec_"):
        raise SecretInvalid("a secret of one's own begins with whsec_")
    if any(key.secret == given for key in ring.keys):
        raise SecretInvalid("this key is one of the endpoint's already")
    return given


@final
class PublicKeys:
    """The public halves of all live pairs as a JWK set, looked up at most every few seconds: anybody may ask."""

    def __init__(self, endpoints: Endpoints, clock: Clock) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._looked_us: int | None = None
        self._body = b""
        self._turn = asyncio.Lock()

    async def body(self) -> bytes:
        # However many ask at once, the store is asked by one of them, and nobody is shown a set that is not there yet.
        async with self._turn:
            now_us = self._clock.now_us()
            if self._looked_us is None or not 0 <= now_us - self._looked_us < _FRESH_US:
                known = await self._endpoints.all()
                pairs = {
                    key.id: key for endpoint in known for key in _live(endpoint, now_us) if key.kind == "v1a"
                }
                self._body = encoded({"keys": [_jwk(pairs[name]) for name in sorted(pairs)]})
                self._looked_us = now_us
            return self._body


def _live(endpoint: Endpoint, now_us: int) -> tuple[SigningKey, ...]:
    return keyring_of(endpoint.secret).live(now_us) if endpoint.secret else ()


def _jwk(key: SigningKey) -> dict[str, str]:
    public = parse_private(key.secret).public_bytes
    encoded_key = base64.urlsafe_b64encode(public).decode("ascii").rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "x": encoded_key, "kid": key.id, "use": "sig", "alg": "EdDSA"}


PUBLIC_KEYS = web.AppKey("public_keys", PublicKeys)


async def public_keys(request: web.Request) -> web.Response:
    Query(request)
    return web.Response(
        body=await request.app[PUBLIC_KEYS].body(),
        headers={"Content-Type": "application/jwk-set+json", "Cache-Control": "public, max-age=300"},
    )


ROUTES = (
    Route(
        "POST",
        "/v1/endpoints/{id}/secret/rotate",
        rotate_secret,
        Scope.ENDPOINTS_MANAGE,
        "Give an endpoint a new signing key; the answer holds its secret, this once",
        "endpoints",
        body=Rotation,
        answers={
            200: "The endpoint with its new secret, and until when the old keys sign.",
            404: "There is none of that id.",
            409: "Too many old keys still sign, or somebody else rotated it just now.",
            422: "Some fields are not right.",
        },
    ),
    Route(
        "GET",
        "/.well-known/jwks.json",
        public_keys,
        None,
        "The public keys of endpoints that sign with v1a, as a JWK set",
        "endpoints",
        media="application/jwk-set+json",
    ),
)
