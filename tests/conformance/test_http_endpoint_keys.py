"""Rotation over the interface, and the public keys anybody may read."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api
from conformance.endpoint_requests import NEW, made, send

from hub.dispatch.keyring import generate, keyring_of


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        yield bench


async def rotate(api: ApiBench, endpoint: Any, **body: Any) -> tuple[int, Any]:
    return await send(api, "POST", f"/v1/endpoints/{endpoint['id']}/secret/rotate", body)


async def test_a_rotation_shows_the_new_secret_once_and_the_old_one_signs_for_a_day(api: ApiBench) -> None:
    created = await made(api)

    status, told = await rotate(api, created)

    (stored,) = await api.endpoints.all()
    ring = keyring_of(stored.secret)
    assert (status, told["secret"]) == (200, ring.newest.secret)
    assert [key.secret for key in ring.keys] == [told["secret"], created["secret"]]
    assert [key["until"] for key in told["keys"]] == [None, "2026-06-24T09:00:00.000Z"]
    assert told["keys"][1]["id"] == created["keys"][0]["id"]
    _, shown = await send(api, "GET", f"/v1/endpoints/{created['id']}", None)
    assert "secret" not in shown
    assert told["secret"] not in json.dumps(shown)
    await api.clock.advance(timedelta(hours=24))
    assert len((await send(api, "GET", f"/v1/endpoints/{created['id']}", None))[1]["keys"]) == 1


async def test_a_rotation_may_bring_its_own_secret_or_another_kind(api: ApiBench) -> None:
    created, own = await made(api), generate("v1")

    _, first = await rotate(api, created, secret=own, grace=0)
    _, second = await rotate(api, created, kind="v1a", grace=604_800)

    assert (first["secret"], len(first["keys"])) == (own, 1)
    assert second["secret"] is None
    assert second["public_key"].startswith("whpk_")
    assert [key["kind"] for key in second["keys"]] == ["v1a", "v1"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"grace": 604_801}, 422),
        ({"grace": -1}, 422),
        ({"kind": "v2"}, 422),
        ({"secret": "whsec_short"}, 422),
        ({"secret": "password"}, 422),
        ({"secret": generate("v1a")}, 422),
        ({"secret": generate("v1"), "kind": "v1a"}, 422),
        ({"graze": 1}, 422),
    ],
)
async def test_a_rotation_to_what_is_no_key_changes_nothing(
    api: ApiBench, body: dict[str, Any], status: int
) -> None:
    created = await made(api)

    answered, told = await rotate(api, created, **body)

    assert answered == status
    assert str(body.get("secret", "nothing")) not in json.dumps(told)
    assert (await api.endpoints.all())[0].secret == created["secret"]


async def test_the_secret_that_signs_already_is_no_new_one(api: ApiBench) -> None:
    created = await made(api)

    assert (await rotate(api, created, secret=created["secret"]))[0] == 422


async def test_an_eleventh_old_key_is_refused(api: ApiBench) -> None:
    created = await made(api)

    assert [(await rotate(api, created))[0] for _ in range(11)] == [200] * 10 + [409]
    assert (await rotate(api, created, grace=0))[0] == 200


async def test_a_rotation_of_nothing_is_not_found(api: ApiBench) -> None:
    assert (await rotate(api, {"id": "ep_none"}))[0] == 404


async def test_older_schemes_need_a_shared_secret(api: ApiBench) -> None:
    status, told = await send(api, "POST", "/v1/endpoints", NEW | {"signing": "v1a", "scheme": "stripe"})
    assert (status, told["errors"][0]["field"]) == (422, "scheme")

    created = await made(api, scheme="github")
    status, told = await rotate(api, created, kind="v1a")
    assert (status, told["errors"][0]["field"]) == (422, "scheme")


async def test_the_public_half_of_a_pair_is_found_by_its_id_and_the_private_one_nowhere(
    api: ApiBench,
) -> None:
    shared, pair = await made(api), await made(api, signing="v1a")

    status, told, headers = await api.ask("GET", "/.well-known/jwks.json", scope=None)

    (key,) = told["keys"]
    raw = base64.b64decode(pair["public_key"].removeprefix("whpk_"))
    assert (status, pair["secret"], shared["public_key"]) == (200, None, None)
    assert headers["Content-Type"] == "application/jwk-set+json"
    assert key == {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "kid": pair["keys"][0]["id"],
        "use": "sig",
        "alg": "EdDSA",
    }
    assert "whsk_" not in json.dumps([pair, told])


async def test_who_asks_for_public_keys_while_they_are_read_gets_them_too(
    api: ApiBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await made(api, signing="v1a")
    real, asked = api.endpoints.all, asyncio.Event()
    answered = asyncio.Event()

    async def slow() -> Any:
        asked.set()
        await answered.wait()
        return await real()

    monkeypatch.setattr(api.endpoints, "all", slow)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(api.ask("GET", "/.well-known/jwks.json", scope=None)) for _ in range(3)]
        await asked.wait()
        # The others are there as well: over HTTP, so that each has its turn before this one's answer.
        assert (await api.ask("GET", "/healthz", scope=None))[0] == 200
        answered.set()

    for status, told, _ in (each.result() for each in asking):
        assert (status, [key["kid"] for key in told["keys"]]) == (200, [pair["keys"][0]["id"]])


async def test_asking_for_public_keys_in_a_loop_does_not_read_the_store_in_a_loop(
    api: ApiBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = api.endpoints.all

    async def counted() -> Any:
        asked.append(1)
        return await real()

    monkeypatch.setattr(api.endpoints, "all", counted)
    for _ in range(5):
        await api.ask("GET", "/.well-known/jwks.json", scope=None)
    assert len(asked) == 1
    await api.clock.advance(timedelta(seconds=10))
    await api.ask("GET", "/.well-known/jwks.json", scope=None)
    assert len(asked) == 2
