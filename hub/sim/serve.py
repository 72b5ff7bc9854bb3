"""Starts the simulated broker: both gateways and the control surface, on loopback sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from hub.clock import Clock, SystemClock
from hub.sim.back_office import BackOffice
from hub.sim.broker import Broker
from hub.sim.control import Control
from hub.sim.driver import Driver
from hub.sim.faults import Faults
from hub.sim.ledger import Ledger
from hub.sim.model import Platform
from hub.sim.mt5rest import Mt5Rest
from hub.sim.mt_remote import MtRemote
from hub.sim.population import password_of

HOST: Final = "127.0.0.1"
MANAGER_LOGIN: Final = 900
SHUTDOWN_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Options:
    """Port 0 means any free one. ``events_per_second`` is the traders' pace; ``liveliness`` multiplies volatility."""

    seed: int = 1
    mt_remote_port: int = 0
    mt5rest_port: int = 0
    control_port: int = 0
    zone: str = "Europe/Nicosia"
    mt4_accounts: int = 12
    mt5_accounts: int = 8
    events_per_second: float = 5.0
    liveliness: float = 10.0
    traffic: bool = True
    cadence: timedelta = timedelta(milliseconds=100)


class Simulator:
    """Serve for the length of an ``async with``, or until told to stop with ``run``."""

    def __init__(self, options: Options | None = None, clock: Clock | None = None) -> None:
        self.options = options or Options()
        self._clock = clock or SystemClock()
        self.broker = Broker(
            seed=self.options.seed,
            start=self._clock.now(),
            zone=self.options.zone,
            mt4_accounts=self.options.mt4_accounts,
            mt5_accounts=self.options.mt5_accounts,
            events_per_second=self.options.events_per_second,
            liveliness=self.options.liveliness,
        )
        self.ledger = Ledger()
        self.faults = Faults()
        self.driver = Driver(self.broker, self._clock, cadence=self.options.cadence)
        self.driver.traffic = self.options.traffic
        self.manager_login = MANAGER_LOGIN
        self.manager_password = password_of(self.options.seed, MANAGER_LOGIN)
        self.mt_remote_url = ""
        self.mt5rest_url = ""
        self.control_url = ""
        self._runners: list[web.AppRunner] = []
        self._gateways: list[web.AppRunner] = []
        self._mt_remote: MtRemote | None = None
        self._mt5rest: Mt5Rest | None = None
        self._unobserve: list[Callable[[], None]] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._serving())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until ``stopping`` is set."""
        async with self:
            await stopping.wait()

    def password(self, login: int) -> str:
        return self.broker.account(login).password

    def describe(self) -> str:
        """Return what a person needs to connect, line by line."""
        lines = [
            f"MT4  MT Remote   {self.mt_remote_url}   manager {self.manager_login}, password {self.manager_password}",
            f"MT5  mt5rest     {self.mt5rest_url}",
            f"     control     {self.control_url}/sim/state",
            f"     server zone {self.broker.zone.name}, seed {self.options.seed}",
        ]
        accounts = self.broker.accounts.values()
        lines += [f"{a.platform.upper()}  {a.login}  {a.password}  {a.group}  {a.email}" for a in accounts]
        return "\n".join(lines)

    # --- levers

    def stop_traffic(self) -> None:
        self.driver.stop_traffic()

    def start_traffic(self) -> None:
        self.driver.start_traffic()

    def drop_connections(self) -> None:
        """Cut every connection to both gateways, idle ones too; the control surface keeps its own."""
        for runner in self._gateways:
            if runner.server is not None:
                for connection in list(runner.server.connections):
                    if connection.transport is not None:
                        connection.transport.abort()

    def lose_sessions(self) -> None:
        if self._mt5rest is not None:
            self._mt5rest.lose_sessions()

    def lose_upstream(self, duration: timedelta) -> None:
        if self._mt_remote is not None:
            self._mt_remote.lose_upstream(duration)

    def session_counts(self) -> dict[str, int]:
        return {
            "mt_remote": self._mt_remote.sessions if self._mt_remote else 0,
            "mt5rest": self._mt5rest.sessions if self._mt5rest else 0,
        }

    # --- inside

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            tasks: set[asyncio.Task[None]] = set()

            def spawn(work: Coroutine[Any, Any, None]) -> None:
                task = group.create_task(work)
                tasks.add(task)
                task.add_done_callback(tasks.discard)

            await self._start_gateways(spawn)
            spawn(self.driver.run(stopping))
            try:
                yield
            finally:
                stopping.set()
                await self._stop_servers()
                for task in list(tasks):
                    task.cancel()

    async def _start_gateways(self, spawn: Callable[..., None]) -> None:
        options = self.options
        self._mt_remote = MtRemote(
            BackOffice(self.broker, self.ledger, self.faults, Platform.MT4, "mt_remote"),
            self._clock,
            spawn,
            manager_login=self.manager_login,
            manager_password=self.manager_password,
            seed=options.seed,
        )
        self._mt5rest = Mt5Rest(
            BackOffice(self.broker, self.ledger, self.faults, Platform.MT5, "mt5rest"),
            self._clock,
            spawn,
            seed=options.seed,
        )
        control = Control(self.broker, self.ledger, self.faults, self.driver, self, self._clock)
        self._unobserve = [self.broker.observe(self._mt_remote), self.broker.observe(self._mt5rest)]
        try:
            mt_remote_port = await self._listen(self._mt_remote.app(), options.mt_remote_port)
            mt5rest_port = await self._listen(self._mt5rest.app(), options.mt5rest_port)
            self._gateways = list(self._runners)
            control_port = await self._listen(control.app(), options.control_port)
        except OSError:
            await self._stop_servers()
            raise
        self.mt_remote_url = f"ws://{HOST}:{mt_remote_port}/"
        self.mt5rest_url = f"http://{HOST}:{mt5rest_port}"
        self.control_url = f"http://{HOST}:{control_port}"

    async def _listen(self, app: web.Application, port: int) -> int:
        # No access log: passwords and tokens travel in the query string of mt5rest.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, HOST, port).start()
        return int(runner.addresses[0][1])

    async def _stop_servers(self) -> None:
        while self._unobserve:
            self._unobserve.pop()()
        while self._runners:
            await self._runners.pop().cleanup()


async def serve(options: Options, stopping: asyncio.Event, started: Callable[[Simulator], None]) -> None:
    """Run a simulator until ``stopping`` is set; ``started`` is called once it listens, to print where."""
    async with Simulator(options) as simulator:
        started(simulator)
        await stopping.wait()
