"""`hub templates …`: messages by name, what they say, in which languages, and who uses them."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli_options import Json

templates = typer.Typer(
    help="Messages that workflows send by name, in every language they have.", no_args_is_help=True
)
Folders = Annotated[
    list[Path],
    typer.Option("--workflows", "-w", help="The workflows the messages stand beside; repeatable."),
]
Folder = Annotated[
    Path | None,
    typer.Option("--templates", help="Their folder, if it is not `templates` beside the workflows."),
]
Name = Annotated[str, typer.Argument(help="The message's name.")]
HERE = [Path("workflows")]


@templates.command("list")
def templates_list(workflows: Folders = HERE, folder: Folder = None, as_json: Json = False) -> None:
    """List the messages there are, with their languages, their versions and the workflows that use them."""
    from hub.commands.templates import list_templates  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_templates(workflows, folder, as_json=as_json))


@templates.command("show")
def templates_show(
    name: Name, workflows: Folders = HERE, folder: Folder = None, as_json: Json = False
) -> None:
    """Show what a message says in every language, as it is written, and which values it reads."""
    from hub.commands.templates import show_template  # noqa: PLC0415 (start-up time)

    raise typer.Exit(show_template(name, workflows, folder, as_json=as_json))


@templates.command("render")
def templates_render(
    name: Name,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="NAME=VALUE of a value it reads, such as client.first_name=Ann; repeatable."
        ),
    ] = None,
    language: Annotated[
        str, typer.Option("--language", "-l", help="The reader's language; the default's if left out.")
    ] = "",
    verb: Annotated[
        str, typer.Option("--as", help="The verb it is sent with, such as notify.sms; all parts if left out.")
    ] = "",
    workflows: Folders = HERE,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Fill a message in with values and print what would be sent."""
    from hub.commands.templates import render_template  # noqa: PLC0415 (start-up time)

    raise typer.Exit(render_template(name, values or [], language, verb, workflows, folder, as_json=as_json))


def register(app: typer.Typer) -> None:
    app.add_typer(templates, name="templates")
