"""Commands that follow what happens, and that give others leave to."""

from typing import Annotated

import typer

from hub.cli_options import LOCAL, Json, Key, Url
from hub.errors import ConfigError

tokens = typer.Typer(
    help="What phones and browsers hold: short-lived, read-only, for one client's accounts.",
    no_args_is_help=True,
)


def tail(
    patterns: Annotated[
        list[str] | None,
        typer.Argument(
            help="Event types or families, such as 'trade.*'; all if left out.", metavar="[TYPE]…"
        ),
    ] = None,
    account: Annotated[str, typer.Option(help="server:login; several with commas between them.")] = "",
    client: Annotated[str, typer.Option(help="All accounts of this client.")] = "",
    where: Annotated[
        str, typer.Option(help="A condition on what an event holds, such as 'event.lots > 1'.")
    ] = "",
    since: Annotated[str, typer.Option(help="Begin so long ago, or at a time: 10m, 2026-03-01T12:00Z.")] = "",
    count: Annotated[int, typer.Option(help="Stop after this many; 0 goes on.", min=0)] = 0,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Show events as they happen; a lost connection is taken up again where it was. Ctrl-C ends it."""
    from hub.commands.tail import run_tail  # noqa: PLC0415 (start-up time)

    raise typer.Exit(
        run_tail(
            url,
            api_key,
            patterns or (),
            account=account,
            client=client,
            where=where,
            since=since,
            count=count,
            as_json=as_json,
        )
    )


@tokens.command("create")
def tokens_create(
    client: Annotated[str, typer.Argument(help="The id of the client in the directory.")],
    account: Annotated[
        list[str] | None, typer.Option("--account", help="Only this one of the client's; repeatable.")
    ] = None,
    event: Annotated[
        list[str] | None, typer.Option("--event", "-e", help="Type or pattern it may read; repeatable.")
    ] = None,
    expires_in: Annotated[str, typer.Option("--expires-in", help="From 1m to 24h.")] = "15m",
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Issue a token for a client's phone or browser and print it, this once."""
    from hub.commands.tokens import create_token  # noqa: PLC0415 (start-up time)

    raise typer.Exit(
        create_token(
            url,
            api_key,
            client,
            accounts=account or [],
            events=event or [],
            expires_in=expires_in,
            as_json=as_json,
        )
    )


@tokens.command("list")
def tokens_list(
    client: Annotated[str, typer.Option(help="Only those of this client.")] = "",
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """List tokens; what they are made of is not kept."""
    from hub.commands.tokens import list_tokens  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_tokens(url, api_key, client, as_json=as_json))


@tokens.command("revoke")
def tokens_revoke(
    token_id: Annotated[str, typer.Argument(help="A token's id; or name a client.")] = "",
    client: Annotated[str, typer.Option(help="Revoke all tokens of this client.")] = "",
    url: Url = LOCAL,
    api_key: Key = "",
) -> None:
    """Stop a token, or all of a client's, at once."""
    from hub.commands.tokens import revoke_token  # noqa: PLC0415 (start-up time)

    if bool(token_id) is bool(client):
        raise ConfigError("name either a token by its id, or a client with --client")
    raise typer.Exit(revoke_token(url, api_key, token_id, client))


def register(app: typer.Typer) -> None:
    app.command()(tail)
    app.add_typer(tokens, name="tokens")
