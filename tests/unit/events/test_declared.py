"""What an event that somebody declared takes, how it is stored, and how it is shown."""

import html
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

from hub.api.docs import render
from hub.engine.load import load_folder
from hub.events.asyncapi import asyncapi
from hub.events.catalogue import Deprecation
from hub.events.declared import Declared, DeclaredField, Misread
from hub.events.declared_pages import asyncapi_with, render_declared, sent_example_of
from hub.events.declared_types import FieldType
from hub.events.facts import encode_data

ROOT = Path(__file__).parents[3]
SHIPPED = load_folder([ROOT / "workflows"]).declarations
OFFICIAL = json.loads((ROOT / "tests" / "vectors" / "asyncapi_3_0_0.json").read_text("utf-8"))


def declared(version: int = 1, **fields: DeclaredField | FieldType) -> Declared:
    made = {
        name: each if isinstance(each, DeclaredField) else DeclaredField(name, each)
        for name, each in fields.items()
    }
    return Declared("custom.seen", version, made, "Something was seen.")


def stored(kind: FieldType, value: object) -> Any:
    found = declared(a=kind).read({"a": value})
    return found if isinstance(found, list) else json.loads(encode_data(found))["a"]


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (FieldType.STRING, "gold", "gold"),
        (FieldType.INTEGER, -7, -7),
        (FieldType.INTEGER, Decimal("7.00"), 7),
        (FieldType.DECIMAL, "1.50", "1.50"),
        (FieldType.DECIMAL, 1.5, "1.5"),
        (FieldType.DECIMAL, Decimal("1E-8"), "0.00000001"),
        (FieldType.BOOLEAN, False, False),
        (FieldType.MOMENT, "2026-06-23T09:00:00+02:00", "2026-06-23T07:00:00Z"),
        (FieldType.MOMENT, datetime(2026, 6, 23, tzinfo=UTC), "2026-06-23T00:00:00Z"),
        (FieldType.DATE, "2026-02-28", "2026-02-28"),
        (FieldType.DURATION, "90s", "90s"),
        (FieldType.DURATION, timedelta(hours=36), "36h"),
        (FieldType.DURATION, timedelta(seconds=1.5), "1500ms"),
    ],
)
def test_a_value_is_stored_as_json_has_it(kind: FieldType, value: object, kept: object) -> None:
    assert stored(kind, value) == kept


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (FieldType.STRING, 5), (FieldType.STRING, "a\nb"), (FieldType.STRING, "x" * 257), (FieldType.STRING, ["a"]),
        (FieldType.INTEGER, "5"), (FieldType.INTEGER, True), (FieldType.INTEGER, 2**63), (FieldType.INTEGER, Decimal("1.5")),
        (FieldType.INTEGER, Decimal("1E+999999999")), (FieldType.INTEGER, Decimal("NaN")), (FieldType.INTEGER, 1.0),
        (FieldType.DECIMAL, "1,5"), (FieldType.DECIMAL, "1e5"), (FieldType.DECIMAL, "1" * 17), (FieldType.DECIMAL, float("nan")),
        (FieldType.DECIMAL, Decimal("1E+999999999")), (FieldType.DECIMAL, True), (FieldType.DECIMAL, {}),
        (FieldType.BOOLEAN, "true"), (FieldType.BOOLEAN, 1),
        (FieldType.MOMENT, "2026-06-23T09:00:00"), (FieldType.MOMENT, 1750000000), (FieldType.MOMENT, "1750000000"),
        (FieldType.DATE, "2026-02-30"), (FieldType.DATE, "20260228"), (FieldType.DATE, "٢٠٢٦-02-28"),
        (FieldType.DURATION, "PT5M"), (FieldType.DURATION, 5), (FieldType.DURATION, "5"), (FieldType.DURATION, timedelta()),
        (FieldType.DURATION, timedelta(hours=-1)),
    ],
)  # fmt: skip
def test_what_is_none_of_the_type_is_refused_by_its_field(kind: FieldType, value: object) -> None:
    wrong = stored(kind, value)

    assert [each.field for each in wrong] == ["a"]
    assert wrong[0].reason


def test_everything_that_is_wrong_is_said_at_once_with_what_may_be_meant() -> None:
    tier = DeclaredField("tier", FieldType.STRING, one_of=("gold", "silver"))

    wrong = declared(login=FieldType.INTEGER, tier=tier).read({"logni": 5, "tier": "gould"})

    assert wrong == [
        Misread("logni", "unknown field of custom.seen", "did you mean login?"),
        Misread("tier", "is none of gold, silver; did you mean gold?"),
        Misread("login", "missing", "custom.seen always has it"),
    ]


def test_a_flood_of_wrong_fields_is_not_answered_with_one() -> None:
    wrong = declared().read({f"f{number}": 1 for number in range(5_000)})

    assert isinstance(wrong, list)
    assert len(wrong) == 10


