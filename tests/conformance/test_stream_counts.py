"""What the metrics say of streams and tokens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from conformance.api_bench import ApiBench, an_api
from conformance.feeds_bench import listening

from hub.api.stream_counts import Ended, Refused, StreamKind
from hub.clock import to_us
from hub.control.keys import Scope
from hub.ingest.samples import Sample
from hub.metrics import HubCollector, metrics_text
from hub.testing import MORNING, a_trade_closed

EVENTS, ACCOUNTS = "/v1/events/stream", "/v1/accounts/stream"


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        yield bench


def shown(api: ApiBench) -> list[str]:
    return metrics_text(HubCollector([api.feeds.metrics])).decode().splitlines()


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not happened():
            await asyncio.sleep(0.005)


async def test_streams_are_counted_while_open_and_by_how_they_ended(api: ApiBench) -> None:
    headers = api.headers(Scope.READ)
    await api.log.append([a_trade_closed()])
    async with (
        listening(api.session, api.url + EVENTS, headers, since="2020-01-01T00:00:00Z") as heard,
        listening(api.session, api.url + ACCOUNTS, headers),
        listening(api.session, api.url + ACCOUNTS, headers, positions="true", account="live-1:7001"),
    ):
        await heard.until(1)
        during = shown(api)
        [follow] = [each for each in api.feeds.tail._follows if each.accounts is None]
        follow.end("too slow: a test")
        await heard.until_end()
    await until(lambda: not len(api.feeds))
    after = shown(api)

    for kind in ("events", "accounts", "positions"):
        assert f'hub_streams_open{{kind="{kind}"}} 1.0' in during
        assert f'hub_streams_open{{kind="{kind}"}} 0.0' in after
        assert f'hub_streams_opened_total{{kind="{kind}"}} 1.0' in after
    assert 'hub_stream_told_total{kind="events"} 1.0' in after
    assert 'hub_streams_ended_total{kind="events",reason="slow"} 1.0' in after
    assert 'hub_streams_ended_total{kind="accounts",reason="left"} 1.0' in after
    assert "hub_positions_followed 1.0" in after


async def test_a_revoked_token_bars_its_stream(api: ApiBench) -> None:
    await api.ask("PUT", "/v1/clients/me", json={"accounts": ["live-1:7001"]})
    _, token, _ = await api.ask("POST", "/v1/tokens", json={"client": "me"})
    headers = {"Authorization": f"Bearer {token['token']}"}
    async with listening(api.session, api.url + EVENTS, headers) as heard:
        await api.ask("DELETE", f"/v1/tokens/{token['id']}")
        ended = asyncio.create_task(heard.until_end())
        while not ended.done():
            await api.clock.advance(timedelta(seconds=1))
            await asyncio.sleep(0.005)
        await ended
    await until(lambda: not len(api.feeds))

    assert api.feeds.counts.ended[StreamKind.EVENTS, Ended.BARRED] == 1


async def test_a_value_nobody_took_before_the_next_counts_as_superseded(api: ApiBench) -> None:
    watch = api.feeds.board.watch(None, timedelta(milliseconds=100))
    for step in range(1, 4):
        at = to_us(MORNING) + step
        await api.watcher.samples([Sample("live-1", 7001, Decimal(step), Decimal(900), *[None] * 5, at=at)])
        await api.clock.advance(timedelta(milliseconds=100))
        await api.feeds.board.tick()

    assert len(watch.take()) == 1
    assert "hub_stream_superseded_total 2.0" in shown(api)


async def test_tokens_are_counted_that_open_nothing(api: ApiBench) -> None:
    await api.ask("PUT", "/v1/clients/me", json={"accounts": ["live-1:7001"]})
    _, token, _ = await api.ask("POST", "/v1/tokens", json={"client": "me"})
    mine = {"Authorization": f"Bearer {token['token']}"}
    wrong = {"Authorization": "Bearer hubt_" + "0" * 64}

    for headers, path in (
        (wrong, "/v1/accounts/live-1/7001"), (mine, "/v1/clients"), (mine, "/v1/accounts/live-1/7002"),
        (mine, f"{EVENTS}?account=live-1:7002"), ({}, f"{EVENTS}?ticket=none"),
    ):  # fmt: skip
        status, _, _ = await api.ask("GET", path, scope=None, headers=headers)
        assert status in {401, 403}

    assert dict(api.feeds.counts.tokens_refused) == {
        Refused.INVALID: 2, Refused.CLOSED: 1, Refused.FOREIGN: 2,
    }  # fmt: skip
    assert 'hub_tokens_refused_total{reason="foreign"} 2.0' in shown(api)


async def test_streams_beyond_the_bound_are_counted() -> None:
    async with an_api(limits={"most": 1}) as api:
        headers = api.headers(Scope.READ)
        async with listening(api.session, api.url + EVENTS, headers):
            status, _, _ = await api.ask("GET", ACCOUNTS)

        assert status == 429
        assert "hub_streams_refused_total 1.0" in shown(api)
