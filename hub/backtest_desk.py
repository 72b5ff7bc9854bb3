"""Runs the backtests people ask for over HTTP: one at a time, each in a process of its own, with bounds.

What is asked and what came of it is kept in memory by the process that was asked, the latest few for an hour. Nothing
of it is worth surviving a restart: the log does, and can be asked again.
"""

import asyncio
import contextlib
import os
import secrets
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, final

import structlog
from typing_extensions import override

from hub.api.backtest_ports import BacktestAsked, BacktestJob, Backtests, BacktestsFull, JobState
from hub.backtest_job import (
    LONGEST_LINE,
    Finished,
    Line,
    Order,
    Progress,
    Refused,
    decode_line,
    encode_order,
)
from hub.clock import MICROSECOND, Clock
from hub.config import Settings
from hub.stages import run_until

MOST_WAITING: Final = 8
MOST_KEPT: Final = 16
KEPT_FOR: Final = timedelta(hours=1)
MOST_TOLD: Final = 1_000  # actions one by one
MOST_MEMORY: Final = 3 * 1024**3
_OVER: Final = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})
_LONGEST_COMPLAINT: Final = 4_096
_COMMAND: Final = (sys.executable, "-m", "hub.commands.backtest_child")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Where the store is, and how much one backtest may take. `address` is that of PostgreSQL, None for the folder."""

    data: str
    address: str | None
    most_events: int
    longest: timedelta


@final
class BacktestDesk(Backtests):
    def __init__(self, bounds: Bounds, clock: Clock, command: Sequence[str] = _COMMAND) -> None:
        self._bounds = bounds
        self._clock = clock
        self._command = command
        self._jobs: OrderedDict[str, BacktestJob] = OrderedDict()
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._process: asyncio.subprocess.Process | None = None
        self._in_hand = ""

    @override
    def ask(self, asked: BacktestAsked) -> BacktestJob:
        self._tidy()
        if sum(job.state not in _OVER for job in self._jobs.values()) > MOST_WAITING:
            raise BacktestsFull
        job = BacktestJob(f"bt_{secrets.token_hex(12)}", asked, JobState.WAITING, self._clock.now_us())
        self._jobs[job.id] = job
        self._waiting.put_nowait(job.id)
        return job

    @override
    def job(self, job_id: str) -> BacktestJob | None:
        self._tidy()
        return self._jobs.get(job_id)

    @override
    def jobs(self) -> Sequence[BacktestJob]:
        self._tidy()
        return [job._replace(result=b"", page="") for job in reversed(self._jobs.values())]

    @override
    def cancel(self, job_id: str) -> BacktestJob | None:
        job = self._jobs.get(job_id)
        if job is None:
            return None
        if job.state in _OVER:
            return self._jobs.pop(job_id)
        job = self._end(job_id, JobState.CANCELLED, reason="somebody took it back")
        if job_id == self._in_hand:
            self._kill()
        return job

    async def run(self, stopping: asyncio.Event) -> None:
        try:
            await run_until(stopping, self._keep_working)
        finally:
            self._kill()

    async def _keep_working(self) -> None:
        while True:
            job_id = await self._waiting.get()
            job = self._jobs.get(job_id)
            if job is None or job.state is not JobState.WAITING:
                continue
            self._jobs[job_id] = job._replace(state=JobState.RUNNING)
            try:
                await self._work(job)
            except Exception as problem:  # of this backtest alone: the next one gets its turn
                log.warning("backtest.failed", job=job_id, reason=str(problem))
                self._end(job_id, JobState.FAILED, reason="the process for it could not be run")

    async def _work(self, job: BacktestJob) -> None:
        seconds = self._bounds.longest.total_seconds()
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            env=_environment(),
        )
        self._process, self._in_hand = process, job.id
        still = self._jobs.get(job.id)
        if still is None or still.state in _OVER:
            self._kill()  # taken back while the process was being made: whoever did that saw none to end
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                complaint = group.create_task(_last_of(process.stderr))
                if await self._talk(job, process):
                    self._kill()
                # Else it has ended by itself: whoever kills such a process takes its exit code away from who waits for it.
                await process.wait()
        except TimeoutError:
            self._end(
                job.id, JobState.FAILED, reason=f"it took longer than {seconds:g} s: choose a shorter time"
            )
        else:
            self._fail_if_silent(job.id, process.returncode, complaint.result())
        finally:
            self._kill()
            await process.wait()
            self._process, self._in_hand = None, ""

    async def _talk(self, job: BacktestJob, process: asyncio.subprocess.Process) -> bool:
        """Give the order and hear what comes of it; return whether the process has said its last, and may go on."""
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(encode_order(self._order(job.asked)) + b"\n")
            await (
                process.stdin.drain()
            )  # and stays open: it closes when the hub ends, and the process with it
        while line := await process.stdout.readline():
            said: Line = decode_line(line)
            match said:
                case Progress(share=share, events=events):
                    self._move(job.id, share=share, events=events)
                case Finished(result=result, page=page):
                    self._end(job.id, JobState.DONE, share=1.0, result=bytes(result), page=page)
                    return True
                case Refused(reason=reason):
                    self._end(job.id, JobState.FAILED, reason=reason)
                    return True
        return False

    def _fail_if_silent(self, job_id: str, code: int | None, complaint: bytes) -> None:
        job = self._jobs.get(job_id)
        if job is None or job.state in _OVER:
            return
        log.warning("backtest.died", job=job_id, code=code, said=complaint.decode("utf-8", "replace"))
        self._end(job_id, JobState.FAILED, reason=f"its process ended with {code}: the hub's log says more")

    def _order(self, asked: BacktestAsked) -> Order:
        bounds = self._bounds
        return Order(
            data=bounds.data,
            address=bounds.address,
            workflow=asked.workflow,
            text=asked.text,
            since=asked.since,
            until=asked.until,
            warm_up=asked.warm_up,
            assume=asked.assume,
            most_events=bounds.most_events,
            most_memory=MOST_MEMORY,
            most_seconds=int(bounds.longest.total_seconds()) + 60,
            most_told=MOST_TOLD,
        )

    def _move(self, job_id: str, *, share: float, events: int) -> None:
        job = self._jobs.get(job_id)
        if job is not None and job.state is JobState.RUNNING:
            self._jobs[job_id] = job._replace(share=share, events=events)

    def _end(
        self,
        job_id: str,
        state: JobState,
        *,
        share: float | None = None,
        reason: str = "",
        result: bytes = b"",
        page: str = "",
    ) -> BacktestJob | None:
        """Settle one that is not over; what was taken back stays so."""
        job = self._jobs.get(job_id)
        if job is None or job.state in _OVER:
            return job
        job = self._jobs[job_id] = job._replace(
            state=state,
            share=job.share if share is None else share,
            ended_at=self._clock.now_us(),
            reason=reason,
            result=result,
            page=page,
        )
        return job

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _tidy(self) -> None:
        """Forget what is old, and the oldest of what is over where it is too many."""
        before = self._clock.now_us() - KEPT_FOR // MICROSECOND
        over = [job for job in self._jobs.values() if job.state in _OVER]
        for place, job in enumerate(reversed(over)):
            if place >= MOST_KEPT or (job.ended_at or 0) < before:
                del self._jobs[job.id]


def bounds_of(settings: Settings) -> Bounds:
    return Bounds(
        data=str(settings.data),
        address=settings.store.address() if settings.is_scaled else None,
        most_events=settings.backtests.events,
        longest=settings.backtests.longest,
    )


def _environment() -> Mapping[str, str]:
    """Return the environment without the hub's own settings, which may hold secrets: it is told what it needs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}


async def _last_of(stream: asyncio.StreamReader | None) -> bytes:
    assert stream is not None
    kept = b""
    while part := await stream.read(65_536):
        kept = (kept + part)[-_LONGEST_COMPLAINT:]
    return kept
