"""Runs the demo: starts everything, watches, stops the traffic, lets the rest arrive, and does the books."""

import asyncio
import json
import logging
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from rich.console import Console
from rich.live import Live

from hub import logs
from hub.app import Hub, build
from hub.clock import Clock, SystemClock
from hub.commands.demo.crm import Crm
from hub.commands.demo.mailbox import Mailbox, mail_server
from hub.commands.demo.reckoning import Reckoning, as_dict, outstanding, reckon
from hub.commands.demo.tally import Tally
from hub.commands.demo.view import view
from hub.commands.demo.workflows import demo_workflows
from hub.commands.remote import RemoteHub
from hub.commands.run import run_loop
from hub.config import Settings, load
from hub.durations import duration as parse_duration
from hub.errors import ConfigError
from hub.intents.intent import FINAL, Intent
from hub.sim.model import Platform
from hub.sim.serve import Options, Simulator

DRAIN = timedelta(seconds=10)
STARTING = timedelta(seconds=15)
_FRAME = timedelta(milliseconds=250)
_LOOK = timedelta(milliseconds=100)
_SHIPPED = Path("workflows")


def run_demo(*, duration: str, as_json: bool, seed: int, rate: float) -> int:
    try:
        length = parse_duration(duration) if duration else None
    except ValueError as error:
        raise ConfigError(f"--for {duration}: {error}") from error
    logs.set_up(level=logging.ERROR)  # the picture tells what happens
    return run_loop(_Demo(length, as_json=as_json, seed=seed, rate=rate).run())


class _Demo:
    def __init__(self, length: timedelta | None, *, as_json: bool, seed: int, rate: float) -> None:
        self._length = length
        self._as_json = as_json
        self._seed = seed
        self._rate = rate
        self._clock: Clock = SystemClock()
        self._crm = Crm(self._clock)
        self._mailbox = Mailbox()
        self._tally = Tally()
        self._stopped = asyncio.Event()
        self._console = Console(stderr=as_json, highlight=False)

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopped.set)
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-demo-")))
            options = Options(seed=self._seed, events_per_second=self._rate, traffic=False)
            sim = await stack.enter_async_context(Simulator(options))
            mail_port = await stack.enter_async_context(mail_server(self._mailbox))
            crm_url = await stack.enter_async_context(_serving(self._crm.app()))
            settings = _settings(sim, folder, mail_port)
            workflows = demo_workflows(_SHIPPED, folder / "workflows")
            hub = await stack.enter_async_context(build(settings, self._clock, workflows))
            hub.store.log.listen(self._tally.logged)
            hub.committed.append(self._tally.committed)
            assert hub.first_key is not None
            remote = RemoteHub(hub.url, hub.first_key)
            # Before anything happens, so that the CRM is owed every event there is.
            wanted = {"url": f"{crm_url}/webhooks", "events": ["*"]}
            self._crm.trust((await remote.ask("POST", "/v1/endpoints", body=wanted))["secret"])
            return await self._watch(hub, sim, remote)

    async def _introduce(self, sim: Simulator, remote: RemoteHub) -> None:
        """Tell the directory who is behind each account, as a CRM does."""
        for account in sim.broker.accounts.values():
            server = f"sim-{account.platform}"
            client = {"email": account.email, "accounts": [{"server": server, "login": account.login}]}
            await remote.ask("PUT", f"/v1/clients/client-{account.login}", body=client)

    async def _watch(self, hub: Hub, sim: Simulator, remote: RemoteHub) -> int:
        ending = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(hub.run(ending))
            picture = group.create_task(self._draw(hub, sim))
            await self._introduce(sim, remote)
            await self._until_level(hub)
            sim.start_traffic()
            await self._until_time()
            sim.stop_traffic()
            reckoning = await self._drain(hub, sim)
            picture.cancel()
            ending.set()
        return self._finish(reckoning)

    async def _until_level(self, hub: Hub) -> None:
        """Wait until the connectors know every account: what happened before they looked is not told as news."""
        deadline = self._clock.monotonic() + STARTING.total_seconds()
        while not all(source.is_level for source in hub.connectors):
            if self._clock.monotonic() > deadline or self._stopped.is_set():
                return
            await self._clock.sleep(_LOOK)

    async def _until_time(self) -> None:
        try:
            async with asyncio.timeout(self._length.total_seconds() if self._length else None):
                await self._stopped.wait()
        except TimeoutError:
            return

    async def _drain(self, hub: Hub, sim: Simulator) -> Reckoning:
        deadline = self._clock.monotonic() + DRAIN.total_seconds()
        while True:
            intents = await _intents(hub)
            waiting = sum(intent.state not in FINAL for intent in intents)
            counters = list(hub.dispatcher.counters().values())
            left = outstanding(sim, self._tally, self._crm, counters, waiting, hub.backlog())
            if not left or self._clock.monotonic() > deadline:
                return reckon(sim, self._tally, self._crm, self._mailbox, counters, intents)
            await self._clock.sleep(_LOOK)

    async def _draw(self, hub: Hub, sim: Simulator) -> None:
        if self._as_json or not self._console.is_terminal:
            await self._plain(hub)
            return
        with Live(console=self._console, auto_refresh=False, screen=False, transient=True) as live:
            while True:
                counters = hub.dispatcher.counters().values()
                status = (
                    f"API {hub.url}/docs   key {hub.first_key}   Ctrl-C ends"
                    if not self._length
                    else f"API {hub.url}/docs"
                )
                height = self._console.height
                live.update(
                    view(self._tally, self._crm, self._mailbox, counters, status, height), refresh=True
                )
                await self._clock.sleep(_FRAME)

    async def _plain(self, hub: Hub) -> None:
        """Without a terminal: a line every two seconds."""
        while True:
            await self._clock.sleep(timedelta(seconds=2))
            self._console.print(
                f"{sum(self._tally.events.values())} events, {sum(self._tally.runs.values())} runs, "
                f"{len(self._crm.receipts)} webhooks verified, {len(self._mailbox.mails)} mails"
            )

    def _finish(self, reckoning: Reckoning) -> int:
        if self._as_json:
            print(json.dumps(as_dict(reckoning)))
        else:
            _summary(self._console, reckoning)
        return 1 if reckoning.wrong else 0


