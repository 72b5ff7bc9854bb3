"""`hub blueprints …`: workflows with params to fill in."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli_options import Json

blueprints = typer.Typer(
    help="Workflows with params for every broker or programme to fill in.", no_args_is_help=True
)
Folders = Annotated[
    list[Path], typer.Option("--workflows", "-w", help="Where the blueprints are; repeatable.")
]
HERE = [Path("workflows")]


@blueprints.command("list")
def blueprints_list(workflows: Folders = HERE, as_json: Json = False) -> None:
    """Show the blueprints there are, with their params."""
    from hub.commands.blueprints import list_blueprints  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_blueprints(workflows, as_json=as_json))


@blueprints.command("use")
def blueprints_use(
    name: Annotated[str, typer.Argument(help="The blueprint's name.")],
    workflow: Annotated[str, typer.Option("--id", help="The new workflow's id.")],
    values: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE of a param; repeatable.")
    ] = None,
    mode: Annotated[str, typer.Option(help="off, shadow or live.")] = "shadow",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write.")] = None,
    workflows: Folders = HERE,
) -> None:
    """Write a file that uses a blueprint."""
    from hub.commands.blueprints import use_blueprint  # noqa: PLC0415 (start-up time)

    raise typer.Exit(use_blueprint(name, workflows, workflow, values or (), mode, output))


@blueprints.command("upgrade")
def blueprints_upgrade(
    file: Annotated[Path, typer.Argument(help="A file that uses a blueprint.")],
    write: Annotated[bool, typer.Option("--write", help="Raise the version in the file.")] = False,
    workflows: Folders = HERE,
    as_json: Json = False,
) -> None:
    """Show what changes for a file when it uses its blueprint as it is now."""
    from hub.commands.blueprints import upgrade  # noqa: PLC0415 (start-up time)

    raise typer.Exit(upgrade(file, workflows, write=write, as_json=as_json))


def register(app: typer.Typer) -> None:
    app.add_typer(blueprints, name="blueprints")
