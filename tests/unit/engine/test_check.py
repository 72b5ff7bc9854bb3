"""What `hub check` shows."""

import json

import pytest

from hub.engine.check import check
from hub.engine.load_text import load_text
from hub.engine.model import WorkflowFile, workflow_schema
from hub.engine.program_steps import steps_of
from hub.events.catalogue import BY_NAME
from hub.events.declared import Undeclared
from hub.intents.verbs import VERBS

GOOD = """\
schema: 1
id: good
title: t
when: [{event: trade.closed}]
steps: [{do: account.disable}]
"""
BAD = GOOD.replace("good", "bad").replace("trade.closed", "trade.clsed")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path.relative_to(tmp_path)


def test_a_problem_is_shown_with_its_line_and_a_caret(folder):
    report = check([folder])

    assert not report.ok
    assert report.text() == (
        "bad.yaml:4:16: error: unknown event type `trade.clsed`; did you mean trade.closed?\n"
        "  4 | when: [{event: trade.clsed}]\n"
        "    |                ^\n"
        "\n"
        "2 files: 1 error, 0 warnings\n"
    )


def test_the_report_for_programs_says_the_same(folder):
    data = json.loads(json.dumps(check([folder]).data()))

    assert data["ok"] is False
    assert data["workflows"] == ["good"]
    assert data["problems"] == [
        {
            "path": "bad.yaml",
            "line": 4,
            "column": 16,
            "severity": "error",
            "message": "unknown event type `trade.clsed`; did you mean trade.closed?",
        }
    ]


def test_without_a_problem_one_line_says_so(folder):
    assert check([folder / "good.yaml"]).text() == "1 file, no problems\n"


def test_a_path_that_is_not_there_is_an_error(folder):
    report = check([folder / "god.yaml"])

    assert not report.ok
    assert report.problems[0].message == "there is no such file or folder"


def test_a_folder_without_workflows_says_so(tmp_path):
    assert check([tmp_path]).text() == "no workflow files found: a workflow file ends in .yaml\n"


def test_a_verb_that_no_backend_offers_is_warned_about_where_it_stands(folder):
    report = check([folder / "good.yaml"], backends_verbs=frozenset({"account.enable"}))

    assert report.ok
    assert [str(problem) for problem in report.problems] == [
        "good.yaml:5:14: warning: no configured backend offers account.disable: the step would be refused"
    ]
    assert not check([folder / "good.yaml"], backends_verbs=frozenset({"account.disable"})).problems


def test_messages_need_no_backend(tmp_path):
    (tmp_path / "a.yaml").write_text(
        GOOD.replace("do: account.disable", "do: event.publish, with: {type: custom.x}")
    )

    assert not check([tmp_path], backends_verbs=frozenset(), undeclared=Undeclared.UNASKED).problems


def test_a_long_line_is_cut_around_the_problem(tmp_path):
    (tmp_path / "a.yaml").write_text(
        GOOD.replace("steps:", f"scope: 1 < 2 {'and 1 < 2 ' * 60}and nope\nsteps:")
    )

    text = check([tmp_path]).text()

    line, caret = text.split("\n")[1:3]
    assert len(line) < 180
    assert line[caret.index("^") :].startswith("nope")


def test_control_characters_of_a_file_never_reach_the_terminal(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD.replace("title: t", 'title: t\n"\\e[2J\u009b": 1'))

    text = check([tmp_path]).text()

    assert "\x1b" not in text
    assert "\u009b" not in text


def test_steps_under_conditions_are_found():
    text = GOOD.replace(
        "[{do: account.disable}]",
        "[{if: 1 < 2, then: [{do: account.enable}], else: [{do: account.archive}]}]",
    )
    workflow = load_text(text, "w.yaml").workflow

    assert workflow is not None
    assert [step.verb.name for step in steps_of(workflow.steps)] == ["account.enable", "account.archive"]


def test_the_schema_names_every_verb_and_every_event():
    text = json.dumps(workflow_schema())

    assert all(json.dumps(name) in text for name in (*VERBS, *BY_NAME))


def test_every_key_of_the_schema_tells_an_editor_what_it_is():
    schema = workflow_schema()
    definitions = [schema, *schema["$defs"].values()]

    for definition in definitions:
        for key, value in definition.get("properties", {}).items():
            assert value.get("description") or "$ref" in value, key


def test_the_schema_is_made_of_the_keys_files_use():
    properties = workflow_schema()["properties"]

    assert "schema" in properties
    assert "version" not in properties
    assert len(properties) == len(WorkflowFile.model_fields)
