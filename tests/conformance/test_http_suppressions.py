"""Suppressions over the interface."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        yield bench


async def test_an_entry_is_made_listed_and_removed(api: ApiBench) -> None:
    body = {"address": "Ann@Example.com", "channel": "email", "reason": "hard bounce"}

    made = await api.ask("POST", "/v1/suppressions", json=body)
    again = await api.ask("POST", "/v1/suppressions", json={**body, "address": "ann@example.com"})
    client = await api.ask("POST", "/v1/suppressions", json={"client": "c1", "reason": "left"})
    page = await api.ask("GET", "/v1/suppressions?limit=1")
    rest = await api.ask("GET", f"/v1/suppressions?after={page[1]['next']}")
    gone = [await api.ask("DELETE", f"/v1/suppressions/{made[1]['id']}") for _ in range(2)]

    assert (made[0], again[0], client[0]) == (201, 200, 201)
    assert made[1] | {"id": "", "at": ""} == {
        "id": "",
        "address": "ann@example.com",
        "channel": "email",
        "reason": "hard bounce",
        "added_by": "admin",
        "at": "",
    }
    assert {entry["id"] for entry in page[1]["items"] + rest[1]["items"]} == {made[1]["id"], client[1]["id"]}
    assert rest[1]["next"] is None
    assert [answer[0] for answer in gone] == [204, 404]


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "x"},
        {"address": "a@b.c"},
        {"address": "a@b.c", "client": "c1", "reason": "x"},
        {"address": "a@b.c", "channel": "pigeon", "reason": "x"},
        {"address": "a@b.c", "reason": ""},
        {"client": "no id", "reason": "x"},
        {"address": "a@b.c\n", "reason": "x"},
    ],
)
async def test_an_entry_nobody_can_mean_is_refused(api: ApiBench, body: dict[str, Any]) -> None:
    assert (await api.ask("POST", "/v1/suppressions", json=body))[0] == 422
