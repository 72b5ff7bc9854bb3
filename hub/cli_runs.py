"""`hub runs …`: the runs of a running hub."""

from typing import Annotated

import typer

from hub.cli_options import LOCAL, Json, Key, Url

runs = typer.Typer(help="The runs of a running hub.", no_args_is_help=True)


@runs.command("list")
def runs_list(
    workflow: Annotated[str, typer.Option("--workflow")] = "",
    whose: Annotated[str, typer.Option("--for", help="The key it runs for, such as live-1:7001.")] = "",
    state: Annotated[str, typer.Option("--state", help="queued, running, done or failed.")] = "",
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """List runs, the newest first."""
    from hub.commands.runs import list_runs  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_runs(url, api_key, workflow=workflow, key=whose, state=state, as_json=as_json))


@runs.command("show")
def runs_show(
    name: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Show why a run began, what its steps gave and how it stands."""
    from hub.commands.runs import show_run  # noqa: PLC0415 (start-up time)

    raise typer.Exit(show_run(url, api_key, name, as_json=as_json))


@runs.command("migrate")
def runs_migrate(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's id.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of each.")] = False,
    run: Annotated[str, typer.Option("--run", help="This run alone.")] = "",
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Have open runs of older versions go over to the live one; the exit code is 1 if any stays where it is."""
    from hub.commands.runs import migrate_runs  # noqa: PLC0415 (start-up time)

    raise typer.Exit(migrate_runs(url, api_key, workflow, run=run, dry_run=dry_run, as_json=as_json))


def register(app: typer.Typer) -> None:
    app.add_typer(runs, name="runs")
