"""The shipped workflows for a demo: live, and with thresholds that a minute of simulated trading reaches."""

import re
import shutil
from pathlib import Path

from hub.engine.declaration_files import FOLDER as EVENTS
from hub.engine.load import LoadedSet, load_folder
from hub.engine.message_files import FOLDER as TEMPLATES
from hub.errors import ConfigError

# What a month of real trading reaches, a simulated minute does not.
REACHABLE = {
    "volume-bonus-instant": {"min_lots": "1"},
    "vip-promotion": {"lots": "2"},
    "loss-alert": {"loss": "20"},
    "equity-alert": {"fall": "1", "rearm": "0.5"},
}
# The simulated MT5 gateway signs in as a trader and cannot administer, so what asks for a manager is for MT4 accounts.
MANAGED = frozenset(
    {
        "ab-book-routing",
        "group-demotion",
        "risk-group",
        "vip-promotion",
        "volume-bonus-instant",
    }
)
# Nobody at the simulated broker confirms who a client is: none of its new accounts could trade. No gateway of it moves
# the stop of a position. And its CRM takes webhooks, and no records.
LEFT_OUT = frozenset({"kyc-gate", "break-even-stop", "crm-deposits"})


def demo_workflows(shipped: Path, folder: Path) -> LoadedSet:
    """Write copies into `folder` and load them."""
    files = [
        file
        for file in sorted(shipped.glob("*.yaml"))
        if not file.name.endswith(".test.yaml") and file.stem not in LEFT_OUT
    ]
    if not files:
        raise ConfigError(f"no workflows in {shipped}: run the demo in a source checkout")
    folder.mkdir()
    for file in files:
        text = re.sub(r"^mode: shadow$", "mode: live", file.read_text(), flags=re.MULTILINE)
        for name, value in REACHABLE.get(file.stem, {}).items():
            text = re.sub(rf"^(  {name}: \{{.*default: )[0-9.]+", rf"\g<1>{value}", text, flags=re.MULTILINE)
        if file.stem in MANAGED:
            text = re.sub(r"^scope: ", 'scope: account.platform == "mt4" and ', text, flags=re.MULTILINE)
        (folder / file.name).write_text(text)
    for beside in (TEMPLATES, EVENTS):
        shutil.copytree(shipped / beside, folder / beside)
    loaded = load_folder([folder])
    if loaded.problems:
        raise ConfigError("\n".join(str(problem) for problem in loaded.problems))
    return loaded
