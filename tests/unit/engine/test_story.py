"""`hub test`: stories pass when they are true, and say what happened instead when they are not."""

import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from unit.engine.desk import a_workflow

from hub.commands.test import run_stories
from hub.engine.story import run_story, run_story_files
from hub.engine.storybook import read_stories, read_story_file, story_files
from hub.errors import ConfigError

SHIPPED = Path(__file__).parents[3] / "workflows"
BONUS = """
params: {min_lots: {type: number, default: 20}}
scope: account.type == "real"
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: {calendar: month, tz: Europe/Nicosia}}
when: [{becomes: lots > params.min_lots}]
limit: {max: 1, every: 30d}
steps:
  - {id: bonus, do: credit.grant, with: {amount: = 2 * lots}}
  - {id: tell, do: event.publish, with: {type: custom.granted, data: {ticket: = steps.bonus.ticket}}}
"""
GIVEN = "given: {account: {server: live-1, login: 7001, type: real, currency: USD}}"


async def told(steps, *, given=GIVEN, workflow=BONUS, key="account"):
    lines = "\n".join(f"      - {step}" for step in steps)
    text = f"workflow: bonus\ntests:\n  - name: a story\n    {given}\n    story:\n{lines}\n"
    book = read_stories(text, "bonus.test.yaml")
    assert book.file is not None, [str(problem) for problem in book.problems]
    return await run_story(a_workflow(workflow, id="bonus", key=key), book.file.tests[0], book.places[0])


FIRST = "{at: 2026-03-02T10:00+02:00, event: {type: trade.closed, lots: 12}}"
SECOND = "{at: 2026-03-03T10:00+02:00, event: {type: trade.closed, lots: 13}}"


async def test_a_true_story_passes():
    result = await told([
        FIRST,
        "{expect_none: true, why: 'lots > params.min_lots is false (12 > 20)'}",
        "{restart: hub}",
        SECOND,
        "{expect: [{action: credit.grant, login: 7001, amount: 50, key: bonus/live-1:7001/becomes/1/bonus}, {action: event.publish, type: custom.granted}]}",
        "{at: 2026-03-04T10:00+02:00, event: {type: trade.closed, lots: 1}, expect_none: true}",
    ])  # fmt: skip

    assert result.failures == ()


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([SECOND, "{expect: [{action: credit.grant}]}"], "lots > params.min_lots is false (13 > 20)"),
        ([FIRST, SECOND, "{expect: [{action: credit.grant, amount: 51}, {action: event.publish}]}"], "amount: expected 51, got 50.00"),
        ([FIRST, SECOND, "{expect: [{action: credit.grant}]}"], "this was asked for as well"),
        ([FIRST, SECOND, "{expect_none: true}"], "expected no intent, but this was asked for"),
        ([FIRST, "{expect_none: true, why: nonsense}"], "expected silence because\n  nonsense"),
        ([FIRST, SECOND], "ends with intents it says nothing about"),
        ([SECOND, FIRST], "a story goes forward"),
        (["{at: 2026-03-02T10:00Z, event: {type: trade.clozed}}"], "unknown event type trade.clozed"),
        (["{at: 2026-03-02T10:00Z, event: {type: trade.closed, lots: many}}"], "trade.closed: lots"),
    ],
)  # fmt: skip
async def test_an_untrue_story_says_what_happened_instead_and_why(steps, said):
    result = await told(steps)

    assert said in "\n".join(result.failures)


async def test_a_story_can_say_that_an_action_is_refused():
    given = "given: {account: {type: real, login: 7001}, answers: {credit.grant: rejected}}"

    result = await told(
        [
            FIRST,
            SECOND,
            "{expect: [{action: credit.grant}]}",
            "{expect_none: true, why: 'credit.grant was rejected'}",
        ],
        given=given,
    )

    assert result.failures == ()


async def test_the_shipped_workflows_do_what_their_stories_say():
    report = await run_story_files([SHIPPED])

    assert report.problems == ()
    assert [(result.name, result.failures) for result in report.results if not result.passed] == []
    assert len(report.results) >= 150
    assert {each.workflow: each.of().percent for each in report.coverage if each.of().percent < 75} == {}
    unreached = {(each.workflow, name) for each in report.coverage for name in each.missing}
    assert {
        (workflow, name) for workflow, name in unreached if name not in {"no limit", "no run mode"}
    } == set()
    # Dozens of runs a day, or two at a time that end at once: no story goes that far.
    assert {workflow for workflow, _ in unreached} <= {
        "crm-deposits",
        "kyc-gate",
        "margin-call",
        "weekend-holding",
    }


def test_every_shipped_workflow_has_a_story_that_says_no_and_why():
    for path in story_files([SHIPPED]):
        book = read_story_file(path)
        assert book.file is not None
        steps = [step for story in book.file.tests for step in story.story]
        assert any(step.expect_none and step.why for step in steps), path.name


