"""What stories reach of a workflow, and what of it they never come to."""

import json
from pathlib import Path

import pytest

from hub.commands.test import run_stories
from hub.engine.coverage import Point, points_of
from hub.engine.load_text import load_text
from hub.engine.story import run_story_files

RULE = """schema: 1
id: rule
title: a rule
owner: tests
mode: live
key: account
scope: account.type == "real"
when:
  - {id: big, event: trade.closed, where: event.lots > 5}
  - {id: many, event: trade.opened}
limit: {max: 1, every: 30d}
steps:
  - id: kind
    if: event.lots > 10
    then: [{id: large, do: event.publish, with: {type: custom.large}}]
    else: [{id: small, do: event.publish, with: {type: custom.small}}]
  - {id: last, do: event.publish, with: {type: custom.last}}
"""
STORIES = """workflow: rule
tests:
  - name: a big one
    given: {account: {type: real}}
    story:
      - {at: 2026-03-02T10:00Z, event: {type: trade.closed, lots: 12}}
      - expect: [{action: event.publish}, {action: event.publish}]
      - {at: 2026-03-02T11:00Z, event: {type: trade.closed, lots: 12}, expect_none: true, why: "limit: 1 run(s)"}
      - {at: 2026-03-02T12:00Z, event: {type: trade.closed, lots: 1}, expect_none: true}
"""
ONCE = "  - {id: last"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rule.yaml").write_text(RULE, encoding="utf-8")
    (tmp_path / "rule.test.yaml").write_text(STORIES, encoding="utf-8")
    return tmp_path


async def coverage(folder):
    report = await run_story_files([folder])
    assert report.passed, report
    (found,) = report.coverage
    return found


async def test_it_counts_what_was_reached_and_names_what_was_not(folder):
    found = await coverage(folder)

    assert found.points[Point("trigger", "big")]
    assert found.points[Point("step", "large")]
    assert found.points[Point("branch", "kind holds")]
    assert found.missing == ["trigger many", "no scope", "branch kind does not", "step small"]
    assert found.of().percent == 60  # 6 of 10
    assert found.stories == 1


async def test_a_reason_to_say_no_counts_once_a_story_tells_it(folder):
    found = await coverage(folder)
    assert (found.points[Point("no", "limit")], found.points[Point("no", "where")]) == (True, True)

    demo = (
        STORIES
        + """  - name: not a demo account
    given: {account: {type: demo}}
    story: [{at: 2026-03-02T10:00Z, event: {type: trade.closed, lots: 12}, expect_none: true}]
"""
    )
    (folder / "rule.test.yaml").write_text(demo, encoding="utf-8")
    assert "no scope" not in (await coverage(folder)).missing


async def test_steps_after_a_restart_are_seen_too(folder):
    waits = RULE.replace(ONCE, "  - wait: {for: 1h}\n" + ONCE)
    (folder / "rule.yaml").write_text(waits, encoding="utf-8")
    stories = STORIES.replace(
        "      - expect: [{action: event.publish}, {action: event.publish}]",
        "      - expect: [{action: event.publish}]\n      - {at: 2026-03-02T10:30Z, restart: hub}\n"
        "      - {at: 2026-03-02T11:00Z, expect: [{action: event.publish}]}",
    )
    (folder / "rule.test.yaml").write_text(stories, encoding="utf-8")

    assert (await coverage(folder)).points[Point("step", "last")]


async def test_a_workflow_without_stories_is_listed_with_nothing_reached(folder):
    (folder / "other.yaml").write_text(RULE.replace("id: rule", "id: other"), encoding="utf-8")

    report = await run_story_files([folder])

    assert [(each.workflow, each.stories) for each in report.coverage] == [("other", 0), ("rule", 1)]
    assert report.coverage[0].of().reached == 0


def test_the_end_of_quiet_hours_is_no_step_of_the_file():
    quiet = 'quiet_hours: {from: "21:00", to: "08:00", tz: UTC, then: delay}\n'
    workflow = load_text(RULE + quiet, "rule.yaml").workflow
    assert workflow is not None

    assert {point.name for point in points_of(workflow) if point.part == "step"} == {"large", "small", "last"}


