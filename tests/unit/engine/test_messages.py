"""Messages by name: found, checked, said in the reader's language, and the same words whenever they are decided again."""

import json
import os
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING, Desk

from hub.commands.templates import list_templates, render_template, show_template
from hub.config import Settings
from hub.engine.alone import load_alone
from hub.engine.check import check
from hub.engine.check_setup import Setup
from hub.engine.live_files import LiveFiles
from hub.engine.load import load_file, load_folder
from hub.engine.load_text import load_text
from hub.engine.message_files import MAX_BYTES, MAX_LANGUAGES, read_messages
from hub.engine.messages import below, taken_apart
from hub.errors import ConfigError
from hub.events.declared import Undeclared
from hub.parts import compile_stored, templates_at

UNASKED = Undeclared.UNASKED

RULE = """schema: 1
id: course
title: Offer the course
mode: live
when: [{{event: trade.closed}}]
limit: {{max: 99, every: forever}}
steps:
  - do: {verb}
    with: {{{given}}}
"""
GIVEN = "to: = client.email, template: course, vars: {lots: = event.lots, name: = client.first_name}"
PLAIN = "schema: 1\nid: plain\ntitle: t\nmode: live\nwhen: [{event: trade.closed}]\nsteps: [{do: event.publish, with: {type: custom.x}}]\n"
EN = """schema: 1
language: en
subject: "{{ name|default('Somebody') }} & {{ lots }} lots"
text: |
  Dear {{ name|default('client') }},
  {{ lots }} lots on {{ account.login }}.
html: <p title="{{ name|default('client') }}">{{ lots }} lots</p>
sms: "{{ lots }} lots"
"""
DE = """schema: 1
subject: "{{ lots }} Lots"
text: Sie handelten {{ lots }} Lots.
"""


def rule(folder, given=GIVEN, verb="notify.email", name="course"):
    (folder / f"{name}.yaml").write_text(
        RULE.format(verb=verb, given=given).replace("id: course", f"id: {name}")
    )


def message(folder, text=EN, name="course"):
    """Write a file as editors do; what stamps are made of moves on even within one tick of the clock."""
    path = folder / "templates" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


@pytest.fixture
def folder(tmp_path):
    rule(tmp_path)
    message(tmp_path)
    message(tmp_path, DE, "course.de")
    return tmp_path


def problems(folder):
    return [
        str(each).replace(f"{folder}/", "") for each in load_folder([folder], undeclared=UNASKED).problems
    ]


def the_workflow(folder):
    loaded = load_folder([folder], undeclared=UNASKED)
    assert loaded.problems == ()
    (workflow,) = loaded.workflows
    return workflow


def said(workflow, **client):
    desk = Desk(workflow)
    if client:
        desk.tell(
            "client.linked", client="c1", changed={name: {"after": value} for name, value in client.items()}
        )
    intents = desk.tell("trade.closed", deal=1, net_profit="1", lots="2.5")
    assert len(intents) == 1, desk.decisions[-1]
    return json.loads(intents[0].params)


ANN = {"email": "ann@example.com", "first_name": "Ann"}


def test_a_step_says_the_message_and_which_one_it_was(folder):
    workflow = the_workflow(folder)
    version = load_folder([folder]).messages.sound["course"].version

    assert said(workflow, **ANN) == {
        "to": "ann@example.com",
        "subject": "Ann & 2.5 lots",
        "text": "Dear Ann,\n2.5 lots on 7001.\n",
        "html": '<p title="Ann">2.5 lots</p>',
        "template": "course",
        "template_version": version,
        "language": "en",
    }


@pytest.mark.parametrize(
    ("language", "spoken"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("de-at-1996", "de"),
        ("pt-BR", "pt-BR"),
        ("pt", "en"),
        ("ja", "en"),
        (None, "en"),
    ],
)
def test_it_is_said_in_the_clients_language_or_else_in_the_default(folder, language, spoken):
    message(folder, DE.replace("Sie handelten", "Você negociou"), "course.pt-BR")
    known = {} if language is None else {"language": language}

    assert said(the_workflow(folder), **ANN, **known)["language"] == spoken


