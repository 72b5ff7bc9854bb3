"""Runs over HTTP: those of all workflows, and open ones that go over to another version."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api

from hub.api.ports import MovedRun
from hub.control.keys import Scope
from hub.engine.rows import RunRow

WHERE = "/v1/runs/migrate"
NAMES = ("bonus/live-1:7001/monthly/evt_x", "bonus/live-1:7002/monthly/evt_y", "fee/live-1:7001/w/evt_z")


def a_run(name: str, state: str) -> RunRow:
    workflow, key, *_ = name.split("/")
    return RunRow(1, name, key, workflow, "abc", state, 1_782_205_200_000_000, b"{}")


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        states = ("running", "done", "running")
        bench.shelves.kept_runs = [a_run(name, state) for name, state in zip(NAMES, states, strict=True)]
        bench.shelves.older_runs = [
            MovedRun(NAMES[0], "live-1:7001", "old", "new", "would move", "", ("lock",)),
            MovedRun("bonus/2", "live-1:7002", "old", "new", "stays", "it stands in branches"),
            MovedRun("bonus/3", "live-1:7003", "old", "", "stays", "off"),
        ]
        yield bench


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", NAMES),
        ("?workflow=bonus", NAMES[:2]),
        ("?key=live-1:7001", (NAMES[0], NAMES[2])),
        ("?state=running&workflow=fee", NAMES[2:]),
        ("?limit=1", NAMES[:1]),
    ],
)
async def test_the_runs_of_all_workflows_are_listed_as_asked(
    api: ApiBench, query: str, found: tuple[str, ...]
) -> None:
    status, listed, _ = await api.ask("GET", f"/v1/runs{query}", scope=Scope.READ)

    assert (status, [item["id"] for item in listed["items"]]) == (200, list(found))
    assert (listed["next"] is not None) == (query == "?limit=1")


async def test_a_state_there_is_not_is_refused(api: ApiBench) -> None:
    assert (await api.ask("GET", "/v1/runs?state=open"))[0] == 400


async def test_a_migration_says_of_each_run_what_becomes_of_it_page_by_page(api: ApiBench) -> None:
    status, first, _ = await api.ask("POST", WHERE, json={"workflow": "bonus", "dry_run": True})
    _, rest, _ = await api.ask("POST", WHERE, json={"workflow": "bonus", "after": first["next"]})

    assert status == 200
    assert first["items"][0] == {
        "run": NAMES[0],
        "key": "live-1:7001",
        "version": "old",
        "live": "new",
        "state": "would move",
        "reason": None,
        "left_out": ["lock"],
    }
    assert [item["reason"] for item in (first["items"][1], *rest["items"])] == [
        "it stands in branches",
        "off",
    ]
    assert rest["next"] is None
    assert api.shelves.orders == [("bonus", "", True, "admin"), ("bonus", "", False, "admin")]


async def test_one_run_is_asked_for_by_its_id(api: ApiBench) -> None:
    status, found, _ = await api.ask("POST", WHERE, json={"workflow": "bonus", "run": NAMES[0]})

    assert (status, [item["run"] for item in found["items"]]) == (200, [NAMES[0]])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"workflow": "none"}, 404),
        ({"workflow": "bonus", "run": "none"}, 404),
        ({"workflow": "fee", "run": NAMES[0]}, 404),
        ({}, 422),
        ({"workflow": "bonus", "run": NAMES[0], "after": "x"}, 422),
        ({"workflow": "bonus", "dry_run": "yes"}, 422),
        ({"workflow": "bonus", "force": True}, 422),
        ({"workflow": "bonus", "after": "not base64!"}, 400),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_and_orders_nothing(
    api: ApiBench, body: dict[str, Any], status: int
) -> None:
    assert (await api.ask("POST", WHERE, json=body))[0] == status

    assert api.shelves.orders == []


async def test_a_key_for_some_servers_moves_no_runs(api: ApiBench) -> None:
    secret, _ = await api.keys.create("one", [Scope.ADMIN], servers=["live-1"])
    head = {"Authorization": f"Bearer {secret}"}

    status, problem, _ = await api.ask("POST", WHERE, scope=None, headers=head, json={"workflow": "bonus"})

    assert (status, problem["type"]) == (403, "urn:hub:problem:other-server")
    assert api.shelves.orders == []
