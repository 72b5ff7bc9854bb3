"""What streams need of the rest of the hub, how many there may be, and when one has to end."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, final

from prometheus_client.core import Metric

from hub.api.position_feed import PositionFeed
from hub.api.problems import Problem
from hub.api.stream_counts import StreamCounts, StreamKind
from hub.api.viewer import Viewer
from hub.bus.tail import Tail
from hub.clock import Clock
from hub.control.keys import Keys
from hub.control.tickets import Tickets
from hub.control.tokens import Tokens
from hub.ingest.board import Board

MOST: Final = 4_000
MOST_OF_A_KEY: Final = 2_500
MOST_OF_A_TOKEN: Final = 8


@final
@dataclass(slots=True, kw_only=True)
class Feeds:
    """`most` streams in all; `origins` are the pages of other hosts that may open some."""

    clock: Clock
    keys: Keys
    tail: Tail
    board: Board
    positions: PositionFeed
    tokens: Tokens
    tickets: Tickets
    most: int = MOST
    most_of_a_key: int = MOST_OF_A_KEY
    origins: frozenset[str] = frozenset()
    _open: Counter[str] = field(default_factory=Counter)
    counts: StreamCounts = field(default_factory=StreamCounts)

    def __len__(self) -> int:
        return self._open.total()

    @contextmanager
    def seat(self, viewer: Viewer, kind: StreamKind) -> Iterator[None]:
        """Count a stream while it is open. Raises Problem where there are enough."""
        most = MOST_OF_A_TOKEN if viewer.token is not None else self.most_of_a_key
        if self.tail.stopping or self.board.stopping:
            raise Problem(503, "stopping", "the hub stops: try again", headers={"Retry-After": "2"})
        if len(self) >= self.most or self._open[viewer.id] >= most:
            self.counts.full += 1
            whose = "the hub has" if len(self) >= self.most else "you have"
            raise Problem(
                429,
                "too-many-streams",
                f"{whose} as many streams open as are allowed: close some",
                headers={"Retry-After": "10"},
            )
        self._open[viewer.id] += 1
        self.counts.open[kind] += 1
        self.counts.opened[kind] += 1
        try:
            yield
        finally:
            self.counts.open[kind] -= 1
            self._open[viewer.id] -= 1
            if not self._open[viewer.id]:
                del self._open[viewer.id]

    async def accounts(self, viewer: Viewer) -> frozenset[str] | None:
        """Return the accounts somebody may see now; None means all."""
        return None if viewer.token is None else await self.tokens.accounts(viewer.token)

    async def why_over(self, viewer: Viewer, accounts: frozenset[str] | None) -> str:
        """Return why a stream of these accounts has to end now, "" when it may go on."""
        token = viewer.token
        if token is None:
            return "" if self.keys.current(viewer.id) is not None else "the key is not valid any more"
        if token.expires_at <= self.clock.now_us() or not await self.tokens.stands(token):
            return "the token is not valid any more"
        if not (accounts or frozenset()) <= await self.tokens.accounts(token):
            return "an account belongs to somebody else now: begin anew"
        return ""

    def metrics(self) -> Iterator[Metric]:
        return self.counts.metrics(superseded=self.board.superseded, followed=len(self.board.positions))

    async def stopped(self, _app: object) -> None:
        """End all streams: the hub stops."""
        self.tail.stop()
        self.board.stop()