def test_what_a_language_lacks_is_not_taken_from_another(folder):
    found = said(the_workflow(folder), **ANN, language="de")

    assert found["subject"] == "2.5 Lots"
    assert "html" not in found


def test_a_step_may_say_the_language_itself(folder):
    rule(folder, GIVEN + ", language: de")
    assert said(the_workflow(folder), **ANN)["language"] == "de"
    rule(folder, GIVEN + ', language: \'= "de" if event.lots > 2 else "en"\'')
    assert said(the_workflow(folder), **ANN)["language"] == "de"


def test_a_value_nobody_knows_is_left_to_the_text(folder):
    assert said(the_workflow(folder), email="a@example.com")["subject"] == "Somebody & 2.5 lots"


def test_a_text_that_has_nothing_instead_fails_the_step_with_its_name(folder):
    message(folder, EN.replace("|default('client') }},", " }},"))
    desk = Desk(the_workflow(folder))
    desk.tell("client.linked", client="c1", changed={"email": {"after": "a@example.com"}})

    assert desk.tell("trade.closed", deal=1, net_profit="1", lots="2.5") == []

    (trace,) = desk.traces("failed")
    assert "text: course in en: name is missing: write `|default(...)`" in trace.reason


def test_a_name_is_no_markup_and_no_header(folder):
    found = said(the_workflow(folder), email="a@example.com", first_name="<b>\u2028Bcc: x@example.com")

    assert found["subject"] == "<b> Bcc: x@example.com & 2.5 lots"
    assert "&lt;b&gt;" in found["html"]
    assert "<b>" not in found["html"]


@pytest.mark.parametrize(
    ("verb", "given", "expected"),
    [
        ("notify.sms", "to: '+357990'", {"text": "1 sms"}),
        ("notify.push", "to: c1", {"title": "1 subject", "text": "1 sms"}),
        ("notify.chat", "team: risk", {"title": "1 subject", "text": "1 text"}),
        ("notify.page", "team: risk", {"title": "1 subject", "text": "1 sms"}),
        ("message.mail", "category: service", {"subject": "1 subject", "text": "1 text"}),
    ],
)
def test_every_channel_has_its_part(tmp_path, verb, given, expected):
    lines = (f"{part}: '{{{{ n }}}} {part}'" for part in ("subject", "text", "sms"))
    message(tmp_path, "\n".join(["schema: 1", "language: en", *lines]))
    rule(tmp_path, f"{given}, template: course, vars: {{n: 1}}", verb)

    found = said(the_workflow(tmp_path), **ANN)

    assert {name: found[name] for name in expected} == expected
    assert found["template"] == "course"


def test_push_messages_have_words_of_their_own(tmp_path):
    message(
        tmp_path,
        "schema: 1\nlanguage: en\nsubject: s\ntext: t\npush: {title: Look, text: 'Here {{ account.login }}'}",
    )
    rule(tmp_path, "to: c1, template: course", "notify.push")

    found = said(the_workflow(tmp_path), **ANN)

    assert (found["title"], found["text"]) == ("Look", "Here 7001")


def test_a_step_chooses_between_messages_that_are_written_out(folder):
    message(folder, EN.replace("Dear", "Lieber"), "other")
    rule(folder, GIVEN.replace("template: course", 'template: \'= "course" if event.lots > 9 else "other"\''))

    assert said(the_workflow(folder), **ANN)["template"] == "other"


