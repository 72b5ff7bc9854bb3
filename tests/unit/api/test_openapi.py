"""The OpenAPI document holds by its own rules, beyond what routes and models say each for itself."""

from collections.abc import Iterator
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from hub.api.app import ROUTES
from hub.api.openapi import openapi

DOCUMENT = msgspec.json.decode(msgspec.json.encode(openapi(ROUTES)))  # as it is sent
SCHEMAS = DOCUMENT["components"]["schemas"]


def inside(value: Any) -> Iterator[Any]:
    """Yield every object of a document."""
    if isinstance(value, dict):
        yield value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from inside(part)


def test_every_schema_is_one_and_its_defaults_and_examples_are_what_it_asks_for() -> None:
    told = 0
    for schema in inside(SCHEMAS):
        given = [schema["default"]] if "default" in schema else []
        examples = schema.get("examples")
        given += examples if isinstance(examples, list) else []
        validator = Draft202012Validator({**schema, "components": {"schemas": SCHEMAS}})
        for value in given:
            told += 1
            assert [error.message for error in validator.iter_errors(value)] == [], schema
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)
    assert told > 50


def test_every_reference_leads_somewhere() -> None:
    named = {each["$ref"] for each in inside(DOCUMENT) if isinstance(each.get("$ref"), str)}

    assert {reference.removeprefix("#/components/schemas/") for reference in named} <= SCHEMAS.keys()


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()]

    assert sorted(set(names)) == sorted(names)
