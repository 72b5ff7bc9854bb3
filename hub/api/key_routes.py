"""API keys: who may do what."""

from typing import Annotated, Any, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from hub.api.bodies import answer, read_model
from hub.api.problems import Problem, not_found
from hub.api.routing import DEPS, PRINCIPAL, Route
from hub.clock import iso
from hub.control.keys import PERMISSION, ApiKey, NameTaken, Scope
from hub.events.base import Moment, ServerName
from hub.events.facts import us_of

Permission = Annotated[str, StringConstraints(strict=True, max_length=64, pattern=PERMISSION)]


class NewKey(BaseModel):
    """`name` says who it is for and is the source of the events posted with it; `servers` empty means any.

    `permissions` are what it may approve, such as money.approve; a key has scopes, permissions or both.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    scopes: Annotated[tuple[Scope, ...], Field(max_length=len(Scope))] = ()
    permissions: Annotated[tuple[Permission, ...], Field(max_length=64)] = ()
    servers: Annotated[tuple[ServerName, ...], Field(max_length=64)] = ()
    expires_at: Moment | None = None

    @model_validator(mode="after")
    def _is_for_something(self) -> Self:
        if not self.scopes and not self.permissions:
            raise PydanticCustomError(
                "hub", "a key needs `scopes` or `permissions`: without them it may nothing"
            )
        return self


def key_json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": [scope.value for scope in key.scopes],
        "permissions": key.permissions,
        "servers": key.servers,
        "created_at": iso(key.created_at),
        "expires_at": iso(key.expires_at) if key.expires_at is not None else None,
        "last_used": iso(key.last_used) if key.last_used is not None else None,
    }


async def create_key(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    wanted = await read_model(request, NewKey)
    expires_at = us_of(wanted.expires_at) if wanted.expires_at is not None else None
    if expires_at is not None and expires_at <= app.clock.now_us():
        raise Problem(422, "invalid", "expires_at lies in the past")
    try:
        secret, key = await app.keys.create(
            wanted.name,
            wanted.scopes,
            servers=wanted.servers,
            expires_at=expires_at,
            permissions=wanted.permissions,
        )
    except NameTaken as error:
        raise Problem(409, "name-taken", str(error)) from None
    return answer({**key_json(key), "key": secret}, 201)


async def list_keys(request: web.Request) -> web.Response:
    return answer({"items": [key_json(key) for key in request.app[DEPS].keys.all()], "next": None})


async def revoke_key(request: web.Request) -> web.Response:
    key_id = request.match_info["id"]
    if key_id == request[PRINCIPAL].id:
        raise Problem(409, "own-key", "a key cannot revoke itself: use another admin key")
    if not await request.app[DEPS].keys.revoke(key_id):
        raise not_found("key of that id")
    return web.Response(status=204)


ROUTES = (
    Route(
        "POST",
        "/v1/keys",
        create_key,
        Scope.ADMIN,
        "Make an API key; the answer holds it, this once",
        "keys",
        body=NewKey,
        answers={201: "The key.", 409: "There is a key of that name.", 422: "Some fields are not right."},
    ),
    Route("GET", "/v1/keys", list_keys, Scope.ADMIN, "List API keys, without their secrets", "keys"),
    Route(
        "DELETE",
        "/v1/keys/{id}",
        revoke_key,
        Scope.ADMIN,
        "Revoke an API key at once",
        "keys",
        answers={
            204: "Gone.",
            404: "There is none of that id.",
            409: "It is the key this request is made with.",
        },
    ),
)