async def test_the_report_is_junit_with_a_place_for_every_story(tmp_path):
    (tmp_path / "bonus.yaml").write_text((SHIPPED / "volume-bonus-instant.yaml").read_text())
    (tmp_path / "bonus.test.yaml").write_text(
        "workflow: volume-bonus-instant\ntests:\n  - name: a lie\n    story: [{at: 2026-03-02T10:00Z, expect: [{action: credit.grant}]}]\n"
    )
    (tmp_path / "lost.test.yaml").write_text("workflow: lost\ntests: []\n")

    report = await run_story_files([tmp_path])

    root = ET.fromstring(report.junit())
    assert [(case.get("name"), case[0].tag) for case in root.iter("testcase")] == [
        ("a lie", "failure"),
        ("load", "error"),
    ]
    assert [(each.get("failures"), each.get("errors")) for each in root] == [("1", "0"), ("0", "1")]
    assert not report.passed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "workflow: x\ntests: [{name: a, story: [{at: 2026-03-02T10:00, restart: hub}]}]",
            "names its offset",
        ),
        ("workflow: x\ntests: [{name: a, story: [{at: noon, restart: hub}]}]", "x.test.yaml:2:"),
        *[
            (
                f"workflow: x\ntests: [{{name: a, story: [{{at: {at}, restart: hub}}]}}]",
                "between 1970 and 2199",
            )
            for at in ("0001-01-01T00:00Z", "9999-12-31T23:59-10:00", "1950-01-01T00:00Z")
        ],
        (
            "workflow: x\ntests: [{name: a, story: [{restart: hub, sample: {}}]}]",
            "one thing happens in a step",
        ),
        ("workflow: x\ntests: [{name: a, stories: []}]", "unknown key `stories`; did you mean story?"),
        ("workflow: x\nworkflow: y", "x.test.yaml:2:1"),
    ],
)
def test_a_story_file_that_cannot_be_read_says_where(text, said):
    book = read_stories(text, "x.test.yaml")

    assert book.file is None
    assert said in "\n".join(str(problem) for problem in book.problems)


BY_CLIENT = """
aggregates:
  lots: {from: trade.closed, sum: event.lots, window: lifetime}
when: [{becomes: lots > 20}]
steps: [{do: event.publish, with: {type: custom.much, data: {who: = client.id, lots: = lots}}}]
"""
THREE = "given: {client: {id: c-1}, account: {server: live-1, login: 7001}, accounts: [{server: live-1, login: 7002}]}"


async def test_a_story_is_told_of_several_accounts_of_a_client():
    second = "{at: 2026-03-03T10:00+02:00, event: {type: trade.closed, lots: 13, account: {server: live-1, login: 7002}}}"
    true = await told(
        [
            FIRST,
            "{expect_none: true, why: 'lots > 20 is false (12 > 20)'}",
            "{restart: hub}",
            second,
            "{expect: [{action: event.publish, type: custom.much, key: bonus/client=c-1/becomes/1/0}]}",
        ],
        given=THREE,
        workflow=BY_CLIENT,
        key="client",
    )
    false = await told(
        [FIRST, "{expect: [{action: event.publish}]}"], given=THREE, workflow=BY_CLIENT, key="client"
    )

    assert true.failures == ()
    assert "lots > 20 is false (12 > 20)" in str(false.failures)


async def test_a_story_is_told_of_a_key_that_is_worked_out():
    second = "{at: 2026-03-03T10:00+02:00, event: {type: trade.closed, lots: 13, account: {server: live-1, login: 7002, country: CY}}}"
    by_country = BY_CLIENT.replace("who: = client.id, ", "")
    true = await told(
        [
            FIRST,
            "{expect_none: true, why: 'lots > 20 is false (12 > 20)'}",
            "{restart: hub}",
            second,
            "{expect: [{action: event.publish, type: custom.much, key: bonus/account.country=CY/becomes/1/0}]}",
        ],
        given="given: {account: {server: live-1, login: 7001, country: CY}, accounts: [{server: live-1, login: 7002, country: CY}]}",
        workflow=by_country,
        key="account.country",
    )
    none = await told(
        [FIRST, "{expect: [{action: event.publish}]}"],
        given="given: {account: {server: live-1, login: 7001}}",
        workflow=by_country,
        key="account.country",
    )

    assert true.failures == ()
    assert none.failures != ()


OFFER = """
when: [{becomes: lots > 10}]
aggregates: {lots: {from: trade.closed, sum: event.lots, window: lifetime}}
steps:
  - {do: notify.email, with: {to: a@b.c, subject: An offer, text: An offer, category: marketing}}
"""


