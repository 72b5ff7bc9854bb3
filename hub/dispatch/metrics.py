"""What dispatch counts: plain integers that the metrics page reads, because a counter object costs more than a send."""

from dataclasses import dataclass, field
from typing import NamedTuple

# Upper bounds in µs; one more bucket counts what took longer.
LATENCY_BOUNDS = (
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    1_000_000,
    5_000_000,
    15_000_000,
)


@dataclass(slots=True)
class Counters:
    """`sent` counts attempts; `delivered + failed` of them are settled; `retries` is how many of the failed wait again."""

    sent: int = 0
    delivered: int = 0
    failed: int = 0
    retries: int = 0
    exhausted: int = 0
    aborted: int = 0
    latency_us: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))

    def observe(self, latency_us: int) -> None:
        self.latency_us += latency_us
        latencies = self.latencies
        for index, bound in enumerate(LATENCY_BOUNDS):
            if latency_us <= bound:
                latencies[index] += 1
                return
        latencies[-1] += 1


class Standing(NamedTuple):
    """How an endpoint is sent to now; moments in µs, 0 for none."""

    at_a_time: int
    held_until: int
    failing_since: int
