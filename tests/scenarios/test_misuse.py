"""What an operator can get wrong at the start: one clear sentence, exit code 2, and nothing lost."""

import socket
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from processes.terminal import ran

from hub.store.sqlite.database import FILE, Folder


def hub(*arguments: str) -> tuple[int, str]:
    """Run a command that is refused; return its exit code and what it said on stderr."""
    code, _, errors = ran(*arguments)
    return code, errors.strip()


def starting(folder: Path, *more: str) -> Sequence[str]:
    return ("run", "--data", str(folder), "--port", "0", *more)


@pytest.mark.scenario
def test_a_taken_port_names_the_port_and_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = hub("run", "--data", str(tmp_path / "data"), "--port", port)

    assert code == 2
    assert port in said
    assert "--port" in said
    assert "Traceback" not in said


@pytest.mark.scenario
def test_a_second_hub_on_the_same_folder_names_the_first(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    try:
        code, said = hub(*starting(tmp_path / "data"))
    finally:
        folder.close()

    assert code == 2
    assert "in use by another hub (pid " in said


@pytest.mark.scenario
def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    code, said = hub(*starting(tmp_path / "file" / "data"))

    assert code == 2
    assert "cannot write to the data folder" in said


@pytest.mark.scenario
def test_a_store_from_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data" / FILE) as newer:
        newer.execute("PRAGMA user_version = 999")
        newer.execute("CREATE TABLE from_the_future (x)")

    code, said = hub(*starting(tmp_path / "data"))

    assert code == 2
    assert "newer hub" in said
    with sqlite3.connect(tmp_path / "data" / FILE) as newer:
        assert newer.execute("SELECT name FROM sqlite_master").fetchall() == [("from_the_future",)]


@pytest.mark.scenario
def test_a_broken_hub_yaml_names_line_and_column(tmp_path: Path) -> None:
    config = tmp_path / "hub.yaml"
    config.write_text("listen:\n  port: many\n")

    code, said = hub("run", "--config", str(config))

    assert code == 2
    assert f"{config}:2:" in said
    assert "listen.port" in said


@pytest.mark.scenario
def test_listening_to_other_machines_is_a_decision_to_write_down(tmp_path: Path) -> None:
    config = tmp_path / "hub.yaml"
    config.write_text("listen:\n  host: 0.0.0.0\n")

    code, said = hub("run", "--config", str(config), "--data", str(tmp_path / "data"))

    assert code == 2
    assert "allow_remote" in said
    assert not (tmp_path / "data").exists()


@pytest.mark.scenario
def test_a_broken_workflow_is_shown_with_its_line_and_a_suggestion(tmp_path: Path) -> None:
    workflow = tmp_path / "broken.yaml"
    workflow.write_text(
        "schema: 1\nid: broken\ntitle: A typo\nwhen:\n  - event: trade.closd\nsteps:\n  - do: event.publish\n    with: {type: custom.x}\n"
    )
    code, shown, _ = ran("check", str(workflow))

    assert code == 1
    assert "broken.yaml:5:" in shown
    assert "trade.closed" in shown
