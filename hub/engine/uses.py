"""Uses of blueprints made workflows, where the two fit."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from hub.engine.blueprints import Blueprint, Use, differences, made_of
from hub.engine.load_text import LoadReport, load_text
from hub.engine.messages import taken_apart
from hub.engine.problems import Problem, Severity, did_you_mean

MOST_REMEMBERED = 10_000


def with_blueprints(reports: Iterable[LoadReport], blueprints: Sequence[Blueprint]) -> list[LoadReport]:
    """Make workflows of what uses one of these blueprints."""
    by_name: defaultdict[str, list[Blueprint]] = defaultdict(list)
    for blueprint in blueprints:
        by_name[blueprint.name].append(blueprint)
    return [
        report
        if report.use is None
        else _made(report, report.use, by_name.get(report.use.blueprint, ()), by_name)
        for report in reports
    ]


def _made(report: LoadReport, use: Use, found: Sequence[Blueprint], known: Iterable[str]) -> LoadReport:
    if len(found) != 1:
        where = ", ".join(str(each.place.path) for each in found)
        near = did_you_mean(use.blueprint, sorted(known))
        message = (
            f"several files are the blueprint {use.blueprint}: {where}"
            if found
            else f"there is no blueprint {use.blueprint} among these files{near}"
        )
        return _without(report, [Problem(use.place, message)])
    blueprint = found[0]
    if use.version != blueprint.version:
        message = (
            f"{blueprint.name} is at version {blueprint.version} now, and this was written for {use.version}: "
            "`hub blueprints upgrade FILE` shows the difference"
        )
        return _without(report, [Problem(use.place, message)])
    unfit = [each for each in differences(blueprint, use) if each.fatal]
    if unfit:
        return _without(
            report, [Problem(use.places.get(each.param, use.place), each.sentence) for each in unfit]
        )
    made = _loaded(blueprint, use, report.path)
    wrong = _errors(made)
    if not wrong:
        return replace(report, workflow=made.workflow)
    without_scope = replace(use, file=use.file.model_copy(update={"scope": None}))
    if use.file.scope is not None and not _errors(_loaded(blueprint, without_scope, report.path)):
        return _without(report, [Problem(use.scope, message) for message in wrong])
    return _without(
        report, [Problem(use.place, f"{blueprint.name} with these values: {message}") for message in wrong]
    )


def _loaded(blueprint: Blueprint, use: Use, path: str) -> LoadReport:
    # The messages its blueprint names belong to the use as well.
    return _loaded_once(made_of(blueprint, use) + taken_apart(blueprint.workflow.text)[1], path)


def _errors(made: LoadReport) -> list[str]:
    return [each.message for each in made.problems if each.severity is Severity.ERROR]


@lru_cache(maxsize=MOST_REMEMBERED)
def _loaded_once(text: str, path: str) -> LoadReport:
    """Load a text that was made; uses are made anew whenever any file changes."""
    return load_text(text, path)


def _without(report: LoadReport, problems: Iterable[Problem]) -> LoadReport:
    return replace(report, problems=(*report.problems, *problems))