# --- what is wrong is said while loading


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("template: course,", "template: cuorse,", "course.yaml:9:42: error: there is no message `cuorse`; did you mean course?"),
        ("lots: =", "lot: =", "reads `lots` (templates/course.de.yaml:2:14), and this step gives it no such value; did you mean lot?"),
        (", vars: {lots: = event.lots, name: = client.first_name}", "", "reads `name` (templates/course.yaml:3:14), and this step gives it no such value: give it under `vars`"),
        ("template: course,", "template: = event.symbol,", "names of messages are written out"),
        ("template: course,", "template: 5,", "the name of a message is needed"),
        ("template: course,", "template: course, subject: mine,", "`subject` is what the message says: remove it"),
        ("template: course,", "template: course, template_version: '0123456789ab',", "`template_version` is for the hub to say: remove it"),
        ("template: course,", "subject: s, text: t,", "`vars` belongs to a message: name one with `template`"),
        ("lots: =", "client: =", "`client` cannot be the name of a value"),
        ("lots: =", "not: =", "`not` cannot be the name of a value"),
        ("lots: = event.lots", "lots: = event.lot", "unknown field event.lot"),
        ("vars: {lots: = event.lots, name: = client.first_name}", "vars: = event.lots", "values by name are needed"),
        ("template: course,", "template: course, language: 5,", "a language is needed, such as de"),
        ("template: course,", "template: course, txt: 5,", "notify.email has no parameter `txt`; did you mean text?"),
        ("name: =", "unread: 1, name: =", "warning: nothing in course reads `unread`"),
    ],
)  # fmt: skip
def test_a_step_that_does_not_fit_its_message_is_named_with_its_place(folder, before, after, expected):
    assert before in GIVEN
    rule(folder, GIVEN.replace(before, after))

    found = problems(folder)

    assert any(expected in each for each in found), found


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("course", EN.replace("{{ lots }} lots on", "{{ lots"), "templates/course.yaml:6:"),
        ("course", EN.replace("account.login", "account.logn"), "cannot read `account.logn` (templates/course.yaml:6:25)"),
        ("course", EN.replace("account.login", "client"), "a record: name one of its fields"),
        ("course", EN.replace("account.login", "account.equity"), "give it as one of the `vars`"),
        ("course", EN.replace("account.login", "event.deal"), "reads `event` (templates/course.yaml:6:25), and this step gives"),
        ("course", EN.replace("account.login", "''.__class__"), "templates/course.yaml:6:"),
        ("course", EN.replace("sms:", "smss:"), "templates/course.yaml:8:1: error: unknown key `smss`; did you mean sms?"),
        ("course", EN.replace("language: en\n", ""), "say which `language` this is in"),
        ("course", "schema: 1\nlanguage: en\n", "the message says nothing"),
        ("course", "a: [", "templates/course.yaml:"),
        ("course.de", DE.replace("subject: ", "sms: "), "`course` has no `subject` in de, which notify.email needs"),
        ("course.de", DE.replace("text: ", "sms: "), "`course` has no `text` nor `html` in de, which notify.email needs"),
        ("course.de", DE + "language: fr\n", "the file's name says de: remove `language`, or rename it"),
        ("course.en", EN, "`course` is there twice in en"),
        ("course.DE", DE, "a message's file is called NAME.yaml, or NAME.de.yaml"),
        ("other.de", DE, "`other` has no other.yaml"),
        ("course", EN + "about: " + "x" * MAX_BYTES, "the file has more than 128 KiB"),
        ("course", EN.replace("Dear", "x" * 16_385), "characters, 16384 are allowed"),
    ],
)  # fmt: skip
def test_a_message_that_is_wrong_is_named_with_its_place(folder, name, text, expected):
    message(folder, text, name)

    found = problems(folder)

    assert any(expected in each for each in found), found


def test_an_error_in_one_language_keeps_the_workflow_as_it_was(folder):
    message(folder, DE + "sbject: x\n", "course.de")

    loaded = load_folder([folder])

    assert loaded.unread == (("course.yaml", "course"),)
    assert any(
        "`course` cannot be used: " in str(each) and "course.de.yaml:4:1" in str(each)
        for each in loaded.problems
    )


