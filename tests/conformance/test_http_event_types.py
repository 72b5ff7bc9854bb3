"""The routes of event types, and what a hub that declares some says of them elsewhere."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api
from jsonschema import Draft202012Validator

import hub.web
from hub.clock import iso
from hub.control.keys import Scope
from hub.engine.load import load_folder
from hub.events.declared import Declarations, Undeclared

WORKFLOWS = Path(__file__).parents[2] / "workflows"
DOCS = Path(hub.web.__path__[0]) / "docs"


@pytest.fixture
def known() -> list[Declarations]:
    return [load_folder([WORKFLOWS / "events"]).declarations]


@pytest.fixture
async def api(known: list[Declarations]) -> AsyncIterator[ApiBench]:
    async with an_api(DOCS, declared=lambda: known[0]) as bench:
        yield bench


async def test_the_types_there_are_with_those_this_hub_declares(api: ApiBench) -> None:
    status, found, _ = await api.ask("GET", "/v1/event-types", scope=Scope.EVENTS_READ)

    assert status == 200
    rows = {row["type"]: row for row in found["types"]}
    assert rows["trade.closed"]["declared"] is False
    assert rows["custom.client_promoted"] == {
        "type": "custom.client_promoted",
        "version": 1,
        "about": "An account traded enough and was moved to the VIP group.",
        "declared": True,
        "postable": True,
    }
    assert rows["equity.crossed"]["postable"] is False
    assert found["undeclared"] == "accept"


async def test_one_family_or_one_kind_of_them(api: ApiBench) -> None:
    _, family, _ = await api.ask("GET", "/v1/event-types?family=margin_call")
    _, own, _ = await api.ask("GET", "/v1/event-types?declared=true")
    _, others, _ = await api.ask("GET", "/v1/event-types?declared=false&family=custom")
    status, problem, _ = await api.ask("GET", "/v1/event-types?declared=yes")

    assert [row["type"] for row in family["types"]] == ["margin_call.entered", "margin_call.left"]
    assert {row["type"] for row in own["types"]} == {
        path_name(each) for each in (WORKFLOWS / "events").iterdir()
    }
    assert others["types"] == []
    assert (status, problem["detail"]) == (400, "declared: true or false")


def path_name(path: Path) -> str:
    return "custom." + path.stem.replace("-", "_")


@pytest.mark.parametrize("name", ["custom.deposit_notice", "trade.closed", "account.updated"])
async def test_one_type_with_an_example_that_fits_its_schema(api: ApiBench, name: str) -> None:
    status, found, _ = await api.ask("GET", f"/v1/event-types/{name}")

    assert (status, found["type"]) == (200, name)
    Draft202012Validator(found["schema"]).validate(found["example"])


async def test_the_fields_of_a_declared_type_are_told_as_they_are_declared(api: ApiBench) -> None:
    _, found, _ = await api.ask("GET", "/v1/event-types/custom.deposit_notice")

    assert found["fields"][1] == {
        "name": "amount",
        "type": "decimal",
        "required": True,
        "about": "In the currency of the account",
    }


async def test_what_is_no_type_is_not_found_and_nobody_without_leave_is_told(api: ApiBench) -> None:
    assert (await api.ask("GET", "/v1/event-types/custom.nothing"))[0] == 404
    for slip, meant in (("trade.closd", "trade.closed"), ("custom.deposit_notise", "custom.deposit_notice")):
        status, problem, _ = await api.ask("GET", f"/v1/event-types/{slip}")
        assert (status, problem["detail"]) == (
            404,
            f"there is no event type of that name; did you mean {meant}?",
        )
    assert (await api.ask("GET", "/v1/event-types/custom.*"))[0] == 404
    assert (await api.ask("GET", "/v1/event-types", scope=None))[0] == 401
    assert (await api.ask("GET", "/v1/event-types", scope=Scope.EVENTS_WRITE))[0] == 403


async def test_the_documents_have_them_and_are_made_anew_with_another_declaration(
    api: ApiBench, known: list[Declarations]
) -> None:
    async def messages() -> set[str]:
        _, document, _ = await api.ask("GET", "/asyncapi.json", scope=None)
        return set(document["components"]["messages"])

    assert "custom-client_promoted" in await messages()
    _, page, _ = await api.ask("GET", "/docs/events", scope=None)
    assert "custom.client_promoted</h3>" in page

    known[0] = Declarations()

    assert "custom-client_promoted" not in await messages()
    _, page, _ = await api.ask("GET", "/docs/events", scope=None)
    assert "custom.compliance_note" not in page


async def test_an_endpoint_with_a_misspelt_field_in_its_filter_is_refused(api: ApiBench) -> None:
    wanted: dict[str, Any] = {
        "url": "https://crm.example/hook",
        "events": ["custom.client_promoted"],
        "where": "data.lotz > 5",
    }

    status, problem, _ = await api.ask("POST", "/v1/endpoints", json=wanted)

    assert status == 422
    assert problem["errors"] == [
        {"field": "where", "reason": "unknown field data.lotz; did you mean data.lots?"}
    ]
    assert (await api.ask("POST", "/v1/endpoints", json=wanted | {"where": "data.lots > 5"}))[0] == 201


async def test_a_stream_is_asked_with_fields_there_are(api: ApiBench) -> None:
    query = "type=custom.client_promoted&where=event.lotz%20%3E%205"

    status, problem, _ = await api.ask("GET", f"/v1/events/stream?{query}")

    assert status == 400
    assert "did you mean event.lots?" in problem["detail"]


async def test_what_is_posted_is_checked_row_by_row(api: ApiBench, known: list[Declarations]) -> None:
    known[0] = Declarations(known[0].types, Undeclared.REFUSE)
    rows = [
        {"type": kind, "timestamp": iso(api.clock.now_us()), "data": data}
        for kind, data in (
            ("custom.client_promoted", {"login": 7, "lots": "1.5"}),
            ("custom.client_promoted", {"login": 7}),
            ("custom.unheard_of", {}),
        )
    ]

    status, receipt, _ = await api.ask("POST", "/v1/events", json=rows)

    assert status == 202
    assert [row["status"] for row in receipt["results"]] == ["accepted", "rejected", "rejected"]
    assert receipt["results"][1]["errors"][0]["field"] == "data.lots"
    assert "declared nowhere" in receipt["results"][2]["errors"][0]["reason"]
