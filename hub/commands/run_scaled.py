"""`hub run` past one machine: one process of some roles."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog
from rich.console import Console

from hub.clock import SystemClock
from hub.commands.reaching import LOOK_EVERY, unless_stopped, when_reachable
from hub.commands.run import count, show_problems
from hub.config import Settings
from hub.ending import end_process
from hub.errors import ConfigError, StoreUnavailable

try:
    from hub.scaled.hub import Role, ScaledHub, build_scaled
    from hub.store.postgres.migrate import check_schema
except ImportError as error:  # a bare install has neither client
    raise ConfigError(
        f"{error.name} is not installed: a hub on Kafka and PostgreSQL needs the extra, pip install 'hub[scaled]'"
    ) from error

CONNECT_SECONDS = 10.0

log = structlog.get_logger(__name__)


async def run_roles(settings: Settings, names: Sequence[str]) -> int:
    """Run until told to stop; without a name, in every role."""
    roles = [_role(name) for name in names] or list(Role)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        hub = await _open(stack, settings, roles, stopping)
        if hub is not None:
            _greet(hub)
            await hub.run(stopping)
    return 0


async def _open(
    stack: AsyncExitStack, settings: Settings, roles: Sequence[Role], stopping: asyncio.Event
) -> ScaledHub | None:
    """Return the process once its database answers, or None when it is told to stop before that.

    It does not wait for Kafka: without it timers, outcomes and webhooks go on, and what needs it says so.
    """
    clock, dsn = SystemClock(), settings.store.address()
    while True:
        reached = when_reachable(lambda: check_schema(dsn, CONNECT_SECONDS), clock)
        if await unless_stopped(reached, stopping) is None:
            return None
        try:
            return await stack.enter_async_context(build_scaled(settings, roles, clock, give_up=end_process))
        except StoreUnavailable as problem:  # it went again in between
            log.warning("hub.waits", reason=str(problem))
            await unless_stopped(clock.sleep(LOOK_EVERY), stopping)


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        known = ", ".join(role.value for role in Role)
        raise ConfigError(f"there is no role {name!r}: choose of {known}") from None


def _greet(hub: ScaledHub) -> None:
    console = Console(highlight=False)
    show_problems(console, hub.files.loaded)
    live = sum(workflow.mode == "live" for workflow in hub.files.loaded.workflows)
    roles = ", ".join(sorted(hub.roles))
    console.print(
        f"{count(len(hub.files.loaded.workflows), 'workflow')}, {live} live; roles: {roles}", soft_wrap=True
    )
    if hub.first_key:
        console.print(f"admin key: {hub.first_key}  (shown this once: keep it)", soft_wrap=True)
    console.print(f"hub is ready at {hub.url}", soft_wrap=True)
