"""Events an integrator declares: their files, and what a workflow that tells or hears of one is checked against."""

from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from hub.engine.check import check
from hub.engine.explain_declared import explain_declared
from hub.engine.load import load_folder
from hub.engine.load_text import load_text
from hub.engine.model_blueprint import file_schema
from hub.engine.model_declared import declaration_schema
from hub.errors import ConfigError
from hub.events.declared import Undeclared

PROMOTED = """\
schema: 1
event: custom.client_promoted
version: 1
about: A client was moved to a better group.
fields:
  login: integer
  lots: {type: decimal, about: Lots in 30 days}
  tier: {type: string, one_of: [gold, silver]}
  since: {type: moment, required: false}
  wait: {type: duration, required: false}
example: {login: 7001, lots: "120.5", tier: gold}
"""
TELLS = """\
schema: 1
id: tells
title: t
when: [{event: trade.closed}]
steps:
  - do: event.publish
    with:
      type: custom.client_promoted
      data: {login: = account.login, lots: = event.lots, tier: gold}
"""
HEARS = """\
schema: 1
id: hears
title: t
when: [{event: custom.client_promoted, where: event.lots > 100}]
steps: [{do: event.publish, with: {type: custom.client_promoted, data: {login: = event.login, lots: 1, tier: gold}}}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "promoted.yaml").write_text(PROMOTED)
    (tmp_path / "tells.yaml").write_text(TELLS)
    (tmp_path / "hears.yaml").write_text(HEARS)
    return tmp_path


def problems(folder: Path, undeclared: Undeclared = Undeclared.ACCEPT) -> list[str]:
    found = load_folder([folder], undeclared=undeclared).problems
    return [str(each).replace(f"{folder}/", "") for each in found]


def change(folder: Path, name: str, *pairs: tuple[str, str]) -> None:
    path = folder / name
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def test_a_declaration_stands_among_the_workflows_and_is_none_itself(folder: Path) -> None:
    loaded = load_folder([folder])

    assert loaded.problems == ()
    assert {workflow.id for workflow in loaded.workflows} == {"tells", "hears"}
    (declared,) = loaded.declared
    assert (declared.name, declared.version) == ("custom.client_promoted", 1)
    assert loaded.declarations.get("custom.client_promoted") is declared
    assert loaded.unread == ()
    assert check([folder]).data()["events"] == ["custom.client_promoted"]


@pytest.mark.parametrize(
    ("change_", "said"),
    [
        (("event: custom.client_promoted", "event: trade.closed"), "2:8: error: `trade.closed` is told by the platforms"),
        (("event: custom.client_promoted", "event: custom"), "2:8: error: `custom` is no name for it"),
        (("event: custom.client_promoted", "event: custom.endpoint_test"), "2:8: error: `custom.endpoint_test` is told by the hub"),
        (("event: custom.client_promoted", "event: custom.Client"), "2:8: error: `event` cannot be `custom.Client`: write"),
        (("login: integer", "login: number"), "6:10: error: a field is of type string, integer, decimal"),
        (("login: integer", "login: int"), "; did you mean integer?"),
        (("login: integer", "Login: integer"), "6:3: error: `Login` is not a name"),
        (("login: integer", "id: integer"), "6:3: error: every event has `id` beside its fields"),
        (("version: 1\n", ""), "1:1: error: `version` is missing: Raised when"),
        (("about: Lots", "abuot: Lots"), "7:25: error: unknown key `abuot`; did you mean about?"),
        (("one_of: [gold, silver]", "one_of: [1, 2]"), "8:9: error: in `one_of`, 1 should be text"),
        (("one_of: [gold, silver]", "one_of: [gold, gold]"), "8:9: error: in `one_of`, gold is there twice"),
        (("one_of: [gold, silver]", "one_of: [gold], longest: 3"), "in `one_of`, gold has 4 characters, 3 are allowed"),
        (("login: integer", "login: {type: integer, one_of: [9223372036854775808]}"), "in `one_of`, 9223372036854775808 should be"),
        (("{type: decimal,", "{type: decimal, one_of: [a],"), "`one_of` is for fields of type string and integer"),
        (("{type: decimal,", "{type: decimal, longest: 5,"), "`longest` is for fields of type string"),
        (("tier: gold}", "tier: gould}"), "11:39: error: the example does not fit: `tier` is none of gold, silver; did you mean gold?"),
        (("tier: gold}", "teir: gold}"), "the example does not fit: `teir` is an unknown field"),
        (("login: 7001, ", ""), "11:1: error: the example does not fit: `login` is missing"),
        (("example:", "deprecated: {since: soon, use: custom.x}\nexample:"), "11:21: error: `since`"),
        (("example:", "deprecated: {since: 2026-10-01, use: custom.client_promoted}\nexample:"), "cannot stand in for itself"),
        (("example:", "deprecated: {since: 2026-10-01, use: tarde.closed}\nexample:"), "11:38: error: unknown event type `tarde.closed`"),
        (("example:", "deprecated: {since: 2026-10-01, until: 2026-10-01, use: custom.x}\nexample:"), "`until` is a day after"),
        (("custom.client_promoted", "custom." + "x" * 128), "2:8: error: `event` has at most 128 characters: shorten it"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_declaration_is_said_with_its_place(
    folder: Path, change_: tuple[str, str], said: str
) -> None:
    change(folder, "events/promoted.yaml", change_)

    found = [each for each in problems(folder) if each.startswith("events/promoted.yaml:")]

    assert any(said in each for each in found), found


@pytest.mark.parametrize(
    "text",
    [
        "# An event.\n\n---\n" + PROMOTED,
        "".join(f"  {line}\n" for line in PROMOTED.splitlines()),
        PROMOTED.replace("event:", '"event" :'),
        "{schema: 1, event: custom.client_promoted, version: 1, about: a, fields: {login: integer, lots: decimal, tier: string}}",
        "--- {schema: 1, event: custom.client_promoted, version: 1, about: a, fields: {login: integer, lots: decimal, tier: string}}",
    ],
)
def test_a_declaration_is_in_force_however_its_yaml_is_written(folder: Path, text: str) -> None:
    (folder / "events" / "promoted.yaml").write_text(text)

    loaded = load_folder([folder])

    assert loaded.problems == ()
    assert "custom.client_promoted" in loaded.declarations.types


def test_an_event_below_another_key_declares_nothing(folder: Path) -> None:
    (folder / "events" / "promoted.yaml").unlink()
    change(
        folder,
        "hears.yaml",
        (
            "when: [{event: custom.client_promoted, where: event.lots > 100}]",
            "when:\n-\n  event: custom.client_promoted",
        ),
    )

    assert all("is declared nowhere" in each for each in problems(folder))


@pytest.mark.parametrize("path", [".", "hears.yaml", "../flows/hears.yaml"])
def test_declarations_and_messages_stand_one_above_from_wherever_one_looks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    (folder / "flows").mkdir()
    (folder / "hears.yaml").rename(folder / "flows" / "hears.yaml")
    (folder / "templates").mkdir()
    (folder / "templates" / "hello.yaml").write_text("schema: 1\nlanguage: en\nsubject: Hello\ntext: Hello\n")
    monkeypatch.chdir(folder / "flows")

    loaded = load_folder([Path(path)])

    assert loaded.problems == ()
    assert "custom.client_promoted" in loaded.declarations.types
    assert loaded.messages.names == ["hello"]


def test_one_file_under_two_names_declares_its_event_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)

    assert check([Path("hears.yaml"), folder / "tells.yaml"]).problems == ()


def test_a_folder_of_events_that_cannot_be_read_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied", "events")

    monkeypatch.setattr(Path, "iterdir", refuse)  # root, as whom tests may run, is denied nothing

    with pytest.raises(ConfigError, match=r"the folder events cannot be read \(Permission denied\)"):
        load_folder([folder])


def test_no_two_files_declare_one_event(folder: Path) -> None:
    (folder / "again.yaml").write_text(PROMOTED)

    found = problems(folder)

    assert (
        "again.yaml:2:8: error: `custom.client_promoted` is also declared in events/promoted.yaml: keep one of them"
        in found
    )
    assert any(each.startswith("events/promoted.yaml:2:8: error:") for each in found)
    assert any("tells.yaml" in each and "cannot be used: mend that file" in each for each in found)


@pytest.mark.parametrize(
    ("change_", "said"),
    [
        (("lots: = event.lots", "lost: = event.lots"), "has no field `lost`: did you mean lots?"),
        ((", tier: gold", ""), "9:13: error: custom.client_promoted always has `tier` (text): add it under `data`"),
        (("tier: gold", "tier: bronze"), "`tier` of custom.client_promoted is none of gold, silver"),
        (("tier: gold", "tier: = event.lots"), "`tier` of custom.client_promoted is text, and this is a number"),
        (("login: = account.login", "login: = account.group"), "`login` of custom.client_promoted is a whole number"),
        (("login: = account.login", "login: 1.5"), "`login` of custom.client_promoted should be a whole number"),
        (("tier: gold}", "tier: gold, since: = event.lots}"), "is a moment, and this is a number"),
        (("tier: gold}", "tier: gold, wait: {a: 1}}"), "should be a duration"),
    ],
)  # fmt: skip
def test_what_a_workflow_tells_is_checked_when_it_is_loaded(
    folder: Path, change_: tuple[str, str], said: str
) -> None:
    change(folder, "tells.yaml", change_)

    found = problems(folder)

    assert all(each.startswith("tells.yaml:9:") for each in found)
    assert any(said in each for each in found), found


def test_a_misspelt_field_of_a_declared_event_is_refused_with_the_right_one(folder: Path) -> None:
    change(folder, "hears.yaml", ("event.lots > 100", "event.lotz > 100"))

    assert problems(folder) == ["hears.yaml:4:53: error: unknown field event.lotz; did you mean event.lots?"]


def test_a_field_is_of_the_type_it_is_declared_with(folder: Path) -> None:
    change(folder, "hears.yaml", ("event.lots > 100", "event.tier > 5"))

    (found,) = problems(folder)

    assert "text cannot be compared with a number" in found


def test_a_key_reads_out_of_its_text_what_an_event_has_as_one(folder: Path) -> None:
    change(folder, "hears.yaml", ("title: t\n", "title: t\nkey: event.lots * 2\n"))

    (text,) = problems(folder)
    assert text == (
        "hears.yaml:5:16: error: `key: event.lots * 2` reads `event.lots`, which `custom.client_promoted` has as a text: "
        "write number(event.lots) there"
    )
    change(folder, "hears.yaml", ("key: event.lots * 2", "key: number(event.lots) * 2"))
    assert problems(folder) == []
    change(folder, "hears.yaml", ("number(event.lots) * 2", "lower(event.tear)"))
    assert "cannot be worked out of `custom.client_promoted`: unknown field event.tear" in problems(folder)[0]


def test_an_event_nobody_declared_is_warned_of_with_the_lines_to_add(folder: Path) -> None:
    (folder / "events" / "promoted.yaml").unlink()

    found = problems(folder)

    assert all(": warning: " in each for each in found)
    assert (
        "tells.yaml:8:13: warning: `custom.client_promoted` is declared nowhere, so nobody checks what it says: add a file "
        "with `schema: 1`, `event: custom.client_promoted`, `version: 1`, `about: ...` and `fields: {login: decimal, lots: decimal, "
        "tier: string}`"
    ) in found
    assert len(load_folder([folder]).workflows) == 2


def test_a_slip_in_the_name_of_an_event_is_seen(folder: Path) -> None:
    change(folder, "hears.yaml", ("{event: custom.client_promoted", "{event: custom.client_promotd"))

    assert "did you mean custom.client_promoted?" in problems(folder)[0]


def test_a_hub_that_takes_declared_events_only_loads_no_other(folder: Path) -> None:
    (folder / "events" / "promoted.yaml").unlink()

    assert load_folder([folder], undeclared=Undeclared.REFUSE).workflows == ()
    assert all(": error: " in each for each in problems(folder, Undeclared.REFUSE))


def test_an_event_on_its_way_out_is_warned_of_where_it_is_named(folder: Path) -> None:
    change(
        folder,
        "events/promoted.yaml",
        ("example:", "deprecated: {since: 2026-10-01, use: custom.moved}\nexample:"),
    )

    found = problems(folder)

    assert len(found) == 3
    assert all(
        "Deprecated since 2026-10-01: use custom.moved." in each and "warning" in each for each in found
    )


def test_a_stored_version_knows_what_was_declared_when_it_was_made(folder: Path) -> None:
    version = next(each for each in load_folder([folder]).workflows if each.id == "hears")
    (folder / "events" / "promoted.yaml").write_text(
        PROMOTED.replace("lots: {type: decimal", "lots: {type: string")
    )

    again = load_text(version.text, "hears (stored)").workflow

    assert again is not None
    assert (again.text, again.hash) == (version.text, version.hash)
    condition = again.triggers[0].where  # type: ignore[union-attr]  # it is at an event
    assert condition is not None
    env = {"event": {"lots": "100.5"}}
    assert condition.test(env) is True
    assert condition.evaluate({"event": {"lots": Decimal(99)}}) is False


def test_words_about_a_field_make_no_new_version_and_another_field_does(folder: Path) -> None:
    before = {each.id: each.hash for each in load_folder([folder]).workflows}

    change(folder, "events/promoted.yaml", ("Lots in 30 days", "Lots of the last 30 days"))
    assert {each.id: each.hash for each in load_folder([folder]).workflows} == before

    change(folder, "events/promoted.yaml", ("fields:\n", "fields:\n  by: {type: string, required: false}\n"))
    assert {each.id for each in load_folder([folder]).workflows if each.hash == before[each.id]} == set()


def test_a_single_file_knows_what_is_declared_beside_it(folder: Path) -> None:
    change(folder, "hears.yaml", ("event.lots > 100", "event.lotz > 100"))

    report = check([folder / "hears.yaml"])

    assert [problem.message for problem in report.problems] == [
        "unknown field event.lotz; did you mean event.lots?"
    ]


def test_a_declared_event_is_explained_in_words(folder: Path) -> None:
    (declared,) = load_folder([folder]).declared

    said = explain_declared(declared)

    assert said.text() == (
        "A client was moved to a better group. (custom.client_promoted, version 1)\n"
        "  Told by workflows, or posted to the hub.\n"
        "  It always has:\n"
        "    - login: a whole number\n"
        "    - lots: a decimal (Lots in 30 days)\n"
        "    - tier: one of gold, silver\n"
        "  It may have:\n"
        "    - since: a moment\n"
        "    - wait: a duration\n"
    )


def test_the_schema_for_editors_takes_what_the_loader_takes(folder: Path) -> None:
    for schema in (declaration_schema(), file_schema()):
        check_ = Draft202012Validator(schema)
        check_.validate(yaml.safe_load(PROMOTED))
        assert not check_.is_valid(yaml.safe_load(PROMOTED.replace("type: decimal", "type: number")))
        assert not check_.is_valid(yaml.safe_load(PROMOTED.replace("about: Lots", "abuot: Lots")))


def test_a_name_that_only_begins_alike_is_another_event(folder: Path) -> None:
    (folder / "longer.yaml").write_text(PROMOTED.replace("client_promoted", "client_promoted_twice"))
    before = {each.id: each.hash for each in load_folder([folder]).workflows}

    change(folder, "longer.yaml", ("version: 1", "version: 2"))

    assert {each.id: each.hash for each in load_folder([folder]).workflows} == before
