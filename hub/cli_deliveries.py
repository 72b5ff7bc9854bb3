"""`hub deliveries …`: what a running hub delivers, and what came of each attempt."""

from typing import Annotated

import typer

from hub.cli_options import LOCAL, Json, Key, Url

deliveries = typer.Typer(help="What a running hub delivers, and what came of it.", no_args_is_help=True)

Delivery = Annotated[
    str, typer.Argument(metavar="DELIVERY", help="Its id, as `hub deliveries list` shows it.")
]


@deliveries.command("list")
def deliveries_list(
    endpoint: Annotated[str, typer.Option("--endpoint", help="Of this endpoint alone.")] = "",
    state: Annotated[str, typer.Option("--state", help="waiting, delivered, exhausted or cancelled.")] = "",
    event: Annotated[str, typer.Option("--event", help="Of this event alone.")] = "",
    since: Annotated[
        str,
        typer.Option(
            "--since", help="Begun then or later: a time such as 2026-03-02T10:00Z, or an age such as 2h."
        ),
    ] = "",
    most: Annotated[int, typer.Option("--most", min=1, max=10_000, help="At most so many.")] = 100,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """List deliveries: those that wait, then those that ended, the newest first."""
    from hub.commands.deliveries import list_deliveries  # noqa: PLC0415 (start-up time)

    asked = {"endpoint": endpoint, "state": state, "event": event}
    raise typer.Exit(list_deliveries(url, api_key, asked, since=since, most=most, as_json=as_json))


@deliveries.command("show")
def deliveries_show(delivery: Delivery, url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """Show how a delivery stands, with a line for each attempt."""
    from hub.commands.deliveries import show_delivery  # noqa: PLC0415 (start-up time)

    raise typer.Exit(show_delivery(url, api_key, delivery, as_json=as_json))


@deliveries.command("attempts")
def deliveries_attempts(
    delivery: Delivery, url: Url = LOCAL, api_key: Key = "", as_json: Json = False
) -> None:
    """Show everything on record about a delivery's attempts: headers, addresses, timings, answers."""
    from hub.commands.deliveries import show_attempts  # noqa: PLC0415 (start-up time)

    raise typer.Exit(show_attempts(url, api_key, delivery, as_json=as_json))


def register(app: typer.Typer) -> None:
    app.add_typer(deliveries, name="deliveries")
