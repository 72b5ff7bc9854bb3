"""`hub run` past one machine: one process of some roles."""

import asyncio
import signal
from collections.abc import Sequence

from rich.console import Console

from hub.clock import SystemClock
from hub.commands.run import count, show_problems
from hub.config import Settings
from hub.errors import ConfigError

try:
    from hub.scaled.hub import Role, ScaledHub, build_scaled
except ImportError as error:  # a bare install has neither client
    raise ConfigError(
        f"{error.name} is not installed: a hub on Kafka and PostgreSQL needs the extra, pip install 'hub[scaled]'"
    ) from error


async def run_roles(settings: Settings, names: Sequence[str]) -> int:
    """Run until told to stop; without a name, in every role."""
    roles = [_role(name) for name in names] or list(Role)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with build_scaled(settings, roles, SystemClock()) as hub:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        _greet(hub)
        await hub.run(stopping)
    return 0


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        known = ", ".join(role.value for role in Role)
        raise ConfigError(f"there is no role {name!r}: choose of {known}") from None


def _greet(hub: ScaledHub) -> None:
    console = Console(highlight=False)
    show_problems(console, hub.workflows)
    live = sum(workflow.mode == "live" for workflow in hub.workflows.workflows)
    roles = ", ".join(sorted(hub.roles))
    console.print(
        f"{count(len(hub.workflows.workflows), 'workflow')}, {live} live; roles: {roles}", soft_wrap=True
    )
    if hub.first_key:
        console.print(f"admin key: {hub.first_key}  (shown this once: keep it)", soft_wrap=True)
    console.print(f"hub is ready at {hub.url}", soft_wrap=True)
