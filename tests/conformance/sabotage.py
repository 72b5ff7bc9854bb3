"""Writers with a safety taken out, and a disk that fails on demand: what the checks of durability must notice."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from conformance.backends import SqliteBackend

from hub.store.sqlite import store as sqlite_store
from hub.store.sqlite.writer import Job, Writer


class HastyWriter(Writer):
    """Answers before the commit: until `released`, nothing it acknowledged is on disk."""

    released = threading.Event()

    def _transaction(self, jobs: list[Job]) -> list[Any]:
        self._connection.execute("BEGIN IMMEDIATE")
        results = [job.work(self._connection) for job in jobs]
        self._loop.call_soon_threadsafe(self._deliver, jobs, results)
        self.released.wait(10)
        self._connection.execute("COMMIT")
        return results

    def _deliver(self, jobs: list[Job], outcomes: list[Any]) -> None:
        pending = [(job, out) for job, out in zip(jobs, outcomes, strict=True) if not job.future.done()]
        super()._deliver([job for job, _ in pending], [out for _, out in pending])


class HalfheartedWriter(Writer):
    """Commits what a failed job had written before it failed."""

    def _transaction(self, jobs: list[Job]) -> list[Any]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            return [job.work(self._connection) for job in jobs]
        finally:
            self._connection.execute("COMMIT")


class StubbornWriter(Writer):
    """Rolls back and forgets to say so: what was numbered in memory goes on from there."""

    def _transaction(self, jobs: list[Job]) -> list[Any]:
        self.rolled_back.clear()
        return super()._transaction(jobs)


class CarelessWriter(Writer):
    """Does not wait for the disk."""

    def _transaction(self, jobs: list[Job]) -> list[Any]:
        self._connection.execute("PRAGMA synchronous = OFF").fetchall()
        return super()._transaction(jobs)


@asynccontextmanager
async def store_with(
    writer: type[Writer], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SqliteBackend]:
    monkeypatch.setattr(sqlite_store, "Writer", writer)
    HastyWriter.released.clear()
    backend = await SqliteBackend(folder).open()
    try:
        yield backend
    finally:
        HastyWriter.released.set()
        await backend.close()


class SickDisk(apsw.VFS):
    """The real file system under the store, until `ill` names a call that fails from then on."""

    def __init__(self) -> None:
        self.ill: str | None = None
        self.failures = 0
        self.base = apsw.vfs_names()[0]
        super().__init__("sick", self.base, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> "_SickFile":
        return _SickFile(self, name, flags)

    def suffer(self, call: str) -> None:
        if self.ill == call:
            self.failures += 1
            raise (apsw.FullError if call == "xWrite" else apsw.IOError)("the disk is ill")


class _SickFile(apsw.VFSFile):
    def __init__(self, disk: SickDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__(disk.base, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.suffer("xWrite")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._disk.suffer("xSync")
        super().xSync(flags)


@contextmanager
def sick_disk() -> Iterator[SickDisk]:
    disk = SickDisk()
    try:
        yield disk
    finally:
        disk.unregister()
