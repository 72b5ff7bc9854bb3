"""What the pages on several processes say is held against the code they tell of."""

import configparser
import re
import shlex
from datetime import timedelta
from typing import Any

import pytest
import typer
import yaml
from doc_blocks import DOCS, REPOSITORY
from typer.core import TyperGroup

from hub.bus.kafka.settings import KafkaSettings
from hub.bus.log import Lane
from hub.cli import app
from hub.config import Leasing, Store
from hub.durations import span
from hub.ids import PARTITIONS
from hub.scaled.hub import Role

SCALING = (DOCS / "scaling.md").read_text(encoding="utf-8")
STORES = (DOCS / "kafka-and-postgresql.md").read_text(encoding="utf-8")
OPERATING = (DOCS / "operating.md").read_text(encoding="utf-8")
CODE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "hub").rglob("*.py")))


def settings_shown() -> dict[str, str]:
    rows = re.findall(r"^\| (`[a-z_.`, ]+`) \|([^|]*)\|", SCALING, re.MULTILINE)
    return {name: value.strip().strip("`") for names, value in rows for name in re.findall(r"`([a-z_.]+)`", names)}  # fmt: skip


def test_every_setting_of_several_processes_is_explained_with_its_default():
    shown = {name: value for name, value in settings_shown().items() if "." in name and name[0] in "sbl"}
    models: dict[str, Any] = {"store": Store, "bus.kafka": KafkaSettings, "leases": Leasing}
    fields = {f"{section}.{field}": about for section, model in models.items() for field, about in model.model_fields.items()}  # fmt: skip

    assert shown.keys() == fields.keys()
    for name, about in fields.items():
        if about.is_required() or about.default is None:
            assert shown[name] == "", name
        elif isinstance(about.default, timedelta):
            assert span(shown[name]) == about.default, name
        else:
            assert yaml.safe_load(shown[name]) == yaml.safe_load(str(about.default)), name


def test_every_role_is_explained():
    assert all(f"| `{role.value}` |" in SCALING for role in Role)


@pytest.mark.parametrize(
    "line", re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| ", SCALING[SCALING.index("## What to watch") :], re.MULTILINE)
)  # fmt: skip
def test_a_line_of_the_log_that_is_to_be_watched_is_one_the_hub_writes(line):
    assert f'"{line}"' in CODE


def test_every_metric_of_the_page_is_one_the_hub_shows():
    named = set(re.findall(r"`(hub_\w+)`", SCALING + (DOCS / "load-plan.md").read_text(encoding="utf-8")))
    lags = {f"hub_kafka_{lane.name.lower()}_lag" for lane in Lane}

    assert "hub_kafka_{lane.name.lower()}_lag" in CODE
    assert lags <= named
    assert {name for name in named - lags if f"`{name}`" not in OPERATING} == set()


def test_the_partitions_of_the_pages_are_those_of_the_hub():
    assert f"| partitions | {PARTITIONS} |" in STORES
    assert f"spread over {PARTITIONS} partitions" in SCALING


def test_what_the_hub_asks_of_its_topics_is_what_the_page_says():
    topics = (REPOSITORY / "hub" / "bus" / "kafka" / "topics.py").read_text(encoding="utf-8")
    named = set(re.findall(r'"([a-z]+(?:\.[a-z]+)+)"', topics)) - {"segment.ms"}

    assert len(named) >= 5
    assert {name for name in named if f"`{name}`" not in STORES} == set()


def test_the_unit_of_a_role_starts_a_command_there_is():
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    unit.read(REPOSITORY / "deploy" / "systemd" / "hub-role@.service", encoding="utf-8")
    command: Any = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)

    for role in Role:
        line = unit["Service"]["ExecStart"].replace("%j", role.value).replace("%i", "8801")
        _, first, *rest = shlex.split(line)
        context = command.commands[first].make_context(first, rest)
        assert context.params["role"] == [role.value]
        assert context.params["port"] == 8801
    assert unit["Service"]["TimeoutStopSec"] == "75s"
    assert "StateDirectory" not in unit["Service"]
