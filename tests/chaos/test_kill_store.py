"""Killed without warning, the store still has everything it acknowledged."""

import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from hub.bus.log import Input
from hub.ids import PARTITIONS
from hub.testing import open_store

pytestmark = pytest.mark.chaos
APPENDING = Path(__file__).with_name("appending.py")


def kill_after(acknowledged: int, folder: Path, *arguments: str) -> set[str]:
    """Run the appender until it acknowledged so many calls, kill it, and return every id it acknowledged."""
    with subprocess.Popen(
        [sys.executable, str(APPENDING), str(folder), *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledged)]
        process.kill()
        lines += process.stdout.readlines()  # what it said before it died counts as well
        process.wait(10)
    assert process.returncode == -9
    assert all(lines[:acknowledged])
    return {event_id for line in lines if line.endswith("\n") for event_id in line.split()}


async def lost(folder: Path, acknowledged: set[str]) -> set[str]:
    async with open_store(folder) as store:
        rows: list[Input] = []
        while page := await store.log.scan(rows[-1].rank if rows else 0, 5_000):
            rows += page
        assert await store.writer.submit(_integrity) == [("ok",)]
        heads = list(store.log.heads())
    counted: list[list[int]] = [[] for _ in range(PARTITIONS)]
    sequences: dict[str, list[int]] = {}
    for row in rows:
        counted[row.partition].append(row.n)
        if row.sequence is not None:
            sequences.setdefault(row.key, []).append(row.sequence)
    assert [len(numbers) for numbers in counted] == heads
    for numbers in (*counted, *sequences.values()):
        assert numbers == list(range(1, len(numbers) + 1))
    return acknowledged - {row.ref for row in rows}


def _integrity(connection: apsw.Connection) -> list[tuple[str]]:
    return list(connection.execute("PRAGMA integrity_check"))


@pytest.mark.parametrize("calls", [1, 40, 300])
async def test_a_killed_hub_lost_nothing_it_acknowledged(tmp_path: Path, calls: int) -> None:
    acknowledged = kill_after(calls, tmp_path)

    assert len(acknowledged) >= calls * 3
    assert await lost(tmp_path, acknowledged) == set()


async def test_killed_again_and_again_it_goes_on_where_it_was(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    for _ in range(3):
        acknowledged |= kill_after(30, tmp_path)

    assert await lost(tmp_path, acknowledged) == set()


async def test_the_kill_finds_out_a_writer_that_acknowledges_before_it_commits(tmp_path: Path) -> None:
    acknowledged = kill_after(40, tmp_path, "hasty")

    assert await lost(tmp_path, acknowledged) != set()
