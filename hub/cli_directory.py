"""`hub clients …`, `hub accounts …` and `hub suppress …`: the directory of a running hub."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli_options import LOCAL, Json, Key, Url

clients = typer.Typer(help="The directory of clients of a running hub.", no_args_is_help=True)
accounts = typer.Typer(
    help="What an account holds, and what the broker says about accounts beside their platform.",
    no_args_is_help=True,
)
suppress = typer.Typer(help="Addresses and clients nothing is sent to.", no_args_is_help=True)

AsCsv = Annotated[
    bool | None, typer.Option("--csv/--ndjson", help="What the file is; told by its name if left out.")
]
Start = Annotated[int, typer.Option("--from", help="Begin at this line.", min=1)]


@clients.command("import")
def clients_import(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or NDJSON: a client a row.")],
    as_csv: AsCsv = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Change what a row names; otherwise it is the whole record.")
    ] = False,
    start: Start = 1,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Add or change the clients of a file; run it again and nothing is told twice."""
    from hub.commands.directory import import_file  # noqa: PLC0415 (start-up time)

    path = "/v1/clients/bulk" + ("?mode=merge" if merge else "")
    raise typer.Exit(import_file(file, url, path, api_key, start, is_csv=as_csv, as_json=as_json))


@clients.command("messages")
def clients_messages(
    client: Annotated[str, typer.Argument(metavar="ID", help="The client's id.")],
    most: Annotated[int, typer.Option("--most", help="How many at most.")] = 100,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """List what was written to a client, the newest first, and how each message ended."""
    from hub.commands.messages import list_messages  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_messages(url, api_key, client, most, as_json=as_json))


@clients.command("devices")
def clients_devices(
    client: Annotated[str, typer.Argument(metavar="ID", help="The client's id.")],
    remove: Annotated[str, typer.Option("--remove", help="Send nothing to this device any more.")] = "",
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """List the devices a client takes push messages on, or remove one."""
    from hub.commands.messages import list_devices, remove_device  # noqa: PLC0415 (start-up time)

    if remove:
        raise typer.Exit(remove_device(url, api_key, client, remove))
    raise typer.Exit(list_devices(url, api_key, client, as_json=as_json))


@accounts.command("import")
def accounts_import(
    file: Annotated[Path, typer.Argument(help="CSV with a header, or NDJSON: an account a row.")],
    as_csv: AsCsv = None,
    start: Start = 1,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Change the programme, phase, type, tags and attributes of the accounts of a file; what is not named stays."""
    from hub.commands.directory import import_file  # noqa: PLC0415 (start-up time)

    raise typer.Exit(
        import_file(file, url, "/v1/accounts/bulk", api_key, start, is_csv=as_csv, as_json=as_json)
    )


@accounts.command("positions")
def accounts_positions(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="server:login, such as live-1:7001.")],
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """List an account's open positions, with what was last sampled of each."""
    from hub.commands.accounts import list_positions  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_positions(url, api_key, account, as_json=as_json))


@accounts.command("deals")
def accounts_deals(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="server:login, such as live-1:7001.")],
    kind: Annotated[str, typer.Option(help="Only trade, balance, credit or bonus.")] = "",
    most: Annotated[int, typer.Option("--most", help="How many at most.")] = 100,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """List an account's trades and movements of money, the newest first."""
    from hub.commands.accounts import list_deals  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_deals(url, api_key, account, kind, most, as_json=as_json))


@suppress.command("add")
def suppress_add(
    whom: Annotated[str, typer.Argument(help="A mail address, a phone number, or client=ID.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept beside it.")],
    channel: Annotated[str, typer.Option("--channel", help="all, email, sms, push or platform.")] = "all",
    category: Annotated[
        str, typer.Option("--category", help="Close it for messages of this kind alone, such as marketing.")
    ] = "",
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Send nothing to an address or a client any more."""
    from hub.commands.directory import add_suppression  # noqa: PLC0415 (start-up time)

    raise typer.Exit(add_suppression(url, api_key, whom, channel, reason, category, as_json=as_json))


@suppress.command("list")
def suppress_list(url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """List whom nothing is sent to."""
    from hub.commands.directory import list_suppressions  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_suppressions(url, api_key, as_json=as_json))


@suppress.command("remove")
def suppress_remove(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help="As `hub suppress list` shows it.")],
    url: Url = LOCAL,
    api_key: Key = "",
) -> None:
    """Send to an address or a client again."""
    from hub.commands.directory import remove_suppression  # noqa: PLC0415 (start-up time)

    raise typer.Exit(remove_suppression(url, api_key, entry_id))


def register(app: typer.Typer) -> None:
    app.add_typer(clients, name="clients")
    app.add_typer(accounts, name="accounts")
    app.add_typer(suppress, name="suppress")
