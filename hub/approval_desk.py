"""Where the API takes what people decide: into the log, for the owner of the partition, and back with what came of it."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from datetime import timedelta
from typing import Final, Protocol, final

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from typing_extensions import override

from hub.api.ports import Approvals
from hub.bus.log import Appended, InputKind, NewInput
from hub.bus.pages import Page
from hub.clock import Clock
from hub.engine.ballots import Ballot, encode_ballot, said_of
from hub.engine.rows import ApprovalRow
from hub.errors import StoreUnavailable
from hub.events.facts import Fact
from hub.stages import run_until

PATIENCE: Final = 2.0  # seconds an answer waits to say what came of it
LOOK_EVERY: Final = timedelta(milliseconds=25)
COUNT_EVERY: Final = timedelta(seconds=10)

log = structlog.get_logger(__name__)


class Table(Protocol):
    """What is stored of the questions."""

    async def approvals(
        self,
        *,
        after: str,
        limit: int,
        state: str = "",
        workflow: str = "",
        account: str = "",
        permission: str = "",
    ) -> Page[ApprovalRow]: ...

    async def approval(self, name: str) -> ApprovalRow | None: ...

    async def open_approvals(self) -> int: ...


class Inputs(Protocol):
    """The log: where this process owns a partition it numbers the input itself, else it leaves it for who does."""

    def append(
        self, facts: Sequence[Fact], *, inputs: Sequence[NewInput] = ()
    ) -> Awaitable[list[Appended]]: ...


@final
class ApprovalDesk(Approvals):
    def __init__(self, table: Table, inputs: Inputs, clock: Clock) -> None:
        self._table = table
        self._inputs = inputs
        self._clock = clock
        self._open = 0

    @override
    async def approvals(
        self,
        *,
        after: str,
        limit: int,
        state: str = "",
        workflow: str = "",
        account: str = "",
        permission: str = "",
    ) -> Page[ApprovalRow]:
        return await self._table.approvals(
            after=after,
            limit=limit,
            state=state,
            workflow=workflow,
            account=account,
            permission=permission,
        )

    @override
    async def approval(self, name: str) -> ApprovalRow | None:
        return await self._table.approval(name)

    @override
    async def decide(self, asked: ApprovalRow, ballot: Ballot) -> ApprovalRow:
        body = encode_ballot(ballot)
        told = NewInput(asked.partition, InputKind.APPROVAL, asked.key, asked.id, body)
        await self._inputs.append((), inputs=(told,))
        began = self._clock.monotonic()
        while True:
            row = await self._table.approval(asked.id) or asked
            if row.state != "open" or _was_heard(row, ballot.id):
                return row
            if self._clock.monotonic() - began >= PATIENCE:
                return row
            await self._clock.sleep(LOOK_EVERY)

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
