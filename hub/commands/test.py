"""`hub test`: story tests, told on a virtual clock."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub.commands.reports import may_be_written, write_report
from hub.engine.coverage import PARTS, Coverage
from hub.engine.story import StoryReport, run_story_files
from hub.errors import ConfigError

MOST_MISSING = 4


def run_stories(
    paths: list[Path], junit: Path | None, min_coverage: int, *, coverage: bool, as_json: bool
) -> int:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise ConfigError(f"there is no {', '.join(missing)}: name story files (NAME.test.yaml) or folders")
    may_be_written(junit, "--junit")
    report = asyncio.run(run_story_files(paths))
    if not report.results and not report.problems:
        raise ConfigError("no stories found: write NAME.test.yaml beside NAME.yaml")
    if junit is not None:
        write_report(junit, report.junit(), "--junit")
    if as_json:
        print(json.dumps(_data(report)))
    else:
        _show(report)
        if coverage or min_coverage:
            _show_coverage(report.coverage)
        elif report.coverage:
            least = min(report.coverage, key=lambda each: each.of().percent)
            print(
                f"coverage: {least.of().percent} % or more ({least.workflow} has the least); --coverage says more"
            )
    low = [each for each in report.coverage if each.of().percent < min_coverage]
    for each in low:
        why = ", ".join(each.missing[:MOST_MISSING]) if each.stories else "it has no stories"
        print(f"{each.workflow}: {each.of().percent} % is less than {min_coverage} %: {why}", file=sys.stderr)
    return 0 if report.passed and not low else 1


def _show(report: StoryReport) -> None:
    console = Console(highlight=False)
    for problem in report.problems:
        console.print(f"[red]cannot be told[/red] {escape(str(problem))}", soft_wrap=True)
    for result in report.results:
        mark = "[green]passed[/green]" if result.passed else "[red]failed[/red]"
        console.print(f"{mark} {escape(result.workflow)}: {escape(result.name)}", soft_wrap=True)
        for failure in result.failures:
            console.print(f"  {escape(str(result.place))}: {escape(failure)}", soft_wrap=True)
    failed = sum(not result.passed for result in report.results)
    told, errors = len(report.results), len(report.problems)
    console.print(
        f"{told} {'story' if told == 1 else 'stories'}"
        + (f", {failed} failed" if failed else " passed")
        + (f", {errors} {'error' if errors == 1 else 'errors'} in their files" if errors else "")
    )


def _show_coverage(coverage: Sequence[Coverage]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("workflow", overflow="fold")
    for column in ("stories", "triggers", "steps", "branches", "reasons for no", "all"):
        table.add_column(column, justify="right")
    table.add_column("not reached", overflow="fold")
    for each in coverage:
        parts = [each.of(part) for part in PARTS]
        cells = [f"{part.reached}/{part.of}" if part.of else "-" for part in parts]
        more = len(each.missing) - MOST_MISSING
        missing = ", ".join(each.missing[:MOST_MISSING]) + (f" and {more} more" if more > 0 else "")
        table.add_row(
            escape(each.workflow), str(each.stories), *cells, f"{each.of().percent} %", escape(missing)
        )
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)


def _data(report: StoryReport) -> dict[str, object]:
    return {
        "passed": report.passed,
        "problems": [str(problem) for problem in report.problems],
        "stories": [
            {
                "workflow": r.workflow,
                "name": r.name,
                "place": str(r.place),
                "passed": r.passed,
                "failures": list(r.failures),
            }
            for r in report.results
        ],
        "coverage": [each.data() for each in report.coverage],
    }
