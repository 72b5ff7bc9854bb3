"""The second shape against the first: CPU of every hub process and of PostgreSQL for an event, Kafka's apart."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import events, hubs
from bench.figures import Figure, as_ratio
from bench.measure import cpu_seconds, middle
from bench.poster import Poster
from processes.client import HubClient
from processes.harness import HubProcess
from processes.scaled import Fleet
from processes.services import Kafka, Postgres, folder_for_services

from hub.ids import PARTITIONS

CONNECTIONS = 8
BATCH = 100
_REST = 0.25  # seconds between looks at whether everything has come to rest


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU for an event, in µs."""

    hub: float
    postgres: float
    kafka: float

    @property
    def judged(self) -> float:
        return self.hub + self.postgres


class Line:
    """One hub, of one process or several, with a sink of its own."""

    def __init__(
        self,
        hub: HubProcess,
        pids: Sequence[int],
        sink: hubs.Sink,
        trades: events.Trades,
        services: "Services | None",
    ) -> None:
        self._hub = hub
        self._pids = pids
        self._services = services
        self._sink = sink
        self._trades = trades
        self._sent = 0

    async def warm_up(self) -> None:
        async with HubClient(self._hub) as client:
            await client.create_endpoint(self._sink.webhooks, ["trade.*"])
        await self._until_heard()
        await self.run(events.ACCOUNTS)

    async def _until_heard(self) -> None:
        """Post until a webhook comes: from then on every process knows of the endpoint."""
        for _ in range(200):
            await self._post(self._trades.take(1))
            await asyncio.sleep(0.1)
            if self._sink.count():
                break
        await _at_rest(self._pids)
        self._sink.reset()
        self._sent = 0

    async def run(self, count: int) -> Cost:
        services = self._services
        posts = events.requests(self._hub.url, self._trades.take(count), BATCH, self._hub.headers)
        others = services.pids() if services else ()
        await _at_rest(self._pids)
        before = _cpu(self._pids), services.cpu() if services else (0.0, 0.0)
        async with Poster(self._hub.url, CONNECTIONS) as poster:
            await poster.post_all(posts)
        self._sent += count
        await self._sink.has(self._sent)
        await _at_rest([*self._pids, *others])
        after = _cpu(self._pids), services.cpu() if services else (0.0, 0.0)
        assert self._sink.count() == self._sent, f"{self._sink.count()} webhooks for {self._sent} events"
        each = 1e6 / count
        return Cost(
            (after[0] - before[0]) * each,
            (after[1][0] - before[1][0]) * each,
            (after[1][1] - before[1][1]) * each,
        )

    async def _post(self, trades: Sequence[dict[str, object]]) -> None:
        async with Poster(self._hub.url, 1) as poster:
            await poster.post_all(events.requests(self._hub.url, trades, BATCH, self._hub.headers))


@dataclass(frozen=True, slots=True)
class Services:
    postgres: Postgres
    kafka: Kafka

    def pids(self) -> list[int]:
        return [pid for service in self.postgres.services for pid in service.family()]

    def cpu(self) -> tuple[float, float]:
        """Return what PostgreSQL and Kafka have used, children that are over included."""
        return (
            sum(cpu_with_children(service.family()) for service in self.postgres.services),
            sum(cpu_with_children(service.family()) for service in self.kafka.services),
        )


@dataclass(frozen=True, slots=True)
class Kind:
    """A hub to measure: embedded, or so many engine processes, with accounts in so many partitions.

    Several of them share a process that does everything else; one may have such a process beside it, too.
    """

    name: str
    engines: int
    partitions: int = PARTITIONS
    apart: bool = False


