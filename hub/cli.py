"""The command line. Exit codes: 0 fine, 1 something was found or failed, 2 misuse or a configuration that cannot work."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hub import __version__
from hub.cli_approvals import approvals
from hub.cli_deliveries import deliveries
from hub.cli_directory import accounts, clients, suppress
from hub.cli_endpoints import endpoints
from hub.cli_options import LOCAL, Config, Data, Json, Key, Url
from hub.cli_rehearse import backtest, diff, stories, why
from hub.cli_runs import runs
from hub.cli_sealing import sealing
from hub.cli_workflows import halt, resume, workflows
from hub.errors import HubError

app = typer.Typer(
    name="hub",
    help="The event-driven webhook and automation hub for MetaTrader 4/5 brokers and prop firms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
keys = typer.Typer(help="API keys of a running hub.", no_args_is_help=True)
arrivals = typer.Typer(
    help="What processes of a hub left for one another and nobody could take; on PostgreSQL alone.",
    no_args_is_help=True,
)
app.add_typer(clients, name="clients")
app.add_typer(suppress, name="suppress")
app.add_typer(accounts, name="accounts")
app.add_typer(keys, name="keys")
app.add_typer(approvals, name="approvals")
app.add_typer(runs, name="runs")
app.add_typer(endpoints, name="endpoints")
app.add_typer(sealing, name="sealing")
app.add_typer(deliveries, name="deliveries")
app.add_typer(arrivals, name="arrivals")
blueprints = typer.Typer(
    help="Workflows with params for every broker or programme to fill in.", no_args_is_help=True
)
app.add_typer(blueprints, name="blueprints")
app.command("test")(stories)
app.command()(backtest)
app.command()(diff)
app.command()(why)

Folders = Annotated[
    list[Path], typer.Option("--workflows", "-w", help="Where the blueprints are; repeatable.")
]
HERE = [Path("workflows")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hub {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    duration: Annotated[
        str, typer.Option("--for", help="Stop the traffic after this long, such as 20s.")
    ] = "",
    as_json: Json = False,
    seed: Annotated[int, typer.Option(help="The same seed, the same day.")] = 1,
    rate: Annotated[float, typer.Option(help="Trades and payments a second.", min=0.1, max=200)] = 12,
) -> None:
    """Run everything at once: a simulated broker, the hub, a CRM that checks every signature, a mail receiver."""
    from hub.commands.demo import run_demo  # noqa: PLC0415 (start-up time)

    raise typer.Exit(run_demo(duration=duration, as_json=as_json, seed=seed, rate=rate))


@app.command()
def run(
    config: Config = None,
    data: Data = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", help="0 takes any free port.", min=0, max=65_535)
    ] = None,
    workflows: Annotated[
        list[Path] | None, typer.Option("--workflows", "-w", help="A file or folder; repeatable.")
    ] = None,
    arm: Annotated[bool, typer.Option("--arm", help="Allow writes on a live manager backend.")] = False,
    allow_loopback_endpoints: Annotated[
        bool, typer.Option("--allow-loopback-endpoints", help="Deliver to this machine, for trying it out.")
    ] = False,
    role: Annotated[
        list[str] | None,
        typer.Option(
            "--role",
            help="On Kafka and PostgreSQL: ingest, engine, dispatch or api; repeatable, all if left out.",
        ),
    ] = None,
) -> None:
    """Run the hub."""
    from hub.commands.run import run_hub  # noqa: PLC0415 (start-up time)

    raise typer.Exit(
        run_hub(
            config,
            {
                "data": data,
                "listen": {"port": port},
                "workflows": tuple(workflows) if workflows else None,
                "arm": arm or None,
                "delivering": {"allow_loopback_endpoints": allow_loopback_endpoints or None},
            },
            role or (),
        )
    )


@app.command()
def migrate(
    config: Config = None,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Move the hub in this folder; needs --to.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="The hub.yaml of where it goes: store.postgres and bus.kafka.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="A rehearsal: the folder can still be run afterwards.")
    ] = False,
    wait: Annotated[
        str, typer.Option("--wait", help="Wait so long for servers that do not answer yet, such as 60s.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Make PostgreSQL's tables and Kafka's topics, or bring them up to date; with --data and --to, move a hub there.

    Safe to run again: a move that was interrupted goes on from where it was.
    """
    from hub.commands.migrate import run_migrate  # noqa: PLC0415 (start-up time)

    raise typer.Exit(run_migrate(config, data=data, to=to, keep=keep, wait=wait, as_json=as_json))


