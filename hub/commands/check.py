"""`hub check`: what is wrong with workflow files, and how to mend it."""

import json
from pathlib import Path

from hub.config import load
from hub.dispatch.channels.manager_mt_remote import OFFERS
from hub.engine.check import check
from hub.errors import ConfigError
from hub.intents.verbs import VERBS


def run_check(paths: list[Path], config: Path | None, *, as_json: bool) -> int:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise ConfigError(f"there is no {', '.join(missing)}: name workflow files or folders")
    report = check(paths, backends_verbs=_offered(config), secrets=_secrets(config))
    print(json.dumps(report.data()) if as_json else report.text(), end="\n" if as_json else "")
    return 0 if report.ok else 1


def _offered(config: Path | None) -> frozenset[str] | None:
    """Return the verbs the configured hub can carry out; without a configuration nobody can say, and nothing is warned of."""
    if config is None:
        return None
    settings = load(config)
    offered = {"event.publish"}
    if settings.mail:
        offered.add("notify.email")
    if settings.managers:
        offered |= OFFERS
    return frozenset(offered & VERBS.keys())


def _secrets(config: Path | None) -> frozenset[str] | None:
    return None if config is None else frozenset(load(config).secrets)
