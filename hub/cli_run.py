"""The commands that run the hub: in earnest, to try it, beside a simulated broker, and to measure it."""

from pathlib import Path
from typing import Annotated

import typer

from hub.cli_options import Config, Data, Json


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


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and shorter runs.")] = False,
    output: Annotated[Path, typer.Option("--output", help="Where the figures go as JSON.")] = Path(
        "bench.json"
    ),
) -> None:
    """Measure this machine: each figure as a ratio to a ceiling taken in the same run (from a source checkout)."""
    from hub.commands.bench import run_bench  # noqa: PLC0415 (start-up time)

    raise typer.Exit(run_bench(output, quick=quick))


def register(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(demo)
    app.command()(sim)
    app.command()(migrate)
    app.command()(bench)
