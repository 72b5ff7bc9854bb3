"""Examples are events the hub would take, and every type has one."""

import dataclasses
import json
from datetime import date
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hub.clock import ManualClock
from hub.engine.memory import MemoryLog
from hub.events import asyncapi, examples, reference, schema
from hub.events.catalogue import BY_CODE, BY_NAME, CUSTOM, Deprecation, EventType
from hub.events.examples import MOMENT, every_type, example_data, sent_example, stored_example
from hub.events.records import decode_data
from hub.events.schema import event_schema
from hub.ingest.posted import is_the_hubs_own, needs_account
from hub.ingest.receive import Receiver

KINDS = pytest.mark.parametrize("kind", every_type(), ids=lambda kind: kind.name)
SCHEMA = event_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def test_every_type_has_an_example_and_nothing_else_has() -> None:
    assert {kind.name for kind in every_type()} == {kind.name for kind in BY_CODE.values()}
    assert set(examples._DATA) == {kind.name for kind in BY_CODE.values()}


@KINDS
def test_an_example_says_what_the_model_says(kind: EventType) -> None:
    told = example_data(kind)
    model = kind.model.model_validate(told)

    assert model.model_dump(mode="json", exclude_unset=True).keys() == told.keys()
    envelope = stored_example(kind)
    assert decode_data(envelope) is not None
    assert sent_example(kind)["id"] == envelope.id


@KINDS
def test_an_example_holds_by_the_schema_it_stands_in(kind: EventType) -> None:
    definition = SCHEMA["$defs"]["Event_" + kind.name.removesuffix(".*").replace(".", "_")]
    (told,) = definition["examples"]

    VALIDATOR.validate(told)
    assert told["type"] == kind.name or kind is CUSTOM
    assert not VALIDATOR.is_valid({**told, "data": {"no such": {"field": 1}}}) or kind is CUSTOM


@pytest.mark.parametrize(
    "kind", [kind for kind in every_type() if not is_the_hubs_own(kind)], ids=lambda kind: kind.name
)
async def test_an_example_can_be_posted(kind: EventType) -> None:
    clock = ManualClock(MOMENT)
    sent: dict[str, Any] = sent_example(kind)
    body = {key: sent[key] for key in ("type", "timestamp", "data", "account") if sent[key] is not None}
    assert ("account" in body) or not needs_account(kind)
    if not kind.numbers:
        body["dedupe_key"] = "example"

    receipt = await Receiver(MemoryLog(clock), clock).accept(
        json.dumps(body).encode(), "application/json", source="api:crm"
    )

    assert receipt.accepted == 1, receipt


def test_a_type_on_its_way_out_says_so_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    old = dataclasses.replace(
        BY_NAME["trade.cancelled"],
        schema=2,
        deprecated=Deprecation(date(2026, 6, 1), "trade.reversed", date(2027, 6, 1)),
    )
    words = "Deprecated since 2026-06-01: use trade.reversed. Told until 2027-06-01 at least."
    monkeypatch.setitem(BY_NAME, old.name, old)
    monkeypatch.setitem(BY_CODE, old.code, old)

    document = asyncapi.asyncapi()
    assert document["components"]["messages"]["trade_cancelled"]["x-deprecated"] == words
    assert document["components"]["messages"]["trade_cancelled"]["x-version"] == 2
    assert document["components"]["schemas"]["Sent_trade_cancelled"]["deprecated"] is True
    assert "deprecated" not in document["components"]["schemas"]["Sent_trade_closed"]
    definition = schema.event_schema()["$defs"]["Event_trade_cancelled"]
    assert (definition["deprecated"], definition["properties"]["schema"]) == (True, {"const": 2})
    page = reference.render_events(told_by_the_hub=is_the_hubs_own, needs_account=needs_account)
    assert f"Version 2 of its `data`. **{words}**" in page
    assert page.count("Deprecated since") == 1
