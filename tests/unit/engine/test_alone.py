"""One file by itself: a use of a blueprint is tested, told events and compared like any other workflow."""

from pathlib import Path

import pytest

from hub.engine.alone import load_alone
from hub.engine.story import run_story_files

BLUEPRINT = """schema: 1
blueprint: big
version: 1
title: Tell of large trades
params: {lots: {type: number, default: 5}}
when: [{event: trade.closed, where: event.lots > params.lots}]
steps: [{do: event.publish, with: {type: custom.big}}]
"""
USE = "schema: 1\nid: big-ftmo\nuse: big@1\nmode: shadow\nowner: risk\nparams: {lots: 10}\n"
STORY = """workflow: big-ftmo
tests:
  - name: eleven lots are large
    story:
      - {at: 2026-03-02T10:00Z, event: {type: trade.closed, lots: 11}, expect: [{action: event.publish}]}
      - {at: 2026-03-02T11:00Z, event: {type: trade.closed, lots: 9}, expect_none: true}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "big.yaml").write_text(BLUEPRINT, encoding="utf-8")
    (tmp_path / "big-ftmo.yaml").write_text(USE, encoding="utf-8")
    return tmp_path


def test_a_use_is_loaded_with_the_blueprint_beside_it(folder):
    found = load_alone(folder / "big-ftmo.yaml").workflow

    assert found is not None
    assert (found.id, str(found.params["lots"])) == ("big-ftmo", "10")


def test_a_blueprint_is_a_workflow_with_its_own_values(folder):
    found = load_alone(folder / "big.yaml").workflow

    assert found is not None
    assert str(found.params["lots"]) == "5"


def test_a_use_without_its_blueprint_says_what_is_missing(folder):
    (folder / "big.yaml").unlink()

    report = load_alone(folder / "big-ftmo.yaml")

    assert report.workflow is None
    assert "there is no blueprint big" in str(report.problems[0])


async def test_stories_are_told_of_uses_too(folder):
    (folder / "big-ftmo.test.yaml").write_text(STORY, encoding="utf-8")

    report = await run_story_files([folder / "big-ftmo.test.yaml"])

    assert report.passed
    assert [result.name for result in report.results] == ["eleven lots are large"]
    assert report.coverage[0].of().percent == 100


def test_another_file_of_that_name_further_down_is_not_meant(folder):
    (folder / "a").mkdir()
    (folder / "a" / "big-ftmo.yaml").write_text(USE.replace("big-ftmo", "other"), encoding="utf-8")

    found = load_alone(folder / "big-ftmo.yaml").workflow

    assert found is not None
    assert found.id == "big-ftmo"
