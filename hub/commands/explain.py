"""`hub explain`: what workflows do, in plain English."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hub.engine.check import check
from hub.engine.explain import Explanation, explain
from hub.engine.explain_declared import explain_declared
from hub.engine.explain_verbs import MOVES_MONEY
from hub.errors import ConfigError


def run_explain(paths: list[Path], *, as_json: bool) -> int:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise ConfigError(f"there is no {', '.join(missing)}: name workflow files or folders")
    report = check(paths)
    made = [blueprint.workflow for blueprint in report.blueprints]
    explanations = [explain(workflow) for workflow in (*report.workflows, *made)]
    explanations += [explain_declared(declared) for declared in report.declared]
    if as_json:
        for explanation in explanations:
            print(json.dumps(explanation.data()))
    else:
        _show(explanations)
    if report.ok and report.files:
        return 0
    # What is wrong goes beside what is explained, so that either can be read by itself.
    print(report.text(), end="", file=sys.stderr)
    return 1


def _show(explanations: Iterable[Explanation]) -> None:
    console = Console(highlight=False)
    for number, explanation in enumerate(explanations):
        if number:
            console.print()
        console.print(Text(explanation.head, style="bold"), soft_wrap=True)
        for line in explanation.text().splitlines()[1:]:
            console.print(Text(line, style="yellow" if line.strip() == MOVES_MONEY else ""), soft_wrap=True)