def test_too_little_coverage_is_a_finding(folder, capsys):
    assert run_stories([folder], None, 60, coverage=False, as_json=True) == 0
    assert run_stories([folder], None, 61, coverage=False, as_json=True) == 1

    told = capsys.readouterr()
    assert "rule: 60 % is less than 61 %: trigger many, no scope" in told.err
    (first, _) = told.out.splitlines()
    assert json.loads(first)["coverage"][0]["branches"] == {"kind holds": True, "kind does not": False}


def test_errors_in_files_are_no_stories_that_failed(folder, capsys):
    run_stories([folder], None, 0, coverage=False, as_json=False)
    assert "1 story passed\n" in capsys.readouterr().out

    for name in ("broken", "other"):
        (folder / f"{name}.yaml").write_text(
            RULE.replace("id: rule", f"id: {name}\nonce: true"), encoding="utf-8"
        )
        (folder / f"{name}.test.yaml").write_text(
            STORIES.replace("workflow: rule", f"workflow: {name}"), encoding="utf-8"
        )

    assert run_stories([folder], None, 0, coverage=False, as_json=False) == 1
    assert "1 story passed, 2 errors in their files\n" in capsys.readouterr().out


def test_the_table_says_what_is_not_reached(folder, capsys):
    run_stories([folder], None, 0, coverage=True, as_json=False)

    assert "trigger many, no scope, branch kind does not, step small" in capsys.readouterr().out


def test_being_watched_changes_nothing_that_is_decided(folder):
    junit = folder / "junit.xml"

    assert run_stories([folder], junit, 0, coverage=True, as_json=False) == 0

    assert 'tests="1"' in junit.read_text(encoding="utf-8")
    assert "<failure" not in junit.read_text(encoding="utf-8")


async def test_what_people_are_only_shown_was_not_done(folder):
    asks = RULE.replace(
        ONCE,
        "  - {id: sign_off, approve: {permission: money.approve, within: 1h}}\n"
        "  - if: steps.sign_off.decision == 'approved'\n"
        "    then: [{id: paid, do: event.publish, with: {type: custom.paid}}]\n" + ONCE,
    )
    (folder / "rule.yaml").write_text(asks, encoding="utf-8")
    stories = STORIES.replace(
        "      - expect: [{action: event.publish}, {action: event.publish}]",
        "      - expect: [{action: event.publish}]\n"
        "      - {decline: sign_off, by: ann, expect: [{action: event.publish}]}",
    )
    (folder / "rule.test.yaml").write_text(stories, encoding="utf-8")

    found = await coverage(folder)

    assert found.points[Point("step", "sign_off")]
    assert not found.points[Point("step", "paid")]


async def test_what_a_grant_books_and_takes_back_is_reached_apart(folder):
    shipped = Path(__file__).parents[3] / "workflows"

    report = await run_story_files([shipped / "monthly-volume-bonus.test.yaml"])

    points = report.coverage[0].points
    assert points[Point("trigger", "bonus")]
    assert points[Point("trigger", "bonus, taken back")]


async def test_what_forks_is_reached_with_its_branches_and_items(folder):
    forks = """  - parallel:
      - {id: left, do: event.publish, with: {type: custom.left}}
      - - {id: right, do: event.publish, with: {type: custom.right}}
  - id: each
    for_each:
      in: event.numbers
      as: ticket
      steps: [{id: item, do: event.publish, with: {type: custom.item, data: {number: = ticket}}}]
"""
    rule = RULE.replace("event: trade.opened", "event: custom.go").split("  - id: kind")[0]
    (folder / "rule.yaml").write_text(rule.replace(", where: event.lots > 5", "") + forks, encoding="utf-8")
    told = """workflow: rule
tests:
  - name: two items
    given: {account: {type: real}}
    story:
      - at: 2026-03-02T10:00Z
        event: {type: custom.go, numbers: [1, 2]}
        expect: [{}, {}, {}, {}]
"""
    (folder / "rule.test.yaml").write_text(told, encoding="utf-8")

    found = await coverage(folder)

    assert [point for point in found.missing if point.startswith("step")] == []
    assert {point.name for point in found.points if point.part == "step"} == {
        "0",
        "left",
        "right",
        "each",
        "item",
    }