EMBEDDED, ONE = Kind("embedded", 0), Kind("one", 1)
NARROW = Kind("narrow", 1, partitions=1)
APART, THREE = Kind("apart", 1, apart=True), Kind("three", 3, apart=True)
# What is judged, against what, and how much it may cost. Each pair is alone with the servers: processes that rest poll, too.
PAIRS = (
    ("two shapes: hub and PostgreSQL against the embedded hub", ONE, EMBEDDED, 2.0),
    ("64 busy partitions against 1", ONE, NARROW, 1.2),
    # Beside the same other process: that engines hand deliveries over to it through the store is no matter of their number.
    ("3 engine processes against 1", THREE, APART, 1.2),
)


async def measure(folder: Path, repeats: int, *, quick: bool) -> list[Figure]:
    count = 5_000 if quick else 10_000
    figures = []
    with folder_for_services() as where:
        async with Postgres(where / "postgres") as postgres, Kafka(where / "kafka") as kafka:
            services = Services(postgres, kafka)
            for number, (name, judged, against, target) in enumerate(PAIRS):
                async with AsyncExitStack() as stack:
                    lines = []
                    for kind in (judged, against):
                        place = folder / f"{number}-{kind.name}"
                        place.mkdir()
                        lines.append(await _line(stack, place, kind, services))
                    costs: list[tuple[Cost, Cost]] = []
                    for _ in range(repeats):
                        first, second = [await line.run(count) for line in lines]
                        costs.append((first, second))
                figures.append(_figure(name, costs, target))
    return figures


async def _line(stack: AsyncExitStack, folder: Path, kind: Kind, services: Services) -> Line:
    server = await stack.enter_async_context(hubs.Server("sink.py", folder))
    trades = events.Trades(large=True, partitions=kind.partitions)
    if kind.engines == 0:
        hub = hubs.hub(folder / "hub")
        await hub.start()
        stack.push_async_callback(hub.kill)
        line = Line(hub, [hub.program.pid], hubs.Sink(server), trades, None)
    else:
        fleet = await stack.enter_async_context(
            Fleet(
                folder / "fleet",
                services.postgres,
                services.kafka,
                folder.name,
                config={"delivering": {"concurrency": hubs.CONNECTIONS, "timeout": "15s"}},
                workflows=[hubs.WORKFLOWS],
            )
        )
        if kind.apart:
            hub = await fleet.start("door", "api", "ingest", "dispatch")
            engines = [await fleet.start(f"engine-{n}", "engine") for n in range(kind.engines)]
        else:
            hub, engines = await fleet.start("all"), []
        pids = [each.program.pid for each in (hub, *engines)]
        line = Line(hub, pids, hubs.Sink(server), trades, services)
    await line.warm_up()
    return line


def _figure(name: str, costs: Sequence[tuple[Cost, Cost]], target: float) -> Figure:
    ratios = [cost.judged / other.judged for cost, other in costs]
    return as_ratio(
        name,
        target,
        ratios,
        beside={
            "hub µs/event": middle([cost.hub for cost, _ in costs]),
            "PostgreSQL": middle([cost.postgres for cost, _ in costs]),
            "Kafka, not judged": middle([cost.kafka for cost, _ in costs]),
            "against": middle([other.judged for _, other in costs]),
        },
    )


def _cpu(pids: Sequence[int]) -> float:
    return sum(cpu_seconds(pid) for pid in pids if _exists(pid))


def _exists(pid: int) -> bool:
    """Return whether it still runs: PostgreSQL ends connections that nobody needs."""
    return Path(f"/proc/{pid}").exists()


def cpu_with_children(pids: Sequence[int]) -> float:
    """Return what these processes used, and their children that are over."""
    return sum(cpu_seconds(pid, children=True) for pid in pids if _exists(pid))


async def _at_rest(pids: Sequence[int], *, within: float = 60.0) -> None:
    """Return when together they use next to nothing: leases are renewed and clocks tick all the same."""
    before = _cpu(pids)
    for _ in range(int(within / _REST)):
        await asyncio.sleep(_REST)
        now = _cpu(pids)
        if now - before < 0.05 * _REST * max(len(pids) / 4, 1) + 0.011:
            return
        before = now
    raise AssertionError(f"they did not come to rest within {within:g} s")
