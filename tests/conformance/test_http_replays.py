"""Replays over HTTP: counted, asked for, followed and turned, and refused with the reason."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api

from hub.control.keys import Scope
from hub.dispatch.outbox import DeliveryState
from hub.dispatch.replays import ReplayState, Standing
from hub.testing import a_delivery, a_deposit, a_trade_closed, an_endpoint

WHERE = "/v1/endpoints/ep_1/replay"
SINCE = {"since": "2026-06-23T08:00:00Z"}


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        await bench.endpoints.create(an_endpoint("ep_1"))
        await bench.log.append([a_trade_closed() for _ in range(3)] + [a_deposit()])
        yield bench


async def ids(api: ApiBench) -> list[str]:
    page = await api.shelves.events(after="", limit=10)
    return [item.ref for item in page.items]


async def test_a_preview_counts_and_begins_nothing(api: ApiBench) -> None:
    (first, *_) = (await api.shelves.events(after="", limit=1)).items
    api.replays.stands[first.partition, first.n] = Standing.DELIVERED

    for query in ("?preview", "?preview=true", "?preview=1"):
        status, counted, _ = await api.ask("POST", WHERE + query, json={**SINCE, "missing": True})
        assert (status, counted["queued"], counted["matching"], counted["delivered"]) == (200, 2, 3, 1)
        assert counted["complete"]
    assert api.replays.rows == {}
    assert (await api.ask("POST", WHERE + "?preview=no", json=SINCE))[0] == 400


async def test_a_replay_is_begun_read_listed_paused_resumed_and_cancelled(api: ApiBench) -> None:
    status, begun, _ = await api.ask(
        "POST", WHERE, json={**SINCE, "types": ["trade.*"], "account": "live-1:7001", "rate": 5}
    )
    assert status == 202
    assert (begun["state"], begun["expected"], begun["progress"], begun["by"]) == ("running", 3, 0.0, "admin")
    assert begun["asked"] == {
        "event": None,
        "since": "2026-06-23T08:00:00.000Z",
        "until": "2026-06-23T09:00:00.000Z",
        "types": ["trade.*"],
        "account": "live-1:7001",
        "missing": False,
        "rate": 5,
    }
    where = f"/v1/replays/{begun['id']}"
    assert (await api.ask("GET", where, scope=Scope.READ))[1] == begun
    assert (await api.ask("GET", "/v1/replays?endpoint=ep_1&state=running"))[1]["items"] == [begun]
    assert (await api.ask("GET", "/v1/replays?state=paused"))[1]["items"] == []

    for verb, state in (
        ("pause", "paused"),
        ("resume", "running"),
        ("pause", "paused"),
        ("cancel", "cancelled"),
    ):
        status, turned, _ = await api.ask("POST", f"{where}/{verb}")
        assert (status, turned["state"]) == (200, state)
    assert turned["reason"] == "by admin"
    status, problem, _ = await api.ask("POST", f"{where}/resume")
    assert (status, problem["detail"]) == (
        409,
        "the replay is cancelled; only one that is paused can be running",
    )


async def test_progress_goes_by_the_time_where_nothing_was_counted(api: ApiBench) -> None:
    _, begun, _ = await api.ask("POST", WHERE, json=SINCE)
    row = api.replays.rows[begun["id"]]
    half = (row.asked.since + row.asked.until) // 2
    api.replays.rows[row.id] = row._replace(expected=None, reached=half)
    assert (await api.ask("GET", f"/v1/replays/{row.id}"))[1]["progress"] == 0.5
    api.replays.rows[row.id] = row._replace(state=ReplayState.DONE)
    assert (await api.ask("GET", f"/v1/replays/{row.id}"))[1]["progress"] == 1.0


async def test_one_event_and_one_delivery_are_replayed(api: ApiBench) -> None:
    event = (await ids(api))[-1]
    status, begun, _ = await api.ask("POST", WHERE, json={"event": event})
    assert (status, begun["asked"]["event"], begun["expected"]) == (202, event, 1)

    api.shelves.rows.append(a_delivery("ep_1", 3, 9, event_id=event, state=DeliveryState.EXHAUSTED))
    status, begun, _ = await api.ask("POST", "/v1/deliveries/ep_1.3.9/replay")
    assert (status, begun["asked"]["event"], begun["endpoint"]) == (202, event, "ep_1")
    for missing in ("ep_1.3.10", "nonsense"):
        assert (await api.ask("POST", f"/v1/deliveries/{missing}/replay"))[0] == 404


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "say `since` when, or which `event`"),
        ({"event": "evt_" + "a" * 26, **SINCE}, "`event` names one"),
        ({**SINCE, "types": ["trade.exploded"]}, "matches no event type"),
        ({**SINCE, "account": "nobody"}, "String should match pattern"),
        ({**SINCE, "rate": 0}, "greater than or equal to 1"),
        ({**SINCE, "rate": 1001}, "less than or equal to 1000"),
        ({"since": "yesterday"}, "should be a moment"),
        ({**SINCE, "fast": True}, "unknown field"),
    ],
)
async def test_what_is_not_right_is_refused_with_the_field(api: ApiBench, body: Any, reason: str) -> None:
    status, problem, _ = await api.ask("POST", WHERE, json=body)

    assert status == 422
    assert any(reason in error["reason"] for error in problem["errors"]), problem
    assert api.replays.rows == {}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"since": "2026-06-23T10:00:00Z"}, 422, "replay-range"),
        ({"since": "2026-01-01T00:00:00Z", "missing": True}, 422, "replay-range"),
        ({"event": "evt_" + "a" * 26}, 422, "no-event"),
    ],
)
async def test_what_cannot_be_is_refused_with_the_reason(
    api: ApiBench, body: Any, status: int, kind: str
) -> None:
    for query in ("", "?preview"):
        got, problem, _ = await api.ask("POST", WHERE + query, json=body)
        assert (got, problem["type"]) == (status, f"urn:hub:problem:{kind}")


async def test_a_disabled_endpoint_is_counted_for_and_not_replayed_to(api: ApiBench) -> None:
    await api.endpoints.replace(an_endpoint("ep_1"), an_endpoint("ep_1", state="disabled"))

    assert (await api.ask("POST", WHERE + "?preview", json=SINCE))[1]["queued"] == 3
    status, problem, _ = await api.ask("POST", WHERE, json=SINCE)
    assert (status, problem["type"]) == (409, "urn:hub:problem:endpoint-disabled")


async def test_a_key_of_some_servers_may_look_and_not_replay(api: ApiBench) -> None:
    key, _ = await api.keys.create("one", [Scope.ENDPOINTS_MANAGE, Scope.READ], servers=["live-1"])
    bearer = {"Authorization": f"Bearer {key}"}

    status, problem, _ = await api.ask("POST", WHERE, json=SINCE, scope=None, headers=bearer)
    assert (status, problem["type"]) == (403, "urn:hub:problem:other-server")
    assert (await api.ask("GET", "/v1/replays", scope=None, headers=bearer))[0] == 200


async def test_what_there_is_not_is_not_found(api: ApiBench) -> None:
    assert (await api.ask("POST", "/v1/endpoints/ep_9/replay", json=SINCE))[0] == 404
    assert (await api.ask("POST", "/v1/endpoints/ep_9/replay?preview", json=SINCE))[0] == 404
    assert (await api.ask("GET", "/v1/replays/rpl_9"))[0] == 404
    for verb in ("pause", "resume", "cancel"):
        assert (await api.ask("POST", f"/v1/replays/rpl_9/{verb}"))[0] == 404
    assert (await api.ask("GET", "/v1/replays?after=nonsense"))[0] in {200, 400}


async def test_a_deleted_endpoint_takes_its_replays_along(api: ApiBench) -> None:
    _, begun, _ = await api.ask("POST", WHERE, json=SINCE)
    where = f"/v1/replays/{begun['id']}"
    assert (await api.ask("POST", f"{where}/pause"))[0] == 200

    assert (await api.ask("DELETE", "/v1/endpoints/ep_1"))[0] == 204

    told = (await api.ask("GET", where))[1]
    assert (told["state"], told["reason"]) == ("cancelled", "the endpoint was deleted")
