"""`hub sealing …`: the key that endpoints' secrets are sealed with in the store."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli_options import Config

sealing = typer.Typer(help="The key that endpoints' secrets are sealed with.", no_args_is_help=True)


@sealing.command("new")
def sealing_new(
    file: Annotated[
        Path | None, typer.Option("--file", help="Write it there, for the hub alone to read.")
    ] = None,
) -> None:
    """Make a key: into a file that is not there yet, or onto the screen."""
    from hub.commands.sealing import new  # noqa: PLC0415 (start-up time)

    raise typer.Exit(new(file))


@sealing.command("rotate")
def sealing_rotate(config: Config = None) -> None:
    """Put a new key before the others of the file; a hub that starts then seals everything with it."""
    from hub.commands.sealing import rotate  # noqa: PLC0415 (start-up time)

    raise typer.Exit(rotate(config))


def register(app: typer.Typer) -> None:
    app.add_typer(sealing, name="sealing")
