"""The command line. Exit codes: 0 fine, 1 something was found or failed, 2 misuse or a configuration that cannot work."""

import sys
from typing import Annotated

import typer

from hub import (
    __version__,
    cli_approvals,
    cli_arrivals,
    cli_blueprints,
    cli_bounces,
    cli_deliveries,
    cli_directory,
    cli_endpoints,
    cli_events,
    cli_feeds,
    cli_files,
    cli_keys,
    cli_rehearse,
    cli_replay,
    cli_run,
    cli_runs,
    cli_sealing,
    cli_templates,
    cli_workflows,
    garbage,
)
from hub.errors import HubError

app = typer.Typer(
    name="hub",
    help="The event-driven webhook and automation hub for MetaTrader 4/5 brokers and prop firms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hub {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# In the order in which help lists them.
for group in (
    cli_run,
    cli_files,
    cli_rehearse,
    cli_events,
    cli_feeds,
    cli_workflows,
    cli_runs,
    cli_approvals,
    cli_blueprints,
    cli_templates,
    cli_endpoints,
    cli_sealing,
    cli_deliveries,
    cli_replay,
    cli_keys,
    cli_directory,
    cli_bounces,
    cli_arrivals,
):
    group.register(app)


def main() -> None:
    """Run a command; what the hub itself refuses is one sentence on stderr and exit code 2."""
    garbage.relax()
    try:
        app()
    except HubError as error:
        print(f"hub: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
