"""`hub replay …`: events delivered to an endpoint once more."""

from typing import Annotated

import typer

from hub.cli_options import LOCAL, Json, Key, Url

replay = typer.Typer(help="Deliver events to an endpoint once more.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="REPLAY", help="The replay's id.")]
Follow = Annotated[bool, typer.Option("--follow/--no-follow", help="Show a bar until it is over.")]


@replay.command("start")
def replay_start(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's id.")],
    since: Annotated[
        str, typer.Option("--since", help="Events learned then or later: a time, or 6h for six hours ago.")
    ] = "",
    until: Annotated[str, typer.Option("--until", help="And not later than this; now if left out.")] = "",
    types: Annotated[
        list[str] | None, typer.Option("--type", "-t", help="Type or pattern; repeatable.")
    ] = None,
    account: Annotated[str, typer.Option("--account", help="Of this account alone: server:login.")] = "",
    event: Annotated[str, typer.Option("--event", help="This event alone, by its id.")] = "",
    missing: Annotated[
        bool, typer.Option("--missing", help="Leave out what was ever delivered to it.")
    ] = False,
    rate: Annotated[int, typer.Option("--rate", help="At most so many a second.", min=1, max=1000)] = 100,
    preview: Annotated[bool, typer.Option("--preview", help="Only count.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Begin without asking.")] = False,
    follow: Follow = True,
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Count what matches, ask, and deliver it; the exit code is 1 if there is nothing, or it was cancelled."""
    from hub.commands.replay import start_replay  # noqa: PLC0415 (start-up time)

    raise typer.Exit(
        start_replay(
            url,
            api_key,
            endpoint,
            event=event,
            since=since,
            until=until,
            types=types or [],
            account=account,
            missing=missing,
            rate=rate,
            preview=preview,
            yes=yes,
            follow=follow,
            as_json=as_json,
        )
    )


@replay.command("delivery")
def replay_delivery(
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id.")],
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Make one delivery once more, with attempts anew."""
    from hub.commands.replay import replay_delivery as again  # noqa: PLC0415 (start-up time)

    raise typer.Exit(again(url, api_key, delivery, as_json=as_json))


@replay.command("list")
def replay_list(
    endpoint: Annotated[str, typer.Option("--endpoint")] = "",
    state: Annotated[str, typer.Option("--state", help="running, paused, done or cancelled.")] = "",
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """List replays, the newest first."""
    from hub.commands.replay import list_replays  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_replays(url, api_key, endpoint=endpoint, state=state, as_json=as_json))


@replay.command("show")
def replay_show(
    name: Id, follow: Follow = False, url: Url = LOCAL, api_key: Key = "", as_json: Json = False
) -> None:
    """Show how far one is."""
    from hub.commands.replay import show_replay  # noqa: PLC0415 (start-up time)

    raise typer.Exit(show_replay(url, api_key, name, follow=follow, as_json=as_json))


@replay.command("pause")
def replay_pause(name: Id, url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """Queue nothing more for now."""
    _turn(url, api_key, name, "pause", as_json=as_json)


@replay.command("resume")
def replay_resume(name: Id, url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """Let a paused one go on from where it was."""
    _turn(url, api_key, name, "resume", as_json=as_json)


@replay.command("cancel")
def replay_cancel(name: Id, url: Url = LOCAL, api_key: Key = "", as_json: Json = False) -> None:
    """End one for good; what it has queued goes out."""
    _turn(url, api_key, name, "cancel", as_json=as_json)


def _turn(url: str, api_key: str, name: str, verb: str, *, as_json: bool) -> None:
    from hub.commands.replay import turn_replay  # noqa: PLC0415 (start-up time)

    raise typer.Exit(turn_replay(url, api_key, name, verb, as_json=as_json))


def register(app: typer.Typer) -> None:
    app.add_typer(replay, name="replay")
