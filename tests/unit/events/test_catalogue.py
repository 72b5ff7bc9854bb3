"""The catalogue: numbers that stay, names that are spelled one way, and a schema of all of it."""

import json
from typing import Any

import pytest

from hub.events.catalogue import BY_CODE, BY_NAME, CUSTOM, event_type
from hub.events.schema import event_schema


def test_no_code_and_no_name_is_used_twice() -> None:
    assert len(BY_CODE) == len(BY_NAME) + 1
    assert max(BY_CODE) < 256


def test_every_numbered_field_is_a_field_of_its_type() -> None:
    for kind in BY_CODE.values():
        for field, _ in kind.numbers:
            assert field in kind.model.model_fields, kind.name


def test_every_type_says_what_it_is_about() -> None:
    assert [kind.name for kind in BY_CODE.values() if not kind.about.endswith(".")] == []


@pytest.mark.parametrize("name", ["custom.a", "custom.bonus_paid", "custom.a.b.c"])
def test_every_custom_name_is_one_type(name: str) -> None:
    assert event_type(name) is CUSTOM


@pytest.mark.parametrize(
    "name",
    ["custom", "custom.", "custom..a", "custom.a b", "custom.é", "trade.close", "", "custom." + "a" * 200],
)
def test_other_names_are_no_type(name: str) -> None:
    assert event_type(name) is None


def test_the_schema_tells_every_type_apart() -> None:
    schema = event_schema()

    assert set(schema["discriminator"]["mapping"]) == set(BY_NAME)
    assert len(schema["oneOf"]) == len(BY_CODE)
    for name, place in schema["discriminator"]["mapping"].items():
        assert schema["$defs"][place.removeprefix("#/$defs/")]["properties"]["type"] == {"const": name}


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    schema = event_schema()

    assert references(schema) <= {f"#/$defs/{name}" for name in schema["$defs"]}
    json.dumps(schema)


def test_the_schema_says_that_amounts_are_decimal_strings() -> None:
    lots = event_schema()["$defs"]["TradeClosed"]["properties"]["lots"]

    assert lots["type"] == "string"
    assert "pattern" in lots


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    return set()
