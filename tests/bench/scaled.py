"""The second shape against the first: CPU of every hub process and of PostgreSQL for an event, Kafka's apart."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import events, hubs
from bench.figures import Figure
from bench.measure import cpu_seconds, middle
from bench.poster import Poster
from processes.client import HubClient
from processes.harness import HubProcess
from processes.scaled import Fleet
from processes.services import Kafka, Postgres, folder_for_services

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
        self, hub: HubProcess, hubs_pids: Sequence[int], sink: hubs.Sink, trades: events.Trades
    ) -> None:
        self._hub = hub
        self._pids = hubs_pids
        self._sink = sink
        self._trades = trades
        self._sent = 0

    async def warm_up(self) -> None:
        async with HubClient(self._hub) as client:
            await client.create_endpoint(self._sink.webhooks, ["trade.*"])
        await self._until_heard()
        await self.run(events.ACCOUNTS, None)

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

    async def run(self, count: int, services: "Services | None") -> Cost:
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


async def measure(folder: Path, repeats: int, *, quick: bool) -> list[Figure]:
    count = 5_000 if quick else 20_000
    async with AsyncExitStack() as stack:
        where = stack.enter_context(folder_for_services())
        postgres = await stack.enter_async_context(Postgres(where / "postgres"))
        kafka = await stack.enter_async_context(Kafka(where / "kafka"))
        services = Services(postgres, kafka)

        async def fleet(name: str, engines: int) -> tuple[HubProcess, list[int]]:
            fleet = await stack.enter_async_context(
                Fleet(
                    folder / name,
                    postgres,
                    kafka,
                    name,
                    config={"delivering": {"concurrency": hubs.CONNECTIONS, "timeout": "15s"}},
                    workflows=[hubs.WORKFLOWS],
                )
            )
            if engines == 1:
                return (hub := await fleet.start("all")), [hub.program.pid]
            door = await fleet.start("door", "api", "ingest", "dispatch")
            others = [await fleet.start(f"engine-{n}", "engine") for n in range(engines)]
            return door, [door.program.pid, *(each.program.pid for each in others)]

        async def line(name: str, hub: HubProcess, pids: Sequence[int], trades: events.Trades) -> Line:
            (folder / name).mkdir(exist_ok=True)
            server = await stack.enter_async_context(hubs.Server("sink.py", folder / name))
            made = Line(hub, pids, hubs.Sink(server), trades)
            await made.warm_up()
            return made

        embedded = hubs.hub(folder / "embedded")
        await embedded.start()
        stack.push_async_callback(embedded.kill)
        lines = {
            "embedded": await line("embedded", embedded, [embedded.program.pid], events.Trades(large=True))
        }
        for name, engines, partitions in (("one", 1, 64), ("narrow", 1, 1), ("three", 3, 64)):
            hub, pids = await fleet(name, engines)
            lines[name] = await line(name, hub, pids, events.Trades(large=True, partitions=partitions))
        costs: dict[str, list[Cost]] = {name: [] for name in lines}
        for _ in range(repeats):
            for name, each in lines.items():
                costs[name].append(await each.run(count, None if name == "embedded" else services))
    return [
        _figure(
            "two shapes: hub and PostgreSQL against the embedded hub", costs["one"], costs["embedded"], 2.0
        ),
        _figure("64 busy partitions against 1", costs["one"], costs["narrow"], 1.2),
        _figure("3 engine processes against 1", costs["three"], costs["one"], 1.2),
    ]


def _figure(name: str, costs: Sequence[Cost], against: Sequence[Cost], target: float) -> Figure:
    ratios = [cost.judged / other.judged for cost, other in zip(costs, against, strict=True)]
    return Figure(
        name,
        middle(ratios),
        "x",
        target,
        samples=ratios,
        beside={
            "hub µs/event": middle([cost.hub for cost in costs]),
            "PostgreSQL": middle([cost.postgres for cost in costs]),
            "Kafka, not judged": middle([cost.kafka for cost in costs]),
            "against": middle([cost.judged for cost in against]),
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
