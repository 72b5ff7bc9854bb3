"""`hub keys …`: the API keys of a running hub."""

from typing import Annotated

import typer

from hub.cli_options import LOCAL, Json, Key, Url

keys = typer.Typer(help="API keys of a running hub.", no_args_is_help=True)


@keys.command("create")
def keys_create(
    name: str,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="Such as events:write; repeatable.")
    ] = None,
    may: Annotated[
        list[str] | None,
        typer.Option("--may", help="What it may approve, such as money.approve; repeatable."),
    ] = None,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once."""
    from hub.commands.client import create_key  # noqa: PLC0415 (start-up time)

    raise typer.Exit(create_key(url, api_key, name, scope or [], may or [], as_json=as_json))


@keys.command("list")
def keys_list(url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """List keys; what they are made of is not kept."""
    from hub.commands.client import list_keys  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_keys(url, api_key, as_json=as_json))


@keys.command("revoke")
def keys_revoke(key_id: str, url: Url = LOCAL, api_key: Key = "") -> None:
    """Switch a key off for good."""
    from hub.commands.client import revoke_key  # noqa: PLC0415 (start-up time)

    raise typer.Exit(revoke_key(url, api_key, key_id))


def register(app: typer.Typer) -> None:
    app.add_typer(keys, name="keys")
