"""Samples nobody can vouch for: where a connector was away, and which accounts have been seen again since."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, final

import structlog
from typing_extensions import override

from hub.bus.log import Appended, Input, InputKind, Lane, Mark, NewInput, Teller
from hub.clock import Clock
from hub.errors import HubError
from hub.events.facts import Fact
from hub.events.watched import RELAYED, SYMBOL, encode_relayed
from hub.ids import partition_of, partition_of_key
from hub.ingest.samples import Quote, Sample, Sink

LOST, BACK = "feed.lost", "feed.back"
_AWAY: Final = frozenset({"connector.disconnected", "connector.stale", "connector.gap"})
_REMEMBERED: Final = 200_000

log = structlog.get_logger(__name__)


@final
class Unvouched:
    """The accounts and positions whose samples are in doubt, and what the engine has to be told of that."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}  # with the account of a position
        self._queue: list[NewInput] = []

    @property
    def any(self) -> bool:
        """Whether a sample may be what an account in doubt has waited for."""
        return bool(self._keys)

    def lost(self, key: str, account: str = "") -> None:
        """Doubt an account, or a position of one."""
        self._keys[key] = account
        self._queue.append(_command(key, account, LOST))

    def seen(self, key: str) -> None:
        """Hear that the account or the position was seen again."""
        account = self._keys.pop(key, None)
        if account is not None:
            self._queue.append(_command(key, account, BACK))

    def take(self) -> list[NewInput]:
        queue, self._queue = self._queue, []
        return queue

    def again(self, commands: list[NewInput]) -> None:
        self._queue = [*commands, *self._queue]


def _command(key: str, account: str, what: str) -> NewInput:
    if key.startswith(SYMBOL):
        return NewInput(partition_of_key(key), InputKind.COMMAND, key, what, b"")
    server, _, login = (account or key).rpartition(":")
    partition = partition_of(server, int(login))
    if account:
        return NewInput(partition, InputKind.COMMAND, account, RELAYED, encode_relayed(key, what))
    return NewInput(partition, InputKind.COMMAND, key, what, b"")


@final
class VouchedSamples(Sink):
    """The samples and quotes of one connector; while it was away, what it tells of each is doubted until it is seen again."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._accounts: dict[tuple[str, int], None] = {}
        self._doubted: dict[tuple[str, int], None] = {}
        self._symbols: dict[tuple[str, str], None] = {}
        self._doubted_symbols: dict[tuple[str, str], None] = {}

    @override
    async def samples(self, batch: Sequence[Sample]) -> object:
        for sample in batch:
            self._accounts[sample.server, sample.login] = None
        while len(self._accounts) > _REMEMBERED:
            del self._accounts[next(iter(self._accounts))]
        await self._tell_doubts()
        return await self._sink.samples(batch)

    @override
    async def quotes(self, batch: Sequence[Quote]) -> object:
        for quote in batch:  # no more than the settings name
            self._symbols[quote.server, quote.symbol] = None
        await self._tell_doubts()
        return await self._sink.quotes(batch)

    async def doubt(self) -> None:
        """Say at once of every account and symbol that nobody sees it now; what cannot be said waits for the next sample."""
        self._doubted, self._doubted_symbols = dict(self._accounts), dict(self._symbols)
        try:
            await self._tell_doubts()
        except HubError as error:
            log.warning(
                "samples.doubt_waits",
                accounts=len(self._doubted),
                symbols=len(self._doubted_symbols),
                reason=str(error),
            )

    async def _tell_doubts(self) -> None:
        now = self._clock.now_us()
        if self._doubted:
            await self._sink.samples([_nothing_seen(*account, now) for account in self._doubted])
            self._doubted = {}
        if self._doubted_symbols:
            nothing = Decimal(0)
            await self._sink.quotes(
                [
                    Quote(*symbol, nothing, nothing, now, degraded=True, gap=True)
                    for symbol in self._doubted_symbols
                ]
            )
            self._doubted_symbols = {}


def _nothing_seen(server: str, login: int, at: int) -> Sample:
    nothing: dict[str, Any] = dict.fromkeys(
        ("balance", "credit", "margin", "free_margin", "margin_level", "floating"), None
    )
    return Sample(server, login, Decimal(0), **nothing, at=at, degraded=True, gap=True)


@final
class HeardTeller(Teller):
    """A connector's way to the log, that hears when the connector says it was away."""

    def __init__(self, teller: Teller, samples: VouchedSamples) -> None:
        self._teller = teller
        self._samples = samples

    @override
    async def append(
        self, facts: Sequence[Fact], *, marks: Sequence[Mark] = (), lane: Lane = Lane.LIVE
    ) -> list[Appended]:
        if any(fact.envelope.type in _AWAY for fact in facts):
            await self._samples.doubt()
        return await self._teller.append(facts, marks=marks, lane=lane)

    @override
    async def find(self, key: bytes) -> Input | None:
        return await self._teller.find(key)

    @override
    async def marks(self, source: str) -> Mapping[str, bytes]:
        return await self._teller.marks(source)
