"""Blueprints: one rule for many programmes, each with values of its own, and nothing changes before somebody says so."""

import json

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from hub.commands.blueprints import list_blueprints, upgrade, use_blueprint
from hub.engine.load import load_folder
from hub.engine.load_text import load_text
from hub.engine.model import WorkflowFile
from hub.engine.model_blueprint import BlueprintHead, file_schema
from hub.engine.problems import Problems
from hub.engine.yaml import read
from hub.errors import ConfigError
from hub.events.declared import Undeclared

UNASKED = Undeclared.UNASKED

FLOOR = """schema: 1
blueprint: equity-floor
version: 2
title: Tell when equity falls below a floor
params:
  floor: {type: number, example: 9000, about: the lowest equity}
  paid: {type: money, default: 2.50, currency: USD}
  note: {type: string, default: careful}
scope: account.enabled == true
when: [{crosses: {value: account.equity, below: params.floor}}]
steps: [{do: event.publish, with: {type: custom.floor, data: {note: = params.note, paid: = params.paid}}}]
"""
USE = """schema: 1
id: ftmo-floor
use: equity-floor@2
mode: live
owner: risk
scope: account.program == "ftmo"
params: {floor: 95000, note: 'say "no"'}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "floor.yaml").write_text(FLOOR)
    (tmp_path / "ftmo.yaml").write_text(USE)
    return tmp_path


def problems(folder):
    return [
        str(each).replace(f"{folder}/", "") for each in load_folder([folder], undeclared=UNASKED).problems
    ]


def test_a_use_is_a_workflow_with_its_values(folder):
    (workflow,) = load_folder([folder]).workflows

    assert (workflow.id, workflow.mode, workflow.owner) == ("ftmo-floor", "live", "risk")
    assert workflow.scope.text == '(account.enabled == true) and (account.program == "ftmo")'
    assert {name: str(value) for name, value in workflow.params.items()} == {
        "floor": "95000",
        "paid": "2.50",
        "note": 'say "no"',
    }


def test_its_text_stands_by_itself(folder):
    (workflow,) = load_folder([folder]).workflows

    again = load_text(workflow.text, "stored").workflow

    assert (again.hash, again.params) == (workflow.hash, workflow.params)


def test_a_blueprint_runs_nothing_and_is_no_file_that_could_not_be_read(folder):
    loaded = load_folder([folder])

    assert [blueprint.name for blueprint in loaded.blueprints] == ["equity-floor"]
    assert loaded.unread == ()
    (folder / "ftmo.yaml").unlink()
    assert load_folder([folder]).workflows == ()


def test_two_programmes_share_a_blueprint_and_no_state(folder):
    (folder / "other.yaml").write_text(USE.replace("ftmo-floor", "other").replace("95000", "45000"))

    first, second = load_folder([folder]).workflows

    assert first.hash != second.hash
    assert first.id != second.id


def test_programmes_with_other_values_in_their_key_are_kept_apart(folder):
    by_size = """key: '"big" if event.lots > params.floor else params.note'"""
    floor = FLOOR.replace("when:", f"{by_size}\nwhen:").replace(
        "{crosses: {value: account.equity, below: params.floor}}", "{event: trade.closed}"
    )
    (folder / "floor.yaml").write_text(floor)
    for name, value in (("same", "95000.0"), ("other", "45000")):
        (folder / f"{name}.yaml").write_text(USE.replace("ftmo-floor", name).replace("95000", value))

    kinds = {each.id: each.key for each in load_folder([folder]).workflows}

    assert kinds["same"] == kinds["ftmo-floor"]
    assert kinds["other"] != kinds["ftmo-floor"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("@2", "@1"), "ftmo.yaml:3:6: error: equity-floor is at version 2 now, and this was written for 1: "),
        (("equity-floor@2", "equity-flor@2"), "there is no blueprint equity-flor among these files; did you mean equity-floor?"),
        (("floor: 95000, ", ""), "ftmo.yaml:3:6: error: `floor` has to be given: a number, such as 9000 (the lowest equity)"),
        (("floor: 95000", "floor: high"), "ftmo.yaml:7:17: error: `floor`: the value of a number parameter is a plain number"),
        (("note:", "notes:"), "ftmo.yaml:7:31: error: `notes` is no param of equity-floor version 2; did you mean note?"),
        (("mode: live", "mode: on"), "ftmo.yaml:4:7: error: `mode` is 'off', 'shadow' or 'live', not"),
        (("owner:", "ownr:"), "ftmo.yaml:5:1: error: unknown key `ownr`; did you mean owner?"),
        (('"ftmo"', "ftmo"), "ftmo.yaml:6:8: error: unknown name ftmo"),
        (('"ftmo"', '"ftmo") or (account.type == "demo"'), "ftmo.yaml:6:33: error: "),
        (("use: equity-floor@2", "use: equity-floor"), "ftmo.yaml:3:6: error: `use` cannot be `equity-floor`: write the blueprint and its version, such as daily-loss@2"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_where_it_stands(folder, change, said):
    (folder / "ftmo.yaml").write_text(USE.replace(*change))

    found = problems(folder)

    assert any(said.replace("'", "") in each.replace("'", "") for each in found), found
    assert load_folder([folder]).workflows == ()
    assert load_folder([folder]).unread == (("ftmo.yaml", "ftmo-floor"),)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("version: 2\n", ""), "`version` is missing: Raised when its params"),
        (("blueprint: equity-floor", "blueprint: Equity Floor"), "`blueprint` cannot be `Equity Floor`: write small letters"),
        (("schema: 1\n", "schema: 1\nid: floor\n"), "floor.yaml:2:1: error: `id` is for those who use a blueprint to say"),
        (("params.floor}}", "params.flor}}"), "flor"),
        (("example: 9000", "example: high"), "the default of a number parameter is a plain number"),
        (("example: 9000, ", ""), "`default` is missing"),
    ],
)  # fmt: skip
def test_a_blueprint_is_checked_like_a_workflow(folder, change, said):
    (folder / "floor.yaml").write_text(FLOOR.replace(*change))

    assert any(said in each for each in problems(folder) if each.startswith("floor.yaml")), problems(folder)


def test_two_files_cannot_be_one_blueprint(folder):
    (folder / "copy.yaml").write_text(FLOOR)

    (said,) = problems(folder)

    assert "several files are the blueprint equity-floor" in said


# --- the commands


def test_using_one_writes_every_value_into_the_file(folder, capsys):
    target = folder / "new.yaml"

    assert use_blueprint("equity-floor", [folder], "new", ["floor=80000", "note=a: b"], "live", target) == 0

    assert "floor: 80000" in target.read_text()
    assert "paid: 2.50" in target.read_text()
    assert {each.id for each in load_folder([folder]).workflows} == {"ftmo-floor", "new"}
    with pytest.raises(ConfigError, match="there already"):
        use_blueprint("equity-floor", [folder], "new", ["floor=80000"], "live", target)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("equity-floor", [], "has to be given"),
        ("equity-floor", ["floor=abc"], "plain number"),
        ("equity-floor", ["floor=1", "x=2"], "no param"),
        ("equity-floor", ["floor"], "write NAME=VALUE"),
        ("equity-flor", ["floor=1"], "did you mean equity-floor"),
    ],
)
def test_using_one_wrongly_writes_nothing(folder, name, values, said):
    with pytest.raises(ConfigError, match=said):
        use_blueprint(name, [folder], "new", values, "live", folder / "new.yaml")
    assert not (folder / "new.yaml").exists()


def test_raising_the_version_shows_what_changes_first(folder, capsys):
    newer = FLOOR.replace("version: 2", "version: 3").replace("careful", "brave")
    (folder / "floor.yaml").write_text(newer.replace("2.50", "3.00"))

    assert upgrade(folder / "ftmo.yaml", [folder], write=False, as_json=False) == 0
    said = capsys.readouterr().out
    assert "uses equity-floor@2, and 3 is the latest" in said
    assert "`paid` is not given: the default 3.00 holds" in said
    assert '`note` is say "no"; the default is brave' in said
    assert (folder / "ftmo.yaml").read_text() == USE

    assert upgrade(folder / "ftmo.yaml", [folder], write=True, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["latest"] == 3
    assert (folder / "ftmo.yaml").read_text() == USE.replace("@2", "@3")
    assert problems(folder) == []


def test_the_version_is_not_raised_while_something_has_to_be_done(folder, capsys):
    newer = FLOOR.replace("version: 2", "version: 3").replace(
        "  paid:", "  day: {type: string, example: UTC}\n  paid:"
    )
    (folder / "floor.yaml").write_text(newer.replace("= params.note,", "= params.note, day: = params.day,"))

    assert upgrade(folder / "ftmo.yaml", [folder], write=True, as_json=False) == 1

    assert "to do `day` has to be given: a string, such as UTC" in capsys.readouterr().out
    assert (folder / "ftmo.yaml").read_text() == USE


def test_the_list_names_the_params(folder, capsys):
    assert list_blueprints([folder], as_json=False) == 0
    shown = capsys.readouterr().out
    assert "equity-floor@2" in shown
    assert "has to be given" in shown

    assert list_blueprints([folder], as_json=True) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["params"]["paid"] == {
        "type": "money",
        "currency": "USD",
        "required": False,
        "default": "2.50",
        "about": None,
    }


# --- the schema for editors


@pytest.mark.parametrize("text", [FLOOR, USE])
def test_editors_know_blueprints_and_uses(text):
    data = json.loads(json.dumps(read(text, "x.yaml", Problems()).data(), default=float))
    check = Draft202012Validator(file_schema())
    check.validate(data)
    with pytest.raises(ValidationError):
        check.validate({**data, "steppes": 1})


def test_the_schema_has_the_keys_of_a_blueprint():
    schema = file_schema()["else"]["then"]

    keys = {field.alias or name for name, field in WorkflowFile.model_fields.items()} - {"id", "mode"}
    assert set(schema["properties"]) == {*BlueprintHead.model_fields, *keys}


def test_what_the_versions_since_do_differently_is_shown_before_one_is_raised(folder, capsys):
    changes = "changes: [{version: 2, what: it tells at once}, {version: 3, what: a note is told as well}]"
    (folder / "floor.yaml").write_text(FLOOR.replace("version: 2", f"version: 3\n{changes}"))
    Draft202012Validator(file_schema()).validate(
        read((folder / "floor.yaml").read_text(), "floor.yaml", Problems()).data()
    )

    assert upgrade(folder / "ftmo.yaml", [folder], write=True, as_json=False) == 0

    said = capsys.readouterr().out
    assert "look version 3: a note is told as well" in said
    assert "version 2:" not in said
    (workflow,) = load_folder([folder]).workflows
    assert "told as well" not in workflow.text
