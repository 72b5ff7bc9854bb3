"""Declarations that change while the hub runs."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hub.engine.live_files import LiveFiles, _say
from hub.events.declared import Undeclared

SEEN = """\
schema: 1
event: custom.seen
version: 1
about: Something was seen.
fields: {amount: decimal}
"""
HEARS = """\
schema: 1
id: hears
title: t
when: [{event: custom.seen, where: event.amount > 1}]
steps: [{do: account.disable, id: a}]
"""
OTHER = HEARS.replace("id: hears", "id: other").replace(
    "{event: custom.seen, where: event.amount > 1}", "{event: trade.closed}"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "seen.yaml").write_text(SEEN)
    (tmp_path / "hears.yaml").write_text(HEARS)
    (tmp_path / "other.yaml").write_text(OTHER)
    return tmp_path


def declare(folder: Path, *pairs: tuple[str, str]) -> None:
    text = SEEN
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    # Of another size each time: whether a clock ticked in between does not matter.
    before = (folder / "seen.yaml").stat().st_size if (folder / "seen.yaml").exists() else 0
    (folder / "seen.yaml").write_text(text + "#\n" * (1 + (len(text) + 2 == before)))


def workflow(files: LiveFiles, name: str) -> object:
    return next((each for each in files.loaded.workflows if each.id == name), None)


def read_again(files: LiveFiles) -> set[str]:
    return {Path(report.path).name for report in files.look()}


def test_a_changed_declaration_is_in_force_and_reads_again_what_names_it_alone(folder: Path) -> None:
    files = LiveFiles([folder])
    hears, other = workflow(files, "hears"), workflow(files, "other")
    assert read_again(files) == set()

    declare(folder, ("version: 1", "version: 2"), ("{amount: decimal}", "{amount: integer}"))

    assert read_again(files) == {"seen.yaml", "hears.yaml"}
    found = files.declared().get("custom.seen")
    assert found is not None
    assert found.version == 2
    assert workflow(files, "other") is other
    assert workflow(files, "hears") is not hears
    assert read_again(files) == set()


def test_words_alone_change_no_version_of_a_workflow(folder: Path) -> None:
    files = LiveFiles([folder])
    before = {each.id: each.hash for each in files.loaded.workflows}

    declare(folder, ("Something was seen.", "Somebody saw something."))
    files.look()

    assert {each.id: each.hash for each in files.loaded.workflows} == before
    found = files.declared().get("custom.seen")
    assert found is not None
    assert found.about == "Somebody saw something."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("{amount: decimal}", "{amount: string}"), "5:10: error: `amount` was of type decimal in version 1 and is string"),
        (("{amount: decimal}", "{amuont: decimal}"), "`amount` was there in version 1 and is gone"),
        (("{amount: decimal}", "{amount: decimla}"), "a field is of type"),
        (("about: Something was seen.\n", ""), "`about` is missing"),
    ],
)  # fmt: skip
def test_a_declaration_that_cannot_be_used_leaves_the_last_one_in_force(
    folder: Path, change: tuple[str, str], said: str
) -> None:
    files = LiveFiles([folder])
    before, hears = files.declared().get("custom.seen"), workflow(files, "hears")

    declare(folder, change)
    (report,) = files.look()

    assert said in str(report.problems[0])
    assert files.declared().get("custom.seen") is before
    assert workflow(files, "hears") is hears
    with capture_logs() as logs:
        _say(report)
    assert [each["event"] for each in logs] == ["event.not_declared"]

    declare(folder, ("{amount: decimal}", "{amount: decimal, more: {type: string, required: false}}"))
    files.look()

    after = files.declared().get("custom.seen")
    assert after is not None
    assert after is not before
    assert files.loaded.problems == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "the file is not a mapping"),
        (SEEN.encode() + b"example: {amount: [}\n", "not valid YAML"),
        (SEEN.replace("Something", "Caf\xe9").encode("latin-1"), "not valid UTF-8"),
        (SEEN.encode() + b"#" * 300_000, "more than 256 KiB"),
    ],
)
def test_a_declaration_that_is_no_yaml_any_more_leaves_the_last_one_in_force(
    folder: Path, text: bytes, said: str
) -> None:
    files = LiveFiles([folder])
    hears = workflow(files, "hears")
    (folder / "seen.yaml").write_bytes(text)

    (report,) = files.look()

    assert report.declares
    assert said in str(report.problems[0])
    assert "custom.seen" in files.declared().types
    assert workflow(files, "hears") is hears

    (folder / "seen.yaml").write_text(OTHER)
    files.look()

    assert files.declared().types == {}


def test_a_declaration_that_never_could_be_read_is_named_by_whoever_needs_it(folder: Path) -> None:
    (folder / "seen.yaml").write_text(SEEN + "example: {amount: [}\n")

    said = [str(each) for each in LiveFiles([folder]).loaded.problems]

    assert any(
        "hears.yaml" in each and "seen.yaml, and what stands there cannot be used" in each for each in said
    )


def test_a_second_file_for_an_event_changes_nothing_until_one_of_them_goes(folder: Path) -> None:
    files = LiveFiles([folder])
    before = files.declared().get("custom.seen")
    (folder / "again.yaml").write_text(SEEN.replace("version: 1", "version: 2"))

    files.look()
    assert files.declared().get("custom.seen") is before
    assert len([each for each in files.loaded.problems if "also declared in" in each.message]) == 2

    (folder / "seen.yaml").unlink()
    files.look()

    found = files.declared().get("custom.seen")
    assert found is not None
    assert found.version == 2
    assert files.loaded.problems == ()


def test_a_declaration_that_is_gone_declares_nothing_and_its_workflows_say_so(folder: Path) -> None:
    files = LiveFiles([folder])
    (folder / "seen.yaml").unlink()

    assert read_again(files) == {"hears.yaml"}

    assert files.declared().types == {}
    assert "declared nowhere" in str(files.loaded.problems[0])
    assert workflow(files, "hears") is not None


def test_a_folder_that_is_away_takes_no_declaration_with_it(folder: Path) -> None:
    files = LiveFiles([folder])
    folder.rename(folder.with_name("away"))

    files.look()

    assert "custom.seen" in files.declared().types


def test_a_hub_that_takes_declared_events_only_says_so_before_it_has_files(tmp_path: Path) -> None:
    assert LiveFiles([], undeclared=Undeclared.REFUSE).declared().undeclared is Undeclared.REFUSE


def test_a_declaration_beside_a_single_workflow_is_followed_too(folder: Path) -> None:
    (folder / "events").mkdir()
    (folder / "seen.yaml").rename(folder / "events" / "seen.yaml")
    files = LiveFiles([folder / "hears.yaml"])
    assert "custom.seen" in files.declared().types

    (folder / "events" / "seen.yaml").write_text(SEEN.replace("version: 1", "version: 12"))

    assert read_again(files) == {"hears.yaml", "seen.yaml"}
    assert files.declared().types["custom.seen"].version == 12

    (folder / "events" / "seen.yaml").write_text(
        SEEN.replace("version: 1", "version: 12").replace("amount", "sum")
    )
    (refused,) = files.look()

    assert "`amount` was there in version 12 and is gone" in str(refused.problems[0])
    assert files.look() == ()


def test_a_declaration_that_is_said_is_logged_with_its_version(folder: Path) -> None:
    files = LiveFiles([folder])
    declare(folder, ("version: 1", "version: 2"))

    with capture_logs() as logs:
        for report in files.look():
            _say(report)

    assert {each["event"]: each.get("version") for each in logs} == {
        "event.declared": 2,
        "workflow.read": None,
    }
