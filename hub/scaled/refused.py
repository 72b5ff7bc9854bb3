"""Counts what was left for owners and refused by them, for whoever watches the hub."""

from collections.abc import Iterator
from datetime import timedelta

from prometheus_client.core import GaugeMetricFamily, Metric

from hub.scaled.looking import Looking
from hub.scaled.process import Process
from hub.store.postgres.refused import RefusedArrivals

EVERY = timedelta(seconds=30)


def add(process: Process) -> None:
    """Let the process say how many there are; each that does says the same."""
    arrivals, last = RefusedArrivals(process.database), [0]

    async def look() -> None:
        last[0] = await arrivals.count()

    def metrics() -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "hub_arrivals_refused", "What nobody could take and a person has to look at.", value=last[0]
        )

    looking = Looking("refused arrivals", look, process.clock, every=EVERY)
    looking.now()
    process.working.append(looking)
    process.metrics.append(metrics)
