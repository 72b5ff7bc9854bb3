"""What `hub check` says of steps that write into a CRM: nobody should hear of it from a run that failed."""

import pytest
from unit.engine.desk import a_workflow

from hub.commands.check import run_check
from hub.engine.check_crms import Crms, unknown_crms
from hub.engine.load_text import load_text
from hub.engine.program_steps import steps_of
from hub.intents.verbs import VERBS, ToCrm

ALL = frozenset(name for name, verb in VERBS.items() if issubclass(verb.params, ToCrm))
SALES: Crms = {"sales": (ALL, frozenset({"client", "account"}))}
BOTH: Crms = SALES | {"own": (frozenset({"crm.upsert"}), frozenset({"client"}))}


def said(step: str, crms: Crms) -> list[str]:
    workflow = a_workflow(f"when: [{{event: trade.closed}}]\nsteps: [{step}]\n")
    return [problem.message for problem in unknown_crms(steps_of(workflow.steps), crms)]


NOTE = "{{do: crm.note, with: {{id: = account.login, text: hi{}}}}}"


@pytest.mark.parametrize(
    ("more", "crms", "problem"),
    [
        (
            "",
            {},
            "no CRM is configured for crm.note: add one under `crm` in hub.yaml: the step would be refused",
        ),
        ("", SALES, None),
        (", object: account", SALES, None),
        (
            ", object: acount",
            SALES,
            "crm.sales keeps no `acount`; did you mean account?; it has account, client",
        ),
        (", profile: sale", SALES, "no CRM is called `sale`; did you mean sales?"),
        ("", BOTH, "there are several CRMs, own, sales: name one with `profile`"),
        (", profile: own", BOTH, "crm.own in hub.yaml does not say how it takes crm.note"),
        (", profile: sales", BOTH, None),
        (", profile: = event.comment", BOTH, None),
    ],
)
def test_a_step_that_would_be_refused_is_named(more: str, crms: Crms, problem: str | None) -> None:
    found = said(NOTE.format(more), crms)

    if problem is None:
        assert found == []
    else:
        (message,) = found
        assert message.startswith(problem)
        assert message.endswith(": the step would be refused")


def test_without_a_configuration_nobody_can_say(tmp_path, capsys):
    file = tmp_path / "w.yaml"
    step = NOTE.format("")
    file.write_text(f"schema: 1\nid: w\ntitle: t\nwhen: [{{event: trade.closed}}]\nsteps: [{step}]\n")
    config = tmp_path / "hub.yaml"
    config.write_text("listen: {port: 1}\n")

    assert run_check([file], None, None, as_json=False) == 0
    assert "no CRM" not in capsys.readouterr().out
    assert run_check([file], config, None, as_json=False) == 0
    assert f"{file}:5:14: warning: no CRM is configured for crm.note" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("step", "column", "says"),
    [
        ("{do: crm.upsert, with: {id: 7.5, record: {}}}", 37, "a record's id is a text or a whole number"),
        ("{do: crm.upsert, with: {id: a, record: {b: {c: 1}}}}", 48, "a CRM keeps texts"),
        ("{do: crm.upsert, with: {id: a, record: {b: {c: = event.lots}}}}", 48, "a CRM keeps texts"),
        ("{do: crm.upsert, with: {id: a}}", None, "crm.upsert needs `record`"),
        ("{do: crm.note, with: {id: a, txt: b}}", None, "crm.note has no parameter `txt`"),
        ("{do: crm.activity, with: {id: a, kind: fax, title: b}}", 48, "`kind` is call, email or meeting"),
        ("{do: task.open, with: {id: a, title: b, due: soon}}", None, "duration"),
        ("{do: crm.note, with: {id: a, text: b}, retry: {max: 1, delay: 1s}}", None, "tried again by itself"),
        ("{do: crm.upsert, with: {id: a, record: {t: = secrets.key}}}", None, "secrets"),
    ],
)
def test_what_a_step_says_is_checked_when_the_file_is_read(step: str, column: int | None, says: str) -> None:
    report = load_text(
        f"schema: 1\nid: w\ntitle: t\nwhen: [{{event: trade.closed}}]\nsteps: [{step}]\n", "w.yaml"
    )

    errors = [problem for problem in report.problems if says in problem.message]
    assert errors, report.problems
    assert errors[0].place.line == 5
    assert column is None or errors[0].place.column == column