def test_check_shows_the_line_of_a_message(folder):
    message(folder, EN.replace("sms:", "smss:"))

    report = check([folder])

    assert not report.ok
    assert 'smss: "{{ lots }} lots"' in report.text()
    assert report.data()["templates"] == ["course"]


def test_a_file_that_is_no_text_is_refused(folder):
    (folder / "templates" / "course.de.yaml").write_bytes(b"\xff\xfe")

    assert any("not valid UTF-8 at byte 0" in each for each in problems(folder))


def test_there_are_not_more_languages_than_may_be(folder):
    for number in range(MAX_LANGUAGES):
        message(folder, DE, f"course.x{chr(97 + number // 26)}{chr(97 + number % 26)}")

    assert any(f"at most {MAX_LANGUAGES} languages" in each for each in problems(folder))


def test_a_workflow_does_not_carry_more_words_than_may_be(folder):
    for number in range(20):
        words = EN.replace("Dear", "x" * 15_000)
        message(folder, words, f"long-{number}")
    steps = "\n".join(
        f"  - {{do: notify.email, with: {{{GIVEN.replace('template: course', f'template: long-{number}')}}}}}"
        for number in range(20)
    )
    text = RULE.format(verb="x", given="").partition("  - do")[0] + steps + "\n"
    (folder / "course.yaml").write_text(text)

    assert any("the messages of these steps have more than 256 KiB" in each for each in problems(folder))


# --- where they are


def test_a_folder_of_messages_holds_no_workflows(folder):
    assert [report.path for report in load_folder([folder]).reports] == [str(folder / "course.yaml")]


def test_a_file_alone_and_a_folder_within_find_the_same_messages(folder):
    inner = folder / "more"
    inner.mkdir()
    rule(inner, name="inner")

    assert load_alone(folder / "course.yaml").workflow is not None
    assert load_file(inner / "inner.yaml").workflow is not None
    assert {each.id for each in load_folder([folder]).workflows} == {"course", "inner"}


