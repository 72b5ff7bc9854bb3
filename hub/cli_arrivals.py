"""`hub arrivals …`: what processes left for one another and nobody could take."""

from typing import Annotated

import typer

from hub.cli_options import Config, Json

arrivals = typer.Typer(
    help="What processes of a hub left for one another and nobody could take; on PostgreSQL alone.",
    no_args_is_help=True,
)


@arrivals.command("list")
def arrivals_list(
    config: Config = None,
    dropped: Annotated[bool, typer.Option("--dropped", help="Also those a person has dropped.")] = False,
    as_json: Json = False,
) -> None:
    """List those that wait for a person; the exit code is 1 if there are any."""
    from hub.commands.arrivals import list_arrivals  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_arrivals(config, dropped=dropped, as_json=as_json))


@arrivals.command("show")
def arrivals_show(
    number: Annotated[int, typer.Argument(metavar="ID")], config: Config = None, as_json: Json = False
) -> None:
    """Show one, with all that is in it."""
    from hub.commands.arrivals import show_arrival  # noqa: PLC0415 (start-up time)

    raise typer.Exit(show_arrival(config, number, as_json=as_json))


@arrivals.command("retry")
def arrivals_retry(number: Annotated[int, typer.Argument(metavar="ID")], config: Config = None) -> None:
    """Leave one for its owner again, before everything that came later."""
    from hub.commands.arrivals import retry_arrival  # noqa: PLC0415 (start-up time)

    raise typer.Exit(retry_arrival(config, number))


@arrivals.command("drop")
def arrivals_drop(
    number: Annotated[int, typer.Argument(metavar="ID")],
    because: Annotated[str, typer.Option("--because", help="Why it may be lost; kept beside it.")],
    config: Config = None,
) -> None:
    """Decide that one is never taken."""
    from hub.commands.arrivals import drop_arrival  # noqa: PLC0415 (start-up time)

    raise typer.Exit(drop_arrival(config, number, because))


def register(app: typer.Typer) -> None:
    app.add_typer(arrivals, name="arrivals")
