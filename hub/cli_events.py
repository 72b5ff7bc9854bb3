"""The commands that post events to a running hub, and receive its webhooks."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli_options import LOCAL, Json, Key, Url


def ingest(
    file: Annotated[Path, typer.Argument(help="NDJSON, one event a line.")],
    url: Url = LOCAL,
    api_key: Key = "",
    start: Annotated[int, typer.Option("--from", help="Begin at this line.", min=1)] = 1,
    as_json: Json = False,
) -> None:
    """Post a file of events to a running hub, in batches; run it again and nothing is counted twice."""
    from hub.commands.ingest import ingest_file  # noqa: PLC0415 (start-up time)

    raise typer.Exit(ingest_file(file, url, api_key, start, as_json=as_json))


def receive(
    secret: Annotated[
        str, typer.Option("--secret", envvar="HUB_SECRET", help="The endpoint's whsec_… secret.")
    ],
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65_535)] = 9000,
    count: Annotated[int, typer.Option(help="Stop after this many; 0 goes on.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Receive webhooks on this machine and check each signature with the official Standard Webhooks package."""
    from hub.commands.receive import run_receiver  # noqa: PLC0415 (start-up time)

    raise typer.Exit(run_receiver(secret, port, count, as_json=as_json))


def event_types(
    name: Annotated[
        str, typer.Argument(help="One type, such as custom.client_promoted.", metavar="[TYPE]")
    ] = "",
    family: Annotated[str, typer.Option(help="Only those that begin with it, such as custom.")] = "",
    declared: Annotated[bool, typer.Option("--declared", help="Only those this hub declares.")] = False,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Show which events a running hub knows, or what one of them says."""
    from hub.commands.event_types import list_event_types, show_event_type  # noqa: PLC0415 (start-up time)

    if name:
        raise typer.Exit(show_event_type(url, api_key, name, as_json=as_json))
    raise typer.Exit(list_event_types(url, api_key, family=family, declared=declared, as_json=as_json))


def register(app: typer.Typer) -> None:
    app.command()(ingest)
    app.command()(receive)
    app.command("event-types")(event_types)
