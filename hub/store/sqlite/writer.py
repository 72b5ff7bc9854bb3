"""One thread writes. What queued while the last commit was on its way to disk goes into the next one.

Group commit batches itself: under load hundreds of jobs share one fsync, alone a job waits for none but its own. In a
crowd commits also keep a pace: answers that come at once bring the next posts a few at a time, and a commit costs its
statements, pages and fsync whether it holds five events or fifty. A caller's future resolves after the commit that holds
its rows, never before.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import apsw

from hub.errors import HubError, StoreRefused, StoreUnavailable

T = TypeVar("T")
_JOBS_A_COMMIT = 256
# What SQLite says of the content of a statement; everything else it says is about the disk or the file.
_CONTENT_ERRORS = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError)


class Job(NamedTuple):
    """`work` runs on the writer's thread inside the transaction and must be repeatable until it is committed.

    `committed` runs on the event loop after the commit, before the caller wakes.
    """

    work: Callable[[apsw.Connection], Any]
    committed: Callable[[Any], None] | None
    future: "asyncio.Future[Any]"


class Writer:
    """`commits` and `jobs` count what was done; `rolled_back` hooks forget what a failed transaction had in memory.

    While `crowded` says so, commits begin at least `pace_seconds` apart. It is asked on the writer's thread.
    """

    def __init__(
        self, connection: apsw.Connection, loop: asyncio.AbstractEventLoop, *, pace_seconds: float = 0.0
    ) -> None:
        self.commits = 0
        self.jobs = 0
        self.waiting = 0
        self.rolled_back: list[Callable[[], None]] = []
        self.crowded: Callable[[], bool] = lambda: True
        self._connection = connection
        self._loop = loop
        self._pace = pace_seconds
        self._began = -pace_seconds
        self._closing = threading.Event()
        self._closed = False
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="hub-writer", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[apsw.Connection], T], committed: Callable[[T], None] | None = None
    ) -> "asyncio.Future[T]":
        """Queue a job and return the future of its result; jobs commit in the order they were submitted."""
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closed:  # nobody would ever take the job
            future.set_exception(StoreUnavailable("the store is closed: nothing was stored"))
            return future
        self.waiting += 1
        self._queue.put(Job(work, committed, future))
        return future

    async def close(self) -> None:
        self._closed = True
        self._closing.set()
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        while True:
            jobs, last = self._take()
            if jobs:
                outcomes = self._together(jobs)
                self._loop.call_soon_threadsafe(self._deliver, jobs, outcomes)
            if last:
                return

    def _take(self) -> tuple[list[Job], bool]:
        job = self._queue.get()
        self._keep_pace()
        jobs: list[Job] = []
        while job is not None:
            jobs.append(job)
            if len(jobs) == _JOBS_A_COMMIT:
                return jobs, False
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _keep_pace(self) -> None:
        """In a crowd, wait until the last commit's beginning is a pace ago, unless the store is being closed."""
        left = self._began + self._pace - time.perf_counter()
        if left > 0 and self.crowded():
            self._closing.wait(left)
        self._began = time.perf_counter()

    def _together(self, jobs: list[Job]) -> list[Any]:
        try:
            return self._transaction(jobs)
        except Exception as error:
            # One job spoiled the transaction for all: give each its own, so that only the guilty one fails.
            if len(jobs) == 1:
                return [_failure(error)]
        outcomes = []
        for job in jobs:
            try:
                outcomes += self._transaction([job])
            except Exception as error:
                outcomes.append(_failure(error))
        return outcomes

    def _transaction(self, jobs: list[Job]) -> list[Any]:
        connection = self._connection
        if (
            connection.in_transaction
        ):  # a rollback failed, on a sick disk: without this nothing would ever begin again
            connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = [job.work(connection) for job in jobs]
            connection.execute("COMMIT")
        except BaseException:
            for forget in self.rolled_back:  # first, because the rollback itself may fail
                forget()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.commits += 1
        self.jobs += len(jobs)
        return results

    def _deliver(self, jobs: list[Job], outcomes: list[Any]) -> None:
        self.waiting -= len(jobs)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, HubError):
                if not job.future.done():
                    job.future.set_exception(outcome)
                continue
            if job.committed is not None:
                self._tell(job.committed, outcome)
            # Whoever waited may have been cancelled; the rows are on disk all the same.
            if not job.future.done():
                job.future.set_result(outcome)

    def _tell(self, committed: Callable[[Any], None], outcome: Any) -> None:
        try:
            committed(outcome)
        except (
            Exception
        ) as error:  # what it was told is on disk, and the jobs behind it wait for their answers
            self._loop.call_exception_handler(
                {"message": "a listener failed after a commit", "exception": error}
            )


def _failure(error: Exception) -> HubError:
    if isinstance(error, HubError):
        return error
    if isinstance(error, apsw.FullError):
        return StoreUnavailable(
            "the disk is full: nothing was stored; free some space and it goes on by itself"
        )
    if isinstance(error, apsw.Error) and not isinstance(error, _CONTENT_ERRORS):
        failure = StoreUnavailable(f"the store cannot be written ({error}): nothing was stored")
    else:
        failure = StoreRefused(f"the store refused a transaction: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