def test_what_need_not_be_there_may_be_left_out_or_null() -> None:
    kind = declared(a=DeclaredField("a", FieldType.DECIMAL, required=False))

    for data in ({}, {"a": None}):
        found = kind.read(data)
        assert not isinstance(found, list)
        assert encode_data(found) == b"{}"
    assert isinstance(declared(a=FieldType.DECIMAL).read({"a": None}), list)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(),
        st.lists,
        max_leaves=4,
    )
)
def test_nothing_that_is_told_breaks_the_check_and_what_it_takes_fits_the_schema(value: object) -> None:
    for kind in FieldType:
        made = declared(a=kind)
        found = made.read({"a": value})
        if not isinstance(found, list) and value is not None:
            Draft202012Validator(made.schema()).validate(json.loads(encode_data(found)))


@pytest.mark.parametrize(
    "one", sorted(SHIPPED.types.values(), key=lambda each: each.name), ids=lambda one: one.name
)
def test_every_declared_event_that_ships_has_an_example_that_fits(one: Declared) -> None:
    assert one.given
    assert one.about
    Draft202012Validator(one.schema()).validate(one.example)


def test_an_event_without_an_example_of_its_own_is_shown_with_one_that_fits() -> None:
    fields = {kind.value: kind for kind in FieldType}
    chosen = DeclaredField("chosen", FieldType.INTEGER, one_of=(3, 4))
    short = DeclaredField("short", FieldType.STRING, longest=2)

    made = declared(**fields, chosen=chosen, short=short)

    assert not isinstance(made.read(made.example), list)
    Draft202012Validator(made.schema()).validate(made.example)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (declared(a=FieldType.STRING), "was of type decimal in version 1 and is string"),
        (declared(b=FieldType.DECIMAL), "`a` was there in version 1 and is gone"),
        (declared(a=DeclaredField("a", FieldType.DECIMAL, required=False)), "was always there in version 1"),
        (declared(a=FieldType.DECIMAL, b=FieldType.STRING), "`b` is new and always there"),
        (declared(a=DeclaredField("a", FieldType.DECIMAL, about="words")), None),
        (declared(a=FieldType.DECIMAL, b=DeclaredField("b", FieldType.STRING, required=False)), None),
    ],
)  # fmt: skip
def test_what_another_declaration_of_the_same_version_would_break(after: Declared, said: str | None) -> None:
    broken = declared(a=FieldType.DECIMAL).broken_by(after)

    assert broken is None if said is None else (broken is not None and said in broken[1])


def test_a_field_that_becomes_obligatory_breaks_whoever_leaves_it_out() -> None:
    maybe = declared(a=DeclaredField("a", FieldType.DECIMAL, required=False))

    broken = maybe.broken_by(declared(a=FieldType.DECIMAL))

    assert broken is not None
    assert "whoever leaves it out" in broken[1]


def test_the_asyncapi_document_has_declared_events_beside_the_catalogue() -> None:
    document = asyncapi_with(SHIPPED.types.values())

    Draft7Validator(OFFICIAL).validate(document)
    whole = {"$ref": "#/components/schemas/Sent_custom-client_promoted", "components": document["components"]}
    promoted = SHIPPED.types["custom.client_promoted"]
    Draft7Validator(whole).validate(sent_example_of(promoted))
    assert "custom-client_promoted" in document["channels"]["webhooks"]["messages"]
    assert len(document["components"]["messages"]) == len(asyncapi()["components"]["messages"]) + len(
        SHIPPED.types
    )


def test_two_names_that_look_alike_are_two_messages() -> None:
    one, other = (Declared(name, 1, {}) for name in ("custom.a_b", "custom.a.b"))

    assert {"custom-a_b", "custom-a-b"} <= asyncapi_with([one, other])["components"]["messages"].keys()


def test_the_page_shows_declared_events_and_their_words_as_words() -> None:

    sly = Declared(
        "custom.sly",
        3,
        {"a": DeclaredField("a", FieldType.STRING, required=False, about="a | b <script> [x](y)")},
        "*Words*",
        deprecated=Deprecation(date(2026, 10, 1), "custom.seen"),
    )

    page = render_declared([sly])

    assert "Version 3" in page
    assert "a \\| b \\<script\\> \\[x\\](y)" in page
    assert "Deprecated since 2026-10-01: use custom.seen." in page
    assert render_declared([]) == ""


def test_the_page_shows_values_and_examples_to_the_letter() -> None:
    tiers = ("in_progress", "a|b", "`x``y`", "<b>")
    one = Declared(
        "custom.seen", 1, {"a": DeclaredField("a", FieldType.STRING, one_of=tiers)}, given={"a": "`x``y`"}
    )

    page = render(render_declared([one]), "events")

    for value in tiers:
        assert f"<code>{html.escape(value)}</code>" in page
    assert '<code>{"a": "`x``y`"}</code>' in html.unescape(page)