async def test_a_message_that_is_held_back_is_silence_with_its_reason():
    asked_for = "{expect: [{action: notify.email}]}"
    silent = "{expect_none: true, why: client.consent_marketing is missing}"
    named = "{expect: [{action: notify.email, state: suppressed}]}"

    held_back = await told([FIRST, silent], workflow=OFFER)
    by_name = await told([FIRST, named], workflow=OFFER)
    mistaken = await told([FIRST, asked_for], workflow=OFFER)

    assert (held_back.failures, by_name.failures) == ((), ())
    assert "it was suppressed (client.consent_marketing is missing" in mistaken.failures[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{at: 2026-03-02T10:00Z, evnt: {type: trade.closed}}", "6:33: error: unknown key `evnt`; did you mean event?"),
        ("{at: tomorrow}", "6:14: error: `at`: 'tomorrow' is no time: write it as in 2026-03-02T10:00+02:00"),
        ("{event: {lots: 1}}", "6:17: error: `type` is missing: the type of the event, such as trade.closed"),
        ("{sample: {equity: much}}", "6:27: error: `equity` is a plain number, not `much`"),
        ("{sample: {equty: 5}}", "6:19: error: unknown key `equty`; did you mean equity?"),
        ("{expect_none: false}", "6:23: error: `expect_none` is true, or left out"),
        ("{by: carl}", "6:9: error: `by` says who decides, beside approve or decline"),
        ("[]", "6:9: error: an item of `story` is a mapping, `key: value`, not a list"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_story_is_said_where_it_stands(line, said):
    book = read_stories(
        f"workflow: rule\ntests:\n  - name: x\n    given: {{}}\n    story:\n      - {line}\n",
        "rule.test.yaml",
    )

    assert [str(problem) for problem in book.problems] == [f"rule.test.yaml:{said}"]


def test_an_answer_that_cannot_be_one_is_said_once():
    text = "workflow: rule\ntests:\n  - name: x\n    given: {http: {crm: {stats: 5}}}\n    story: [{}]\n"

    (problem,) = read_stories(text, "rule.test.yaml").problems

    assert problem.message == "unknown key `stats`; did you mean status?"


async def test_stories_without_their_workflow_say_where_it_should_be(tmp_path):
    (tmp_path / "gone.test.yaml").write_text("workflow: gone\ntests: [{name: x, story: [{}]}]\n")

    report = await run_story_files([tmp_path])

    assert [problem.message for problem in report.problems] == [
        "there is no gone.yaml beside it: stories stand in NAME.test.yaml beside NAME.yaml"
    ]


@pytest.mark.parametrize(("place", "said"), [("no/such/j.xml", "make it first"), (".", "is a folder")])
def test_a_report_that_cannot_be_written_is_said_before_any_story_is_told(tmp_path, place, said):
    with pytest.raises(ConfigError, match=said):
        run_stories([SHIPPED], tmp_path / place, 0, coverage=False, as_json=False)


async def test_a_pipe_or_a_device_is_no_story(tmp_path):
    os.mkfifo(tmp_path / "pipe.test.yaml")
    (tmp_path / "endless.test.yaml").symlink_to("/dev/zero")

    assert list(story_files([tmp_path, tmp_path / "pipe.test.yaml"])) == []


def test_a_story_file_is_read_no_further_than_it_may_be(tmp_path):
    (tmp_path / "long.test.yaml").write_text("# " + "x" * 300_000)

    (problem,) = read_story_file(tmp_path / "long.test.yaml").problems

    assert problem.message == "the file has more than 256 KiB: split it"


async def test_a_story_tells_rates_and_what_is_booked_by_them():
    workflow = """
params: {prize: {type: money, default: 50, currency: USD}}
when: [{event: trade.closed}]
limit: {max: 9, every: 1d}
steps: [{id: pay, do: credit.grant, with: {amount: = params.prize}}]
"""
    euros = GIVEN.replace("USD", "EUR")
    result = await told(
        [
            FIRST,
            "{expect_none: true}",
            "{at: 2026-03-02T11:00+02:00, rates: {EUR: 1.25}}",
            "{expect: [{action: credit.grant, amount: 40}]}",
            "{restart: hub}",
            "{event: {type: trade.closed}, expect: [{action: credit.grant, amount: 40}]}",
            "{at: 2026-03-12T10:00+02:00, event: {type: trade.closed}, expect_none: true, why: which is too old}",
        ],
        given=euros,
        workflow=workflow,
    )
    assert result.failures == ()

    fixed = euros.replace("given: {", "given: {rates: {EUR: 1.6}, ")
    again = await told(
        [FIRST, "{expect: [{action: credit.grant, amount: 31.25}]}"], given=fixed, workflow=workflow
    )
    assert again.failures == ()
