"""The commands that read files alone: what is wrong with workflows, what they do, and what may stand in them."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli_options import Config, Data, Json


def check(
    paths: Annotated[list[Path], typer.Argument(help="Workflow files or folders.")],
    config: Config = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong with workflow files: file, line, column, and how to mend it."""
    from hub.commands.check import run_check  # noqa: PLC0415 (start-up time)

    raise typer.Exit(run_check(paths, config, data, as_json=as_json))


def explain(
    paths: Annotated[list[Path], typer.Argument(help="Workflow files or folders.")],
    as_json: Json = False,
) -> None:
    """Say in plain English what workflows do, for those who answer for them; with --json one object a line."""
    from hub.commands.explain import run_explain  # noqa: PLC0415 (start-up time)

    raise typer.Exit(run_explain(paths, as_json=as_json))


def schema(
    what: Annotated[str, typer.Argument(help="event, workflow, declaration, template, openapi or asyncapi.")],
) -> None:
    """Print a JSON Schema, or the OpenAPI or AsyncAPI document."""
    from hub.commands.schema import print_schema  # noqa: PLC0415 (start-up time)

    raise typer.Exit(print_schema(what))


def register(app: typer.Typer) -> None:
    app.command()(check)
    app.command()(explain)
    app.command()(schema)
