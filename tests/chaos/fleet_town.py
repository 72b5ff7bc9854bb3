"""The scenery of the fleet's scenarios: processes of a hub, servers of their own, and a network with faults between them."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
from chaos import town
from processes.client import HubClient
from processes.fault_proxy import FaultProxy
from processes.harness import SimProcess, free_port
from processes.receiver import VerifyingReceiver
from processes.scaled import Fleet
from processes.services import Kafka, Postgres, folder_for_services

WORKFLOWS = Path(__file__).parent / "workflows"
FROM_NOTHING = (sys.executable, "-m", "hub")  # one that comes back under fire imports itself, as at a user's
DOORS = ("door-1", "door-2")
ENGINES = ("engine-1", "engine-2", "engine-3")
SENDERS = ("sender-1", "sender-2")
ROLES = {
    **dict.fromkeys(DOORS, ("api", "ingest")),
    **dict.fromkeys(ENGINES, ("engine",)),
    **dict.fromkeys(SENDERS, ("dispatch",)),
    "engine-3": ("engine", "dispatch"),  # one hands over directly to what it owns itself
}
READY_WITHIN = 120.0  # after a crash the servers themselves need their time
TAKEN_UP = "SELECT true FROM meta WHERE name = 'active' AND NOT EXISTS (SELECT FROM arrival)"
PATIENCE = 240.0  # of those who post: no fault lasts so long, but one follows upon another
SHOWN = 20  # rows of what may be many
QUESTIONS = {
    "transactions": "SELECT pid, state, wait_event, clock_timestamp() - xact_start AS since, left(query, 100) AS query,"
    " pg_blocking_pids(pid) AS blocked_by FROM pg_stat_activity"
    " WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid() ORDER BY xact_start",
    "sessions": "SELECT application_name, state, count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() GROUP BY 1, 2",
    "owners": "SELECT owner, split_part(name, ':', 1) AS kind, count(*), min(name) AS first,"
    " min(until) / 1e6 - extract(epoch FROM clock_timestamp()) AS lasts FROM lease WHERE until > 0 GROUP BY 1, 2 ORDER BY 1, 2",
    "arrivals": "SELECT partition, count(*), count(refused) AS refused FROM arrival GROUP BY 1",
    "deliveries that wait": "SELECT endpoint, partition, n, event_id, attempts, due FROM waiting"
    f" ORDER BY due LIMIT {SHOWN}",
    "actions that are not over": "SELECT key, verb, account, state, due, sends, reason FROM intent"
    f" WHERE state NOT IN ('applied', 'rejected', 'parked', 'delivered', 'exhausted', 'shadow') LIMIT {SHOWN}",
    "attempts to deliver what is missing": "SELECT event_id, number, state, outcome, error, at FROM attempt"
    " WHERE event_id = ANY ($1::text[]) ORDER BY event_id, at",
}
# The connector's and the manager's: the two live in different processes here.
SESSIONS = 2


@dataclass(frozen=True, slots=True)
class Servers:
    """`kafka_way` leads every process to Kafka, if there is anything between."""

    postgres: Postgres
    kafka: Kafka
    kafka_way: FaultProxy | None = None


@asynccontextmanager
async def own_servers() -> AsyncIterator[Servers]:
    """Start servers that may be hurt."""
    door = free_port()
    with folder_for_services() as folder:
        postgres, kafka = Postgres(folder), Kafka(folder, advertised=door)
        # Before Kafka starts: it is asked whether it serves where it sends its clients.
        async with FaultProxy(kafka.services[0].port, door) as way, postgres, kafka:
            yield Servers(postgres, kafka, way)


@dataclass(slots=True)
class FleetTown:
    """`ways` leads each process to PostgreSQL by itself; `missing` are ids of events that should have arrived, once known."""

    fleet: Fleet
    servers: Servers
    ways: dict[str, FaultProxy]
    sim: SimProcess
    control: town.Control
    receiver: VerifyingReceiver
    clients: list[HubClient]
    stack: AsyncExitStack
    missing: Sequence[str] = ()

    @property
    def client(self) -> HubClient:
        return self.clients[0]

    async def start(self, name: str, *roles: str) -> None:
        """Start one more process, with a way of its own to the database."""
        port = urlsplit(self.fleet.dsn).port or 5432
        self.ways[name] = await self.stack.enter_async_context(FaultProxy(port))
        await self.fleet.start(name, *roles, dsn=_by_way_of(self.ways[name], self.fleet.dsn))

    async def open_client(self, name: str) -> None:
        client = HubClient(self.fleet.processes[name], patience=PATIENCE)
        self.clients.append(await self.stack.enter_async_context(client))

    async def sees(self, question: str, *, within: float) -> None:
        """Return at the very moment the database has an answer."""
        connection = await asyncpg.connect(self.fleet.dsn, timeout=5)
        try:
            deadline = time.monotonic() + within
            while await connection.fetchval(question) is None:
                assert time.monotonic() < deadline, f"within {within:g} s there was no answer to: {question}"
        finally:
            connection.terminate()

    async def findings(self) -> str:
        """Return who is in the middle of what, who owns what, and what waits; for when something went wrong."""
        connection = await asyncpg.connect(self.fleet.dsn, timeout=5)
        try:
            found = []
            for what, question in QUESTIONS.items():
                values = [list(self.missing[:SHOWN])] if "$1" in question else []
                rows = await connection.fetch(question, *values, timeout=5)
                found += [f"--- {what}: {len(rows)} rows", *(str(dict(row)) for row in rows)]
            return "\n".join(found)
        finally:
            connection.terminate()

    async def held_by(self, name: str) -> int | None:
        """Return how many things a process owns by lease, or None while the database does not tell."""
        pid = self.fleet.processes[name].program.pid
        try:
            connection = await asyncpg.connect(self.fleet.dsn, timeout=2)
            try:
                return int(
                    await connection.fetchval(
                        "SELECT count(*) FROM lease WHERE owner LIKE '%-' || $1::text || '-%/%'"
                        " AND until > extract(epoch FROM clock_timestamp()) * 1000000",
                        str(pid),
                        timeout=2,
                    )
                )
            finally:
                connection.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return None

    async def all_ready(self, *, within: float = READY_WITHIN) -> None:
        """Return once every process says that it can do its work."""
        deadline = time.monotonic() + within
        while problems := await self.fleet.problems():
            self.fleet.insist()
            if time.monotonic() > deadline:
                raise AssertionError(f"not ready within {within:g} s: {problems}")
            await asyncio.sleep(0.2)

    async def heal(self) -> None:
        for way in (self.servers.kafka_way, *self.ways.values()):
            if way is not None:
                await way.heal()


@asynccontextmanager
async def open_town(
    folder: Path,
    servers: Servers,
    *,
    rate: float,
    roles: Mapping[str, Sequence[str]],
    workflows: Sequence[Path] = (WORKFLOWS,),
    hub: Sequence[str] = FROM_NOTHING,
) -> AsyncIterator[FleetTown]:
    """Start everything, sources and traffic aside; what fails in it is told with how every log ends.

    The first of the `roles` are those of a process with an API and without an engine.
    """
    async with AsyncExitStack() as stack:
        sim = SimProcess(folder, seed=7, rate=rate)
        await sim.start()
        stack.push_async_callback(_end, sim)
        fleet = Fleet(
            folder,
            servers.postgres,
            servers.kafka,
            f"chaos-{time.monotonic_ns()}",
            config=town.configuration(sim),
            workflows=workflows,
            kafka_servers=f"127.0.0.1:{servers.kafka_way.port}" if servers.kafka_way else "",
            hub=hub,
        )
        await stack.enter_async_context(fleet)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        control = town.Control(sim, session)
        await control.post("/sim/do", {"act": "stop_traffic"})
        receiver = await stack.enter_async_context(VerifyingReceiver(refusing=0.05, hanging=0.002))

        made = FleetTown(fleet, servers, {}, sim, control, receiver, [], stack)
        try:
            first, *others = roles
            # A door alone: it says the key, and no event is stored before somebody wants to hear of it.
            await made.start(first, *roles[first])
            await made.open_client(first)
            _, secret = await made.client.create_endpoint(receiver.url)
            receiver.trust(secret)
            async with asyncio.TaskGroup() as group:
                for name in others:
                    group.create_task(made.start(name, *roles[name]))
            for name in others:
                if "api" in roles[name]:
                    await made.open_client(name)
            await made.all_ready()
            # From here on the workflows decide: before they are taken up, events pass them by.
            await made.sees(TAKEN_UP, within=READY_WITHIN)
            yield made
        except (Exception, asyncio.CancelledError) as error:
            error.add_note(fleet.tails())
            if made.missing:
                error.add_note(f"--- missing: {len(made.missing)}, first {' '.join(made.missing[:SHOWN])}")
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError):
                error.add_note(await made.findings())
            raise


def _by_way_of(way: FaultProxy, dsn: str) -> str:
    parts = urlsplit(dsn)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{way.port}"))


async def _end(sim: SimProcess) -> None:
    if sim.program.running:
        await sim.program.kill()
