"""`hub test`: story tests, told on a virtual clock."""

import asyncio
import json
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from hub.engine.story import StoryReport, run_story_files
from hub.errors import ConfigError


def run_stories(paths: list[Path], junit: Path | None, *, as_json: bool) -> int:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise ConfigError(f"there is no {', '.join(missing)}: name story files (NAME.test.yaml) or folders")
    report = asyncio.run(run_story_files(paths))
    if not report.results and not report.problems:
        raise ConfigError("no stories found: write NAME.test.yaml beside NAME.yaml")
    if junit is not None:
        junit.write_text(report.junit(), encoding="utf-8")
    if as_json:
        print(json.dumps(_data(report)))
    else:
        _show(report)
    return 0 if report.passed else 1


def _show(report: StoryReport) -> None:
    console = Console(highlight=False)
    for problem in report.problems:
        console.print(f"[red]cannot be told[/red] {escape(str(problem))}", soft_wrap=True)
    for result in report.results:
        mark = "[green]passed[/green]" if result.passed else "[red]failed[/red]"
        console.print(f"{mark} {escape(result.workflow)}: {escape(result.name)}", soft_wrap=True)
        for failure in result.failures:
            console.print(f"  {escape(str(result.place))}: {escape(failure)}", soft_wrap=True)
    failed = sum(not result.passed for result in report.results) + len(report.problems)
    console.print(
        f"{len(report.results)} stories, {failed} failed"
        if failed
        else f"{len(report.results)} stories passed"
    )


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
    }
