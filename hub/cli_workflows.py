"""The command line's part about workflows of a running hub, and the switch for all manager actions."""

from typing import Annotated

import typer

from hub.cli_options import LOCAL, Json, Key, Url

workflows = typer.Typer(help="Workflows of a running hub.", no_args_is_help=True)
Because = Annotated[str, typer.Option("--because", help="Why, for whoever asks later.")]
Workflow = Annotated[str, typer.Argument(metavar="ID", help="The workflow's id.")]


@workflows.command("list")
def workflows_list(url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """List the workflows that are loaded, and which of them a breaker has stopped."""
    from hub.commands.workflows import list_workflows  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_workflows(url, api_key, as_json=as_json))


@workflows.command("start")
def workflows_start(
    workflow: Workflow,
    key: Annotated[
        str,
        typer.Argument(
            help="For whom: server:login, client=ID, group=server:NAME, symbol=server:NAME, all=, or as `hub explain` says."
        ),
    ],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="NAME=VALUE, as the workflow asks; repeatable.")
    ] = None,
    trigger: Annotated[
        str | None, typer.Option("--trigger", help="Which manual trigger, where there are several.")
    ] = None,
    once: Annotated[
        str | None, typer.Option("--once", help="An idempotency key: said again, it is the same run.")
    ] = None,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Start a run by hand, where the workflow has a manual trigger."""
    from hub.commands.workflows import start_workflow  # noqa: PLC0415 (start-up time)

    raise typer.Exit(
        start_workflow(url, api_key, workflow, key, inputs or [], trigger, once, as_json=as_json)
    )


@workflows.command("reset")
def workflows_reset(
    workflow: Workflow, because: Because, url: Url = LOCAL, api_key: Key = "", as_json: Json = False
) -> None:
    """Let a workflow go on that its breaker has stopped."""
    from hub.commands.workflows import reset_workflow  # noqa: PLC0415 (start-up time)

    raise typer.Exit(reset_workflow(url, api_key, workflow, because, as_json=as_json))


def halt(because: Because, url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """Let no manager action leave the hub; what is decided meanwhile stays due."""
    from hub.commands.workflows import halt_actions  # noqa: PLC0415 (start-up time)

    raise typer.Exit(halt_actions(url, api_key, because, as_json=as_json))


def resume(because: Because, url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """Let manager actions go again, those that stayed due first."""
    from hub.commands.workflows import resume_actions  # noqa: PLC0415 (start-up time)

    raise typer.Exit(resume_actions(url, api_key, because, as_json=as_json))


def register(app: typer.Typer) -> None:
    app.add_typer(workflows, name="workflows")
    app.command()(halt)
    app.command()(resume)
