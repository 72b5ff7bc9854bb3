"""`hub bounce`: what a mail server hands a mail on with that came back."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli_options import LOCAL, Json, Key, Url


def bounce(
    file: Annotated[
        Path | None, typer.Argument(help="The mail, as it came; from the standard input if left out.")
    ] = None,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Hand on a mail that came back; exit code 75, which asks a mail server to try again, where no hub answers."""
    from hub.commands.bounces import hand_on  # noqa: PLC0415 (start-up time)

    raise typer.Exit(hand_on(file, url, api_key, as_json=as_json))


def register(app: typer.Typer) -> None:
    app.command("bounce")(bounce)