def _summary(console: Console, reckoning: Reckoning) -> None:
    for title, counts in (
        ("events", reckoning.events), ("runs", reckoning.runs), ("deliveries", reckoning.deliveries), ("mails", reckoning.mails),
        ("manager effects", reckoning.manager_effects), ("latency, ms", reckoning.latency_ms),
    ):  # fmt: skip
        console.print(
            f"[bold]{title:16}[/bold]" + "  ".join(f"{name} {value}" for name, value in counts.items())
        )
    for problem in reckoning.wrong:
        console.print(f"[red]wrong[/red]           {problem}")
    if not reckoning.wrong:
        console.print("[green]nothing was lost, nothing was doubled, every signature was right[/green]")


async def _intents(hub: Hub) -> list[Intent]:
    found: list[Intent] = []
    after = ""
    while True:
        page = await hub.store.browser.actions(after=after, limit=500)
        found += page.items
        if page.next is None:
            return found
        after = page.next


def _settings(sim: Simulator, folder: Path, mail_port: int) -> Settings:
    quick: dict[str, Any] = {"zone": sim.broker.zone.name, "reconcile_open": 2, "reconcile_history": 5}
    accounts = [
        {"login": a.login, "password": a.password, "group": a.group}
        for a in sim.broker.accounts_of(Platform.MT5)
    ]
    manager = {"login": sim.manager_login, "password": sim.manager_password}
    mt4 = {"server": "sim-mt4", "url": sim.mt_remote_url, **manager}
    return load(
        None,
        {
            "data": folder / "data",
            "listen": {"port": 0},
            "sources": [
                {"kind": "mt_remote", "name": "mt-remote", **mt4, **quick},
                {
                    "kind": "mt5rest",
                    "name": "mt5rest",
                    "server": "sim-mt5",
                    "url": sim.mt5rest_url,
                    "accounts": accounts,
                    **quick,
                },
            ],
            "managers": [{**mt4, "zone": sim.broker.zone.name, "simulated": True}],
            # The simulator holds nothing back, so a lost answer may be looked for soon.
            "actions": {"money_quiesce": "1s", "state_quiesce": "500ms", "between_looks": "500ms"},
            "mail": {"host": "127.0.0.1", "port": mail_port, "sender": "hub@example.com", "starttls": False},
            "delivering": {"allow_loopback_endpoints": True, "schedule": (0.0, 0.2, 0.5, 1.0, 2.0)},
        },
    )


@asynccontextmanager
async def _serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert runner.addresses
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
