"""One workflow file by itself, with what it takes to be one: the blueprint it uses stands in the same folder."""

from dataclasses import replace
from pathlib import Path

from hub.engine.load import load_file, load_folder
from hub.engine.load_text import LoadReport


def load_alone(path: Path) -> LoadReport:
    """Load one file: a workflow, a use of a blueprint, or a blueprint with its own values."""
    report = load_file(path)
    if report.blueprint is not None:
        return replace(report, workflow=report.blueprint.workflow)
    if report.use is None:
        return report
    made = load_folder([path.parent]).reports
    return next((each for each in made if Path(each.path) == path and each.use is not None), report)
