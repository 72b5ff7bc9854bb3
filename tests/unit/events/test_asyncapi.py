"""The AsyncAPI document holds by the official schema, and its examples by the document."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft7Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from hub.events.asyncapi import asyncapi, message_name
from hub.events.catalogue import BY_CODE, BY_NAME, CUSTOM, EventType
from hub.events.examples import every_type, sent_example

OFFICIAL = json.loads((Path(__file__).parents[2] / "vectors" / "asyncapi_3_0_0.json").read_text("utf-8"))
DOCUMENT = asyncapi()
KINDS = pytest.mark.parametrize("kind", every_type(), ids=lambda kind: kind.name)


FORMATS = FormatChecker(formats=())


@FORMATS.checks("uri")
def is_uri(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme)


def official() -> Draft7Validator:
    registry = Registry[Any]().with_resources(
        (schema["$id"], Resource.from_contents(schema, default_specification=DRAFT7))
        for schema in OFFICIAL["definitions"]
    )
    return Draft7Validator(OFFICIAL["root"], registry=registry, format_checker=FORMATS)


def errors_of(document: Any) -> list[str]:
    return [f"{list(error.path)}: {error.message[:200]}" for error in official().iter_errors(document)]


def test_it_is_an_asyncapi_document() -> None:
    assert errors_of(DOCUMENT) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("asyncapi",), "3.1"),
        (("info",), {}),
        (("info", "license", "url"), "/licence"),
        (("operations", "deliver", "action"), "shout"),
        (("channels", "webhooks", "adress"), "x"),
        (("components", "messages", "trade_closed", "tags"), "trade"),
    ],
)
def test_the_official_schema_refuses_what_is_none(place: tuple[str, ...], value: Any) -> None:
    broken = json.loads(json.dumps(DOCUMENT))
    inside = broken
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value

    assert errors_of(broken) != []


def test_every_type_is_a_message_of_both_channels() -> None:
    names = {message_name(kind) for kind in BY_CODE.values()}

    assert set(DOCUMENT["components"]["messages"]) == names
    for channel in DOCUMENT["channels"].values():
        assert {place["$ref"].rpartition("/")[2] for place in channel["messages"].values()} == names


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    found = references(DOCUMENT)
    assert found
    for reference in found:
        inside = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            assert step in inside, reference
            inside = inside[step]


@KINDS
def test_an_example_is_what_the_document_says(kind: EventType) -> None:
    message = DOCUMENT["components"]["messages"][message_name(kind)]
    schema = {**message["payload"], "components": DOCUMENT["components"]}
    whole = {"allOf": [message["payload"]], "components": DOCUMENT["components"]}
    (example,) = message["examples"]

    Draft7Validator(whole).validate(example["payload"])
    Draft7Validator({"allOf": [message["headers"]], "components": schema["components"]}).validate(
        example["headers"]
    )
    other = BY_NAME["trade.closed"] if kind.name != "trade.closed" else BY_NAME["trade.opened"]
    assert not Draft7Validator(whole).is_valid(sent_example(other))
    assert not Draft7Validator(whole).is_valid({**example["payload"], "data": 5})
    assert example["payload"]["type"] == kind.name or kind is CUSTOM
    assert message["x-version"] == kind.schema
