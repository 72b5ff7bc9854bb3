"""The options several commands have: where the hub is, with which key, and whether a program reads the answer."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for another program.")]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="hub.yaml; flags win over it.")]
Data = Annotated[Path | None, typer.Option("--data", "-d", help="The data folder; made on first start.")]
Url = Annotated[str, typer.Option("--url", envvar="HUB_URL", help="Where the hub listens.")]
Key = Annotated[
    str, typer.Option("--key", envvar="HUB_KEY", help="An API key (better in the environment: HUB_KEY).")
]
LOCAL = "http://127.0.0.1:8800"