def test_another_folder_can_be_named(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("words")
    (folder / "templates").rename(elsewhere / "own")

    assert load_folder([folder]).workflows == ()
    assert len(load_folder([folder], elsewhere / "own").workflows) == 1


def test_one_name_in_two_folders_is_nobodys(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    message(other)

    found = read_messages([folder / "templates", other / "templates"])

    assert found.sound == {}
    assert "stands in several folders" in str(found.broken["course"])


def test_what_uses_a_blueprint_has_its_messages(folder):
    text = (folder / "course.yaml").read_text().replace("id: course\n", "blueprint: base\nversion: 1\n")
    (folder / "course.yaml").write_text(text.replace("mode: live\n", ""))
    (folder / "used.yaml").write_text("schema: 1\nid: used\nuse: base@1\nmode: live\n")

    workflow = the_workflow(folder)

    assert said(workflow, **ANN, language="de")["subject"] == "2.5 Lots"
    assert compile_stored(workflow.text, "used").hash == workflow.hash


# --- versions


def test_a_message_that_changes_is_a_new_version_of_who_names_it_and_of_nobody_else(folder):
    (folder / "plain.yaml").write_text(PLAIN)
    files = LiveFiles([folder])
    before = {each.id: each for each in files.loaded.workflows}

    message(folder, DE.replace("Lots", "Lot"), "course.de")
    read = files.look()

    after = {each.id: each for each in files.loaded.workflows}
    assert [report.workflow.id for report in read] == ["course"]
    assert after["course"].hash != before["course"].hash
    assert after["plain"] is before["plain"]
    assert files.look() == ()


def test_a_message_that_comes_and_goes_is_heard_of(folder):
    (folder / "templates" / "course.yaml").unlink()
    files = LiveFiles([folder])
    assert files.loaded.workflows == ()

    message(folder)
    files.look()
    assert [each.id for each in files.loaded.workflows] == ["course"]

    (folder / "templates" / "course.de.yaml").unlink()
    files.look()
    assert said(files.loaded.workflows[0], **ANN, language="de")["language"] == "en"


def test_what_is_said_of_a_message_does_not_change_a_version(folder):
    before = the_workflow(folder).hash
    message(folder, EN + "about: What it is for\n")

    assert the_workflow(folder).hash == before


def test_a_stored_version_says_what_it_said_then(folder):
    workflow = the_workflow(folder)
    message(folder, EN.replace("Dear", "Hi"))

    again = compile_stored(workflow.text, "course")

    assert (again.hash, again.text) == (workflow.hash, workflow.text)
    ann = ANN | {"first_name": "<b>Ann"}
    assert said(again, **ann) == said(workflow, **ann)
    assert "&lt;b&gt;Ann" in said(again, **ann)["html"]
    assert said(again, **ann)["text"].startswith("Dear <b>Ann")


def test_a_run_goes_on_with_the_words_it_began_with(folder):
    text = (
        (folder / "course.yaml").read_text().replace("steps:\n", "steps:\n  - {id: pause, wait: {for: 2h}}\n")
    )
    (folder / "course.yaml").write_text(text)
    old = the_workflow(folder)
    desk = Desk(old)
    desk.tell("client.linked", client="c1", changed={name: {"after": value} for name, value in ANN.items()})
    assert desk.tell("trade.closed", deal=1, net_profit="1", lots="2.5") == []

    message(folder, EN.replace("Dear", "Hi"))
    new = the_workflow(folder)
    desk.switch(new)
    desk.program.pin(compile_stored(old.text, "course"))  # as the engine has it from its store
    (intent,) = desk.until(MORNING + timedelta(hours=3))

    assert json.loads(intent.params)["text"].startswith("Dear Ann")
    desk.tell("trade.closed", deal=2, net_profit="1", lots="1")
    (later,) = desk.until(MORNING + timedelta(hours=6))
    assert json.loads(later.params)["text"].startswith("Hi Ann")


def test_a_workflow_that_names_none_is_stored_as_it_is_written(tmp_path):
    (tmp_path / "plain.yaml").write_text(PLAIN)
    message(tmp_path)

    assert the_workflow(tmp_path).text == PLAIN
    assert taken_apart(PLAIN) == (PLAIN, "")


def test_a_file_cannot_bring_messages_below_itself(folder):
    lower = below(load_folder([folder]).messages.sound)
    (folder / "course.yaml").write_text((folder / "course.yaml").read_text() + lower)

    assert load_folder([folder]).workflows == ()


@pytest.mark.parametrize(
    "lower",
    [
        "nonsense",
        "{}",
        '{"language":"x","messages":{"a":{"default":"en","languages":{"de":{"text":"x"}}}}}',
        '{"language":"x","messages":{"a":{"default":"en","languages":{"en":{"text":"{{"}}}}}',
    ],
)
def test_a_stored_version_with_messages_that_cannot_be_read_is_said_to_be_so(lower):
    report = load_text(f"{PLAIN}\n--- # messages\n{lower}", "plain (stored)")

    assert report.workflow is None
    assert "its messages cannot be read" in str(report.problems[0])


# --- the command line


def test_the_command_lists_messages_and_who_uses_them(folder, capsys):
    assert list_templates([folder], None, as_json=True) == 0

    (found,) = json.loads(capsys.readouterr().out)
    assert (found["name"], found["languages"], found["workflows"]) == ("course", ["en", "de"], ["course"])

    message(folder, EN + "nonsense: 1\n")
    assert list_templates([folder], None, as_json=False) == 1
    assert "unknown key `nonsense`" in capsys.readouterr().err


def test_the_command_shows_a_message_in_every_language(folder, capsys):
    assert show_template("course", [folder], None, as_json=True) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["languages"]["en"]["reads"] == ["account.login", "lots", "name"]
    assert found["languages"]["de"]["parts"]["text"] == "Sie handelten {{ lots }} Lots."

    show_template("course", [folder], None, as_json=False)
    assert "| Sie handelten {{ lots }} Lots." in capsys.readouterr().out


def test_the_command_fills_a_message_in(folder, capsys):
    values = ["lots=2.50", "name=<Ann>\r\nBcc: x", "account.login=7001"]
    assert render_template("course", values, "", "notify.email", [folder], None, as_json=True) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["parts"] == {
        "subject": "<Ann> Bcc: x & 2.50 lots",
        "text": "Dear <Ann>\r\nBcc: x,\n2.50 lots on 7001.\n",
        "html": '<p title="&lt;Ann&gt;\r\nBcc: x">2.50 lots</p>',
    }
    render_template("course", values, "de-CH", "", [folder], None, as_json=False)
    assert "| Sie handelten 2.50 Lots." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "values", "verb", "expected"),
    [
        ("coarse", [], "", "there is no message coarse here; did you mean course?"),
        ("course", [], "", "is missing"),
        ("course", ["lots"], "", "write NAME=VALUE"),
        ("course", ["a=1", "a.b=1"], "", "a has a value already"),
        ("course", [], "crm.note", "crm.note sends no messages by name"),
    ],
)
def test_the_command_says_what_it_needs(folder, name, values, verb, expected):
    with pytest.raises(ConfigError, match=expected):
        render_template(name, values, "", verb, [folder], None, as_json=False)


