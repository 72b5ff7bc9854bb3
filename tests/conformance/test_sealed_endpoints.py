"""What is secret about an endpoint lies sealed in every store, and reads as it was above it."""

from typing import Any

import pytest
from conformance.backends import Dispatch

from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import Endpoint
from hub.dispatch.sealed import SealedEndpoints, SealMissing
from hub.dispatch.signing import generate_secret
from hub.errors import ConfigError
from hub.sealing import SealBroken, SealRing, is_sealed, new_key
from hub.testing import an_endpoint

HEADERS = (("Authorization", "Bearer t0p-secret"), ("X-Key", "t0p-secret"), ("X-Desk", "7"))
ASKS = EndpointOptions(headers=HEADERS, secret_headers=("x-key",))
HERE = "http://127.0.0.1:9000/"


def a_secret_one(name: str = "ep_1", **changes: Any) -> Endpoint:
    return an_endpoint(name, options=ASKS)._replace(secret=generate_secret(), **changes)


async def test_nothing_secret_can_be_read_in_the_store(dispatch: Dispatch) -> None:
    endpoints = SealedEndpoints(dispatch.endpoints, SealRing([new_key()]))
    endpoint = a_secret_one()

    await endpoints.create(endpoint)
    await endpoints.replace(endpoint, endpoint._replace(description="changed"))
    after = generate_secret()
    assert await endpoints.replace_secret(endpoint.id, endpoint.secret, after)

    stored = await dispatch.endpoints.get(endpoint.id)
    assert stored is not None
    assert is_sealed(stored.secret)
    assert not any(secret in repr(stored) for secret in (endpoint.secret, after, "t0p-secret"))
    assert dict(stored.options.headers)["X-Desk"] == "7"
    expected = endpoint._replace(description="changed", secret=after)
    assert await endpoints.get(endpoint.id) == expected
    assert await endpoints.all() == [expected]


async def test_of_two_rotations_of_a_sealed_secret_one_has_to_look_again(dispatch: Dispatch) -> None:
    endpoints = SealedEndpoints(dispatch.endpoints, SealRing([new_key()]))
    endpoint = a_secret_one()
    await endpoints.create(endpoint)

    assert await endpoints.replace_secret(endpoint.id, endpoint.secret, "first")
    assert not await endpoints.replace_secret(endpoint.id, endpoint.secret, "second")


async def test_what_was_stored_before_there_was_a_key_is_sealed_at_the_first_start(
    dispatch: Dispatch,
) -> None:
    endpoint = a_secret_one()
    await dispatch.endpoints.create(endpoint)
    endpoints = SealedEndpoints(dispatch.endpoints, SealRing([new_key()]))

    assert (await endpoints.seal_everything(), await endpoints.seal_everything()) == (1, 0)

    assert endpoint.secret not in repr(await dispatch.endpoints.get(endpoint.id))
    assert "t0p-secret" not in repr(await dispatch.endpoints.get(endpoint.id))
    assert await endpoints.get(endpoint.id) == endpoint


async def test_a_new_sealing_key_takes_the_place_of_the_old_at_a_start(dispatch: Dispatch) -> None:
    old, new = new_key(), new_key()
    endpoint = a_secret_one()
    await SealedEndpoints(dispatch.endpoints, SealRing([old])).create(endpoint)

    assert await SealedEndpoints(dispatch.endpoints, SealRing([new, old])).seal_everything() == 1

    alone = SealedEndpoints(dispatch.endpoints, SealRing([new]))
    assert await alone.seal_everything() == 0
    assert await alone.get(endpoint.id) == endpoint


async def test_a_hub_with_real_endpoints_does_not_start_without_a_key(dispatch: Dispatch) -> None:
    await dispatch.endpoints.create(a_secret_one(url=HERE))
    bare = SealedEndpoints(dispatch.endpoints, None)

    assert await bare.seal_everything() == 0
    await dispatch.endpoints.create(a_secret_one("ep_2"))
    with pytest.raises(ConfigError, match="hub sealing new"):
        await bare.seal_everything()


@pytest.mark.parametrize(
    ("url", "real"),
    [
        (HERE, False),
        ("http://localhost:1/", False),
        ("http://[::1]/", False),
        ("https://crm.example.com/", True),
        ("https://localhost.example.com/", True),
        ("https://93.184.216.34/", True),
    ],
)
async def test_only_endpoints_on_this_machine_are_made_without_a_key(
    dispatch: Dispatch, url: str, real: bool
) -> None:
    bare = SealedEndpoints(dispatch.endpoints, None)
    endpoint = a_secret_one(url=url)

    if not real:
        await bare.create(endpoint)
        assert await bare.get(endpoint.id) == endpoint
        with pytest.raises(SealMissing):
            await bare.replace(endpoint, endpoint._replace(url="https://crm.example.com/"))
    else:
        with pytest.raises(SealMissing):
            await bare.create(endpoint)
        assert await dispatch.endpoints.all() == []


async def test_a_lost_key_is_told_at_the_start_and_destroys_nothing(dispatch: Dispatch) -> None:
    key = new_key()
    endpoint = a_secret_one(url=HERE)
    await SealedEndpoints(dispatch.endpoints, SealRing([key])).create(endpoint)
    other = SealedEndpoints(dispatch.endpoints, SealRing([new_key()]))

    with pytest.raises(SealBroken):
        await other.seal_everything()
    with pytest.raises(SealMissing):
        await SealedEndpoints(dispatch.endpoints, None).seal_everything()
    (unopened,) = await other.all()
    assert unopened.secret == ""
    await other.replace(unopened, unopened._replace(description="changed meanwhile"))

    again = SealedEndpoints(dispatch.endpoints, SealRing([key]))
    assert await again.get(endpoint.id) == endpoint._replace(description="changed meanwhile")


async def test_a_secret_moved_to_another_endpoint_does_not_open(dispatch: Dispatch) -> None:
    ring = SealRing([new_key()])
    endpoints = SealedEndpoints(dispatch.endpoints, ring)
    one, other = a_secret_one("ep_1"), a_secret_one("ep_2")
    await endpoints.create(one)
    await endpoints.create(other)
    stored = await dispatch.endpoints.get("ep_1")
    there = await dispatch.endpoints.get("ep_2")
    assert stored is not None
    assert there is not None

    await dispatch.endpoints.replace_secret("ep_2", there.secret, stored.secret)

    found = await endpoints.get("ep_2")
    assert found is not None
    assert found.secret == ""
