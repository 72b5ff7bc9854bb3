"""`hub run`: the hub as a program."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from hub import logs
from hub.app import Hub, build
from hub.clock import SystemClock
from hub.config import Settings, load
from hub.ending import end_process
from hub.engine.live_files import warn_of
from hub.engine.load import LoadedSet
from hub.engine.problems import Severity
from hub.errors import ConfigError

# The interpreter gives its lock to the writer's thread this often at the latest. A shorter time made commits a little
# quicker and cost a quarter of the CPU in taking turns; the writer's wide statements need the lock seldom.
SWITCH_SECONDS = 0.005


def run_hub(config: Path | None, flags: dict[str, Any], roles: Sequence[str] = ()) -> int:
    settings = load(config, flags)
    if settings.is_scaled:
        from hub.commands.run_scaled import run_roles  # noqa: PLC0415 (its libraries are an extra)

        work = run_roles(settings, roles)
    elif roles:
        raise ConfigError(
            "roles are for a hub of several processes: set store.postgres and bus.kafka, or leave --role out"
        )
    else:
        work = _run(settings)
    logs.set_up()
    return run_loop(work)


def run_loop(work: Coroutine[Any, Any, int]) -> int:
    """Run on the fastest event loop there is."""
    sys.setswitchinterval(SWITCH_SECONDS)
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop  # noqa: PLC0415 (there is none for Windows)

    return uvloop.run(work)


async def _run(settings: Settings) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with build(settings, SystemClock()) as hub:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        await _greet(hub)
        await hub.run(stopping, give_up=end_process)
    return 0


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_problems(console: Console, workflows: LoadedSet) -> None:
    for problem in workflows.problems:
        mark = "[red]not loaded[/red]" if problem.severity is Severity.ERROR else "[yellow]warning[/yellow]"
        console.print(f"{mark} {escape(f'{problem.place}: {problem.message}')}", soft_wrap=True)
    if not sys.stderr.isatty():  # the log is read elsewhere: by whoever does not see this
        for report in workflows.reports:
            warn_of(report)


async def _greet(hub: Hub) -> None:
    console = Console(highlight=False)
    loaded = hub.files.loaded
    show_problems(console, loaded)
    known = {workflow.id for workflow in loaded.workflows}
    stored = await hub.engine.programs.live() or ()
    kept = [workflow for workflow in stored if workflow.id not in known]
    for workflow in kept:
        console.print(
            f"{workflow.id} stays {workflow.mode} as it was: its file cannot be used", soft_wrap=True
        )
    workflows = (*loaded.workflows, *kept)
    live = sum(workflow.mode == "live" for workflow in workflows)
    console.print(
        f"{count(len(workflows), 'workflow')}, {live} live; {count(len(hub.settings.sources), 'source')}",
        soft_wrap=True,
    )
    if hub.settings.managers and not hub.settings.arm and not all(m.simulated for m in hub.settings.managers):
        console.print("live manager writes are off: start with --arm to allow them", soft_wrap=True)
    if hub.first_key:
        console.print(f"admin key: {hub.first_key}  (shown this once: keep it)", soft_wrap=True)
    console.print(f"hub is ready at {hub.url}", soft_wrap=True)