def test_the_command_says_where_nothing_is(tmp_path):
    with pytest.raises(ConfigError, match="there is no"):
        list_templates([tmp_path / "none"], None, as_json=False)


# --- a hub that runs


def test_what_is_wrong_with_a_message_is_shown_beside_what_is_wrong_with_workflows(folder):
    files = LiveFiles([folder], Setup(frozenset({"a"})))
    message(folder, EN + "nonsense: 1\n")

    files.look()

    assert "unknown key `nonsense`" in str(files.loaded.problems[-1])
    assert files.loaded.workflows == ()


def test_while_the_folder_of_messages_is_away_nothing_is_gone(folder, tmp_path_factory):
    away = tmp_path_factory.mktemp("words") / "own"
    (folder / "templates").rename(away)
    files = LiveFiles([folder], templates=away)
    assert len(files.loaded.workflows) == 1

    away.rename(away.parent / "elsewhere")

    assert files.look() == ()
    assert (len(files.loaded.workflows), files.away) == (1, (away,))


def test_a_folder_of_messages_that_is_configured_has_to_be_there(tmp_path):
    with pytest.raises(ConfigError, match="templates: there is no folder"):
        templates_at(Settings(templates=tmp_path / "none"))
    assert templates_at(Settings(templates=tmp_path)) == tmp_path
    assert templates_at(Settings()) is None


WORDS = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    [
        "{{ a }}",
        "{% if",
        "{{ a.b|default('x') }}",
        "{{ [1]*9 }}",
        "{% for x in a %}{{ x }}{% endfor %}",
        "{{ a() }}",
    ]
)


@given(
    parts=st.dictionaries(
        st.sampled_from(["schema", "language", "about", "subject", "text", "html", "sms", "push", "x"]),
        WORDS | st.integers() | st.dictionaries(st.sampled_from(["title", "text"]), WORDS),
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_of_a_message_is_read_with_anything_but_an_error_in_its_place(tmp_path, parts):
    path = tmp_path / "any.yaml"
    path.write_text(json.dumps({"schema": 1, "language": "en"} | parts), encoding="utf-8")

    found = read_messages([tmp_path])

    assert len(found.sound) + len(found.broken) == 1
    assert all(each.place.path == str(path) and each.place.line == 1 for each in found.problems)
