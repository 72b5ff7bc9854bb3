"""`hub check`: what is wrong with workflow files, and how to mend it."""

import json
from pathlib import Path

from hub.config import Settings, load
from hub.dispatch.channels.manager_mt_remote import OFFERS
from hub.engine.check import UNKNOWN, check
from hub.errors import ConfigError
from hub.events.declared import Undeclared
from hub.intents.verbs import VERBS
from hub.setup import setup_of


def run_check(paths: list[Path], config: Path | None, data: Path | None, *, as_json: bool) -> int:
    """Check files, for the hub that a configuration or a data folder names where there is one."""
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise ConfigError(f"there is no {', '.join(missing)}: name workflow files or folders")
    # A hub without a file of its own has its settings from the environment.
    settings = load(config, {"data": data}) if config is not None or data is not None else None
    if data is not None and not data.is_dir():
        raise ConfigError(f"there is no folder {data}: name the data folder of the hub the files are for")
    report = check(
        paths,
        backends_verbs=None if settings is None else _offered(settings),
        templates=None if settings is None else settings.templates,
        setup=UNKNOWN if settings is None else setup_of(settings),
        undeclared=Undeclared.ACCEPT if settings is None else Undeclared(settings.undeclared_events),
    )
    print(json.dumps(report.data()) if as_json else report.text(), end="\n" if as_json else "")
    return 0 if report.ok else 1


def _offered(settings: Settings) -> frozenset[str]:
    """Return the verbs the configured hub can carry out; without a configuration nobody can say."""
    offered = {"event.publish"}
    if settings.mail:
        offered.add("notify.email")
    if settings.managers:
        offered |= OFFERS
    return frozenset(offered & VERBS.keys())