@app.command()
def sim(
    seed: Annotated[int, typer.Option(help="The same seed, the same day.")] = 1,
    mt_remote_port: Annotated[int, typer.Option(min=0, max=65_535)] = 8841,
    mt5rest_port: Annotated[int, typer.Option(min=0, max=65_535)] = 8851,
    control_port: Annotated[int, typer.Option(min=0, max=65_535)] = 8861,
    rate: Annotated[
        float, typer.Option(help="Trades and payments a second; 0 is quiet.", min=0, max=1000)
    ] = 5,
    zone: Annotated[str, typer.Option(help="The trading server's clock.")] = "Europe/Nicosia",
    as_json: Json = False,
) -> None:
    """Run the simulated broker: MT Remote and mt5rest on their own sockets, with a ledger of every effect."""
    from hub.commands.sim import run_sim  # noqa: PLC0415 (start-up time)

    raise typer.Exit(run_sim(seed, (mt_remote_port, mt5rest_port, control_port), rate, zone, as_json=as_json))


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(help="Workflow files or folders.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong with workflow files: file, line, column, and how to mend it."""
    from hub.commands.check import run_check  # noqa: PLC0415 (start-up time)

    raise typer.Exit(run_check(paths, config, as_json=as_json))


@app.command()
def explain(
    paths: Annotated[list[Path], typer.Argument(help="Workflow files or folders.")],
    as_json: Json = False,
) -> None:
    """Say in plain English what workflows do, for those who answer for them; with --json one object a line."""
    from hub.commands.explain import run_explain  # noqa: PLC0415 (start-up time)

    raise typer.Exit(run_explain(paths, as_json=as_json))


@app.command()
def ingest(
    file: Annotated[Path, typer.Argument(help="NDJSON, one event a line.")],
    url: Url = LOCAL,
    api_key: Key = "",
    start: Annotated[int, typer.Option("--from", help="Begin at this line.", min=1)] = 1,
    as_json: Json = False,
) -> None:
    """Post a file of events to a running hub, in batches; run it again and nothing is counted twice."""
    from hub.commands.client import ingest_file  # noqa: PLC0415 (start-up time)

    raise typer.Exit(ingest_file(file, url, api_key, start, as_json=as_json))


@app.command()
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


@app.command()
def schema(what: Annotated[str, typer.Argument(help="event, workflow or openapi.")]) -> None:
    """Print a JSON Schema, or the OpenAPI document."""
    from hub.commands.schema import print_schema  # noqa: PLC0415 (start-up time)

    raise typer.Exit(print_schema(what))


@app.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and shorter runs.")] = False,
    output: Annotated[Path, typer.Option("--output", help="Where the figures go as JSON.")] = Path(
        "bench.json"
    ),
) -> None:
    """Measure this machine: each figure as a ratio to a ceiling taken in the same run (from a source checkout)."""
    from hub.commands.bench import run_bench  # noqa: PLC0415 (start-up time)

    raise typer.Exit(run_bench(output, quick=quick))


@blueprints.command("list")
def blueprints_list(workflows: Folders = HERE, as_json: Json = False) -> None:
    """Show the blueprints there are, with their params."""
    from hub.commands.blueprints import list_blueprints  # noqa: PLC0415 (start-up time)

    raise typer.Exit(list_blueprints(workflows, as_json=as_json))


@blueprints.command("use")
def blueprints_use(
    name: Annotated[str, typer.Argument(help="The blueprint's name.")],
    workflow: Annotated[str, typer.Option("--id", help="The new workflow's id.")],
    values: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE of a param; repeatable.")
    ] = None,
    mode: Annotated[str, typer.Option(help="off, shadow or live.")] = "shadow",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write.")] = None,
    workflows: Folders = HERE,
) -> None:
    """Write a file that uses a blueprint."""
    from hub.commands.blueprints import use_blueprint  # noqa: PLC0415 (start-up time)

    raise typer.Exit(use_blueprint(name, workflows, workflow, values or (), mode, output))


@blueprints.command("upgrade")
def blueprints_upgrade(
    file: Annotated[Path, typer.Argument(help="A file that uses a blueprint.")],
    write: Annotated[bool, typer.Option("--write", help="Raise the version in the file.")] = False,
    workflows: Folders = HERE,
    as_json: Json = False,
) -> None:
    """Show what changes for a file when it uses its blueprint as it is now."""
    from hub.commands.blueprints import upgrade  # noqa: PLC0415 (start-up time)

    raise typer.Exit(upgrade(file, workflows, write=write, as_json=as_json))


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


app.add_typer(workflows, name="workflows")
app.command()(halt)
app.command()(resume)


def main() -> None:
    """Run a command; what the hub itself refuses is one sentence on stderr and exit code 2."""
    try:
        app()
    except HubError as error:
        print(f"hub: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
