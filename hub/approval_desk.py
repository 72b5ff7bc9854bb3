"""Where the API takes what people decide: into the log, for the owner of the partition, and back with what came of it."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Final, Protocol, final

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from typing_extensions import override

from hub.api.ports import ApprovalReader, Approvals
from hub.bus.log import InputKind, NewInput
from hub.bus.pages import Page
from hub.clock import Clock
from hub.desks import Inputs, came_of_it
from hub.engine.ballots import Ballot, encode_ballot, said_of
from hub.engine.rows import ANY_APPROVAL, ApprovalFilter, ApprovalRow
from hub.errors import StoreUnavailable
from hub.stages import run_until

COUNT_EVERY: Final = timedelta(seconds=10)

log = structlog.get_logger(__name__)


class Table(ApprovalReader, Protocol):
    """What is stored of the questions."""

    async def open_approvals(self) -> int: ...


@final
class ApprovalDesk(Approvals):
    def __init__(self, table: Table, inputs: Inputs, clock: Clock) -> None:
        self._table = table
        self._inputs = inputs
        self._clock = clock
        self._open = 0

    @override
    async def approvals(
        self, *, after: str, limit: int, wanted: ApprovalFilter = ANY_APPROVAL
    ) -> Page[ApprovalRow]:
        return await self._table.approvals(after=after, limit=limit, wanted=wanted)

    @override
    async def approval(self, name: str) -> ApprovalRow | None:
        return await self._table.approval(name)

    @override
    async def decide(self, asked: ApprovalRow, ballot: Ballot) -> ApprovalRow:
        body = encode_ballot(ballot)
        told = NewInput(asked.partition, InputKind.APPROVAL, asked.key, asked.id, body)
        await self._inputs.append((), inputs=(told,))

        row = asked

        async def heard() -> bool | None:
            nonlocal row
            row = await self._table.approval(asked.id) or row
            return row.state != "open" or _was_heard(row, ballot.id) or None

        await came_of_it(self._clock, self._clock.monotonic(), heard)
        return row

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep_counting)

    async def _keep_counting(self) -> None:
        while True:
            try:
                self._open = await self._table.open_approvals()
            except StoreUnavailable as problem:
                log.warning("approvals.not_counted", reason=str(problem))
            await self._clock.sleep(COUNT_EVERY)

    def metrics(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("hub_approvals_open", "Approvals that wait for a person.", value=self._open)


def _was_heard(row: ApprovalRow, ballot: str) -> bool:
    said = said_of(row)
    return any(vote.ballot == ballot for vote in (*said.votes, *said.refused))
