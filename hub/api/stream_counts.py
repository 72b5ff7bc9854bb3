"""What `/metrics` shows of streams and of the tokens that open them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


class StreamKind(StrEnum):
    EVENTS = "events"
    ACCOUNTS = "accounts"
    POSITIONS = "positions"  # accounts, with what they have open


class Ended(StrEnum):
    """Why a stream ended. `slow`: nothing was read for too long; `barred`: the key or token may see it no more."""

    LEFT = "left"
    SLOW = "slow"
    BARRED = "barred"
    TOO_OLD = "too_old"
    STOPPING = "stopping"
    FAILED = "failed"


class Refused(StrEnum):
    """Why a token opened nothing. `closed`: no token opens that; `foreign`: it is about accounts of somebody else."""

    INVALID = "invalid"
    CLOSED = "closed"
    FOREIGN = "foreign"


# By the kinds of problem that say so.
_REFUSALS: Final[Mapping[str, Refused]] = {
    "no-token": Refused.INVALID,
    "no-ticket": Refused.INVALID,
    "token-only-looks": Refused.CLOSED,
    "not-yours": Refused.FOREIGN,
}


@dataclass(slots=True)
class StreamCounts:
    """`told` counts events, or accounts, that were sent; `full` those turned away because enough streams were open."""

    open: Counter[StreamKind] = field(default_factory=Counter)
    opened: Counter[StreamKind] = field(default_factory=Counter)
    told: Counter[StreamKind] = field(default_factory=Counter)
    ended: Counter[tuple[StreamKind, Ended]] = field(default_factory=Counter)
    tokens_refused: Counter[Refused] = field(default_factory=Counter)
    full: int = 0

    def refused(self, problem: str) -> None:
        """Take note of a request that was answered with a problem of some kind."""
        why = _REFUSALS.get(problem)
        if why is not None:
            self.tokens_refused[why] += 1

    def metrics(self, *, superseded: int, followed: int) -> Iterator[Metric]:
        yield _of_kinds(
            GaugeMetricFamily("hub_streams_open", "Streams that are open.", labels=["kind"]), self.open
        )
        yield _of_kinds(
            CounterMetricFamily("hub_streams_opened", "Streams opened, since start.", labels=["kind"]),
            self.opened,
        )
        yield _of_kinds(
            CounterMetricFamily(
                "hub_stream_told", "Events, or accounts, sent to streams, since start.", labels=["kind"]
            ),
            self.told,
        )
        ended = CounterMetricFamily(
            "hub_streams_ended", "Streams that ended, since start.", labels=["kind", "reason"]
        )
        for kind in StreamKind:
            for reason in Ended:
                ended.add_metric([kind.value, reason.value], self.ended[kind, reason])
        yield ended
        yield CounterMetricFamily(
            "hub_stream_superseded",
            "Values of accounts that newer ones replaced before they were sent, since start.",
            value=superseded,
        )
        yield CounterMetricFamily(
            "hub_streams_refused", "Streams refused because enough were open, since start.", value=self.full
        )
        refused = CounterMetricFamily(
            "hub_tokens_refused",
            "Requests refused that brought a client's token or a ticket, since start.",
            labels=["reason"],
        )
        for why in Refused:
            refused.add_metric([why.value], self.tokens_refused[why])
        yield refused
        yield GaugeMetricFamily(
            "hub_positions_followed", "Accounts whose open positions are followed.", value=followed
        )


def _of_kinds(
    family: GaugeMetricFamily | CounterMetricFamily, counts: Mapping[StreamKind, int]
) -> GaugeMetricFamily | CounterMetricFamily:
    for kind in StreamKind:
        family.add_metric([kind.value], counts.get(kind, 0))
    return family
