"""How an endpoint is, over HTTP."""

from collections.abc import AsyncIterator

import pytest
from conformance.api_bench import ApiBench, an_api

from hub.clock import SECOND_US
from hub.dispatch.health import Health
from hub.testing import an_endpoint

DAY = 86_400 * SECOND_US


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        yield bench


async def test_an_endpoint_says_how_it_is(api: ApiBench) -> None:
    now = api.clock.now_us()
    await api.endpoints.create(an_endpoint("ep_1"))

    status, found, _ = await api.ask("GET", "/v1/endpoints/ep_1/health")
    assert status == 200
    assert (found["state"], found["failing_since"], found["disabled_at"]) == ("well", None, None)

    await api.healths.save(
        Health("ep_1", now - DAY, 12, now - SECOND_US, "timeout", 1, now, now + 60 * SECOND_US)
    )
    status, found, _ = await api.ask("GET", "/v1/endpoints/ep_1/health")
    assert (found["state"], found["failures"], found["last_error"]) == ("failing", 12, "timeout")
    assert found["failing_since"] < found["last_failure_at"] < found["paused_until"] < found["disabled_at"]


async def test_a_disabled_endpoint_says_why_and_one_there_is_not_is_a_404(api: ApiBench) -> None:
    await api.endpoints.create(an_endpoint("ep_1", state="disabled")._replace(reason="410"))

    status, found, _ = await api.ask("GET", "/v1/endpoints/ep_1/health")
    assert (status, found["state"], found["reason"]) == (200, "disabled", "410")
    status, _, _ = await api.ask("GET", "/v1/endpoints/ep_2/health")
    assert status == 404
