"""What `/metrics` shows, gathered when it is asked for from the plain numbers each room keeps."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from hub.dispatch.filters import Skip
from hub.dispatch.metrics import LATENCY_BOUNDS, Counters, Standing
from hub.dispatch.places import Places
from hub.engine.loop import EngineCounters
from hub.intents.intent import State
from hub.sizes import BOUNDS, Sizes
from hub.store.sqlite.store import SqliteStore


@final
class HubCollector(Collector):
    """Shows what each part tells; a part is asked anew each time."""

    def __init__(self, parts: Sequence[Callable[[], Iterable[Metric]]]) -> None:
        self._parts = parts

    @override
    def collect(self) -> Iterator[Metric]:
        for part in self._parts:
            yield from part()


def embedded_log(store: SqliteStore) -> Iterator[Metric]:
    writer = store.writer
    yield CounterMetricFamily("hub_log_rows", "Rows in the log.", value=sum(store.log.heads()))
    yield CounterMetricFamily("hub_store_commits", "Transactions on disk, since start.", value=writer.commits)
    yield CounterMetricFamily("hub_store_jobs", "Jobs in those transactions.", value=writer.jobs)
    yield GaugeMetricFamily("hub_store_waiting", "Jobs waiting for a transaction.", value=writer.waiting)
    yield GaugeMetricFamily("hub_wal_bytes", "Size of the write-ahead log.", value=store.wal_bytes())


def decisions(counters: EngineCounters, backlog: int, now_us: int) -> Iterator[Metric]:
    yield GaugeMetricFamily("hub_engine_backlog", "Inputs nobody has decided yet.", value=backlog)
    lag = max(now_us - counters.last_at, 0) / 1e6 if backlog and counters.last_at else 0.0
    yield GaugeMetricFamily(
        "hub_engine_lag_seconds", "Age of the last input decided, while others wait.", value=lag
    )
    yield GaugeMetricFamily(
        "hub_engine_counting",
        "Rows of the log that new aggregates have still to count.",
        value=counters.counting,
    )
    yield batch_sizes("hub_engine_batch_inputs", "Inputs decided in one transaction.", counters.sizes)
    for name, about, value in (
        ("decided", "Inputs decided, since start.", counters.decided),
        ("batches", "Batches committed, since start.", counters.batches),
        ("intents", "Intents asked for, since start.", counters.intents),
        ("held_back", "Firings held back by a limit, since start.", counters.held_back),
        ("failed", "Runs that failed, since start.", counters.failed),
        ("quarantined", "Inputs set aside, since start.", counters.quarantined),
    ):
        yield CounterMetricFamily(f"hub_engine_{name}", about, value=value)


def deliveries(known: Mapping[str, Counters]) -> Iterator[Metric]:
    for name, about in (
        ("sent", "Attempts, since start."),
        ("delivered", "Attempts answered with 2xx, since start."),
        ("failed", "Attempts that failed, since start."),
        ("exhausted", "Deliveries given up, since start."),
        ("aborted", "Deliveries their receiver did not want, since start."),
    ):
        rows = ((endpoint, getattr(counters, name)) for endpoint, counters in known.items())
        yield _labelled(f"hub_deliveries_{name}", about, "endpoint", rows)
    latency = HistogramMetricFamily("hub_delivery_seconds", "How long attempts took.", labels=["endpoint"])
    for endpoint, counters in known.items():
        total, buckets = 0, []
        for bound, count in zip((*LATENCY_BOUNDS, None), counters.latencies, strict=True):
            total += count
            buckets.append(("+Inf" if bound is None else str(bound / 1e6), float(total)))
        latency.add_metric([endpoint], buckets, counters.latency_us / 1e6)
    yield latency


def skipped(counts: Mapping[tuple[str, Skip], int]) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "hub_deliveries_skipped",
        "Events of an endpoint's types that its filter or channels held back, since start.",
        labels=["endpoint", "reason"],
    )
    for (endpoint, reason), count in counts.items():
        family.add_metric([endpoint, reason.value], count)
    yield family


def places(known: Places) -> Iterator[Metric]:
    yield GaugeMetricFamily("hub_delivery_places", "Attempts at a time of all endpoints.", value=known.most)
    yield GaugeMetricFamily("hub_delivery_places_taken", "How many of them are made now.", value=known.taken)
    yield GaugeMetricFamily(
        "hub_delivery_places_awaited", "Endpoints that wait for one of them.", value=known.waiting
    )


def standing(known: Mapping[str, Standing], now_us: int) -> Iterator[Metric]:
    at_a_time = GaugeMetricFamily(
        "hub_endpoint_at_a_time", "Attempts at a time an endpoint gets now.", labels=["endpoint"]
    )
    held = GaugeMetricFamily(
        "hub_endpoint_held_seconds", "How long an endpoint is left alone from now on.", labels=["endpoint"]
    )
    failing = GaugeMetricFamily(
        "hub_endpoint_failing_seconds", "How long an endpoint has failed.", labels=["endpoint"]
    )
    for endpoint, how in known.items():
        at_a_time.add_metric([endpoint], how.at_a_time)
        held.add_metric([endpoint], max(how.held_until - now_us, 0) / 1e6)
        failing.add_metric([endpoint], (now_us - how.failing_since) / 1e6 if how.failing_since else 0.0)
    yield from (at_a_time, held, failing)


def action_moves(counts: Mapping[State, int]) -> Iterator[Metric]:
    yield _labelled(
        "hub_actions", "Moves of manager actions and notifications into a state, since start.", "state",
        ((state.value, count) for state, count in counts.items()),
    )  # fmt: skip


def batch_sizes(name: str, about: str, sizes: Sizes) -> HistogramMetricFamily:
    so_far, buckets = 0, []
    for bound, count in zip((*BOUNDS, None), sizes.counts, strict=True):
        so_far += count
        buckets.append(("+Inf" if bound is None else str(bound), float(so_far)))
    family = HistogramMetricFamily(name, about)
    family.add_metric([], buckets, float(sizes.total))
    return family


def metrics_text(collector: Collector) -> bytes:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)


def _labelled(name: str, about: str, label: str, rows: Iterable[tuple[str, int]]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, about, labels=[label])
    for value, count in rows:
        family.add_metric([value], count)
    return family
