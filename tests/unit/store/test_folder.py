"""Opening the data folder: one hub at a time, and every refusal says what to do about it."""

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from hub.errors import ConfigError, FolderInUse, StoreTooNew, StoreUnavailable
from hub.store.sqlite.database import FILE, Folder, migrations, open_writer
from hub.testing import open_store


def test_a_new_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a" / "b")

    assert folder.database == tmp_path / "a" / "b" / FILE
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    open_writer(folder.database).close()
    assert folder.database.stat().st_mode & 0o777 == 0o600
    folder.close()


def test_a_second_hub_is_refused_and_told_who_owns_the_folder(tmp_path: Path) -> None:
    folder = Folder(tmp_path)

    with pytest.raises(FolderInUse, match=f"pid {os.getpid()} ") as caught:
        Folder(tmp_path)

    assert caught.value.folder == tmp_path
    folder.close()


def test_a_closed_folder_can_be_taken_again_and_names_its_new_owner(tmp_path: Path) -> None:
    (tmp_path / "hub.lock").write_text("pid 1 on a host with a very long name that is still in the file")
    Folder(tmp_path).close()

    folder = Folder(tmp_path)

    assert (tmp_path / "hub.lock").read_text().startswith(f"pid {os.getpid()} on ")
    assert "very long name" not in (tmp_path / "hub.lock").read_text()
    folder.close()


def test_the_lock_goes_with_the_process_however_it_ends(tmp_path: Path) -> None:
    taking = "import sys, os; from pathlib import Path; from hub.store.sqlite.database import Folder; f = Folder(Path(sys.argv[1])); print('mine', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", taking, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(FolderInUse, match=f"pid {other.pid} "):
            Folder(tmp_path)

        other.kill()
        other.wait(10)

        Folder(tmp_path).close()


@pytest.mark.parametrize("place", ["file", "file/below", "lock is a folder"])
def test_a_folder_that_cannot_be_used_is_a_matter_of_configuration(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    if place == "lock is a folder":
        (tmp_path / place / "hub.lock").mkdir(parents=True)

    with pytest.raises(ConfigError, match="--data"):
        Folder(tmp_path / place)


def test_a_folder_nobody_may_write_is_a_matter_of_configuration() -> None:
    with pytest.raises(ConfigError, match="make it writable"):
        Folder(Path("/proc/hub-data"))  # not even root makes folders there


def test_a_store_of_a_newer_hub_is_refused_untouched(tmp_path: Path) -> None:
    newest = migrations()[-1][0]
    connection = open_writer(tmp_path / FILE)
    connection.execute(f"PRAGMA user_version = {newest + 5}").fetchall()
    connection.close()

    with pytest.raises(StoreTooNew) as caught:
        open_writer(tmp_path / FILE)

    assert (caught.value.found, caught.value.known) == (newest + 5, newest)
    connection = apsw.Connection(str(tmp_path / FILE))
    assert connection.execute("PRAGMA user_version").fetchall() == [(newest + 5,)]
    connection.close()


def test_a_file_that_is_no_database_is_refused_untouched(tmp_path: Path) -> None:
    text = b"dear diary, " * 1_000
    (tmp_path / FILE).write_bytes(text)

    with pytest.raises(ConfigError, match="is not a hub database"):
        open_writer(tmp_path / FILE)

    assert (tmp_path / FILE).read_bytes() == text


def test_a_folder_where_the_database_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()

    with pytest.raises(ConfigError, match="--data"):
        open_writer(tmp_path / FILE)


def test_a_database_somebody_else_holds_is_unavailable_not_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.store.sqlite.database._WAIT_MS", 1)
    other = apsw.Connection(str(tmp_path / FILE))
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StoreUnavailable, match="locked"):
        open_writer(tmp_path / FILE)

    other.close()


async def test_a_store_that_cannot_be_opened_lets_its_folder_go(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"dear diary, " * 1_000)
    with pytest.raises(ConfigError, match="is not a hub database"):
        async with open_store(tmp_path):
            pass
    (tmp_path / FILE).unlink()

    async with open_store(tmp_path) as store:
        assert await store.log.scan(0, 1) == []


async def test_two_stores_never_share_a_folder(tmp_path: Path) -> None:
    async with open_store(tmp_path):
        with pytest.raises(FolderInUse):
            async with open_store(tmp_path):
                pass
