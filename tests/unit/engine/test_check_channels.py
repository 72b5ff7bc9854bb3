"""What `hub check` and a hub that starts say of messages nobody would send: no client should be the one to find out."""

import io
import json

import pytest
from rich.console import Console
from structlog.testing import capture_logs
from unit.engine.desk import a_workflow

from hub.commands.check import run_check
from hub.commands.run import show_problems
from hub.config import Settings
from hub.engine.check_channels import SECTIONS, Channels, unset_channels
from hub.engine.live_files import LiveFiles
from hub.engine.program_steps import steps_of
from hub.intents.verbs import VERBS, Risk
from hub.setup import setup_of

EVERYTHING: Channels = {
    "mail": frozenset(),
    "sms": frozenset(),
    "push": frozenset(),
    "chat": frozenset({"dealing", "risk"}),
    "page": frozenset({"risk"}),
}
MAIL = "{do: notify.email, with: {to: a@example.com, subject: Hi, text: Hi}}"
SMS = "{do: notify.sms, with: {to: '+3725551234', text: Hi}}"
PUSH = "{do: notify.push, with: {text: Hi}}"
CHAT = "{do: notify.chat, with: {team: dealing, text: Hi}}"
PAGE = "{do: notify.page, with: {team: dealing, text: Hi}}"


def said(step: str, channels: Channels) -> list[str]:
    workflow = a_workflow(f"when: [{{event: trade.closed}}]\nsteps: [{step}]\n")
    return [problem.message for problem in unset_channels(workflow.id, steps_of(workflow.steps), channels)]


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (MAIL, "no channel is configured for notify.email: add `mail` to hub.yaml"),
        (SMS, "no channel is configured for notify.sms: add `sms` to hub.yaml"),
        (PUSH, "no channel is configured for notify.push: add `push` to hub.yaml"),
        (CHAT, "no channel is configured for notify.chat: add `chat` to hub.yaml"),
        (PAGE, "no channel is configured for notify.page: add `page` to hub.yaml"),
    ],
)
def test_a_message_without_a_channel_is_named_with_the_setting_to_add(step: str, problem: str) -> None:
    (message,) = said(step, {})

    assert message.startswith("workflow ")
    assert message.endswith(f": {problem}: the message would be refused")


def test_a_team_that_is_not_there_is_named_with_the_one_that_is_meant() -> None:
    assert said(CHAT, EVERYTHING) == []
    (message,) = said(CHAT.replace("dealing", "dealng"), EVERYTHING)
    assert "chat.teams in hub.yaml has no `dealng`; did you mean dealing?" in message
    assert "page.teams in hub.yaml has no `dealing`" in said(PAGE, EVERYTHING)[0]
    assert said(CHAT.replace("dealing", "= event.comment"), EVERYTHING) == []  # only the run knows


def test_mail_to_the_terminal_is_told_to_go_nowhere_for_now() -> None:
    assert (
        "nothing sends message.mail yet"
        in said("{do: message.mail, with: {subject: Hi, text: Hi}}", EVERYTHING)[0]
    )


def test_every_verb_that_tells_somebody_something_is_looked_at() -> None:
    tell = {name for name, verb in VERBS.items() if verb.risk is Risk.NOTIFY}
    assert tell == {*SECTIONS, "message.mail", "event.publish"}


WORKFLOW = f"""schema: 1
id: tells
title: Tells of every close
mode: live
when: [{{event: trade.closed}}]
steps:
  - {SMS}
"""


def test_the_command_names_the_workflow_and_the_line_and_a_hub_that_starts_does_too(tmp_path, capsys):
    file, config = tmp_path / "tells.yaml", tmp_path / "hub.yaml"
    file.write_text(WORKFLOW)
    config.write_text("mail: {host: mail.example.com, sender: hub@example.com}\n")

    assert run_check([file], None, None, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []  # nobody can say

    assert run_check([file], config, None, as_json=True) == 0
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["line"], problem["severity"]) == (7, "warning")
    assert problem["message"] == (
        "workflow tells: no channel is configured for notify.sms: add `sms` to hub.yaml: the message would be refused"
    )

    (at_start,) = LiveFiles([file], setup_of(Settings())).loaded.problems
    assert at_start.message == problem["message"]


def test_at_the_start_it_stands_in_the_log_once_for_every_step(tmp_path):
    (tmp_path / "tells.yaml").write_text(WORKFLOW)
    loaded = LiveFiles([tmp_path], setup_of(Settings())).loaded

    shown = io.StringIO()
    with capture_logs() as lines:
        show_problems(Console(file=shown), loaded)

    (line,) = lines
    assert (line["event"], line["workflow"]) == ("workflow.warned", "tells")
    assert "tells.yaml:7:" in line["reason"]
    assert "add `sms` to hub.yaml" in line["reason"]
    assert shown.getvalue() == f"warning {tmp_path}/tells.yaml:7:10: {loaded.problems[0].message}\n"
