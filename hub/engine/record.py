"""What a finished stretch of the log is read through, beside a hub that runs: short reads, nothing written."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from hub.bus.log import Input
from hub.bus.pages import Page
from hub.engine.account_rows import AccountRow, ClientRow
from hub.engine.values import Kind, decode_value
from hub.intents.intent import Intent, State

BATCH = 4_000  # rows of one read: some 20 ms


class Span(NamedTuple):
    """The moments of the first and the last row of the log."""

    first: int
    last: int


class Record(Protocol):
    async def span(self) -> Span | None:
        """Return what the log covers; None where it is empty."""

    def batches(self, since: int, until: int) -> AsyncIterator[Sequence[Input]]:
        """Yield the rows of [since, until) in the order the hub decided them in."""

    async def known(self, keys: Sequence[str]) -> Mapping[str, Sequence[tuple[int, bytes]]]:
        """Return the rows of accounts and their clients as they are now: kind and value, by account."""

    async def active(self) -> str | None:
        """Return the manifest of the live workflows."""

    async def version(self, version: str) -> str | None:
        """Return the text of a workflow by its hash."""

    async def actions(
        self, *, after: str, limit: int, state: State | None = None, account: str = "", workflow: str = ""
    ) -> Page[Intent]:
        """Return intents, the newest first."""


# What hardly ever changes of an account, and may be taken as it is now for what it was.
_STEADY = (
    "platform", "group", "currency", "digits", "leverage", "type", "program", "country", "initial_balance", "registered_at",
    "tags", "attributes",
)  # fmt: skip


def steady(key: str, rows: Sequence[tuple[int, bytes]]) -> tuple[AccountRow | None, ClientRow | None]:
    """Return what may be taken for known of an account the record does not begin with."""
    account: AccountRow | None = None
    client: ClientRow | None = None
    for kind, value in rows:
        if kind == Kind.ACCOUNT:
            now = decode_value(kind, value)
            assert isinstance(now, AccountRow)
            account = AccountRow(now.server, now.login, **{name: getattr(now, name) for name in _STEADY})
        elif kind == Kind.CLIENT:
            found = decode_value(kind, value)
            assert isinstance(found, ClientRow)
            client = found
    return account, client


class LiveWorkflow(msgspec.Struct, frozen=True):
    id: str
    hash: str
    mode: str


class _Manifest(msgspec.Struct, frozen=True):
    workflows: list[LiveWorkflow]


_decode = msgspec.json.Decoder(_Manifest).decode


async def live_workflows(record: Record) -> dict[str, LiveWorkflow]:
    """Return what is live in the hub whose record this is, by id."""
    manifest = await record.active()
    return {each.id: each for each in _decode(manifest).workflows} if manifest else {}
