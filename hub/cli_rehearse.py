"""The commands that say what workflows do: in stories, over recorded events, after an edit, and why for one account."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli_options import LOCAL, Config, Data, Json, Key, Url


def stories(
    paths: Annotated[list[Path], typer.Argument(help="Story files or folders.")],
    junit: Annotated[Path | None, typer.Option("--junit", help="Also write JUnit XML.")] = None,
    coverage: Annotated[
        bool,
        typer.Option(
            "--coverage", help="Also say which triggers, steps, branches and noes the stories reach."
        ),
    ] = False,
    min_coverage: Annotated[
        int,
        typer.Option(
            "--min-coverage", help="Fail where less percent of a workflow is reached.", min=0, max=100
        ),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Run story tests: NAME.test.yaml beside each workflow, on a virtual clock."""
    from hub.commands.test import run_stories  # noqa: PLC0415 (start-up time)

    raise typer.Exit(run_stories(paths, junit, min_coverage, coverage=coverage, as_json=as_json))


def backtest(
    workflow: Annotated[str, typer.Argument(help="A workflow's file, or the id of a live one.")],
    since: Annotated[
        str, typer.Option("--from", help="From this day or time on; UTC where it has no offset.")
    ] = "",
    until: Annotated[str, typer.Option("--to", help="Up to this day or time, without it.")] = "",
    events: Annotated[
        Path | None, typer.Option("--events", help="NDJSON of events instead of the hub's own log.")
    ] = None,
    against: Annotated[
        str,
        typer.Option("--against", help="Compare with this file, or with what is live.", metavar="FILE|live"),
    ] = "",
    warm_up: Annotated[
        str,
        typer.Option(
            "--warm-up",
            help="How long before --from it is told events: 30d, all, none; as long as it looks back.",
        ),
    ] = "",
    assume: Annotated[
        str,
        typer.Option(
            "--assume", help="What people say who are asked; else nobody answers.", metavar="approve|deny"
        ),
    ] = "",
    html: Annotated[Path | None, typer.Option("--html", help="Also write a page with a chart.")] = None,
    config: Config = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say whom a workflow would have touched, when, and with how much money; nothing is sent."""
    from hub.commands.backtest import Asked, run_backtest  # noqa: PLC0415 (start-up time)

    asked = Asked(
        since=since, until=until, warm_up=warm_up, assume=assume, events=events, config=config, data=data
    )
    raise typer.Exit(run_backtest(workflow, asked, against=against, html=html, as_json=as_json))


def diff(
    old: Annotated[str, typer.Argument(help="A workflow's file, or the id of a live one.")],
    new: Annotated[str, typer.Argument(help="What it is compared with.")],
    since: Annotated[
        str, typer.Option("--from", help="Compare over the hub's log from this day or time on.")
    ] = "",
    until: Annotated[str, typer.Option("--to", help="Up to this day or time, without it.")] = "",
    events: Annotated[
        Path | None, typer.Option("--events", help="Compare over this NDJSON of events.")
    ] = None,
    recorded: Annotated[
        bool,
        typer.Option("--recorded", help="Compare what the hub recorded for two ids, such as one in shadow."),
    ] = False,
    config: Config = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say what changes between two versions of a workflow, in plain English and for whom; exit code 1 if anything does."""
    from hub.commands.backtest import Asked  # noqa: PLC0415 (start-up time)
    from hub.commands.diff import run_diff  # noqa: PLC0415

    asked = Asked(since=since, until=until, events=events, config=config, data=data)
    raise typer.Exit(run_diff(old, new, asked, recorded=recorded, as_json=as_json))


def why(
    workflow: Annotated[str, typer.Argument(help="The workflow's id.")],
    key: Annotated[
        str,
        typer.Argument(
            help="Whose: server:login, client=ID, group=server:NAME, symbol=server:NAME, position=server:TICKET, event.FIELD=VALUE, all=, or as `hub explain` says."
        ),
    ],
    event: Annotated[str, typer.Option("--event", help="Why it did or did not with this event.")] = "",
    at: Annotated[
        str, typer.Option("--at", help="How it stood at this time; UTC where it has no offset.")
    ] = "",
    url: Url = LOCAL,
    api_key: Key = "",
    as_json: Json = False,
) -> None:
    """Say why a workflow fired or did not, for one account, client, group, symbol, position or request of a running hub."""
    from hub.commands.client import ask_why  # noqa: PLC0415 (start-up time)

    raise typer.Exit(ask_why(url, api_key, workflow, key, event=event, at=at, as_json=as_json))


def register(app: typer.Typer) -> None:
    app.command("test")(stories)
    app.command()(backtest)
    app.command()(diff)
    app.command()(why)
