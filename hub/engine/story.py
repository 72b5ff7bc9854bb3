"""`hub test`: a workflow's stories, told to the real engine on a store in memory, in virtual time."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from hub.engine.alone import load_alone
from hub.engine.coverage import Coverage, Watch
from hub.engine.load import workflow_files
from hub.engine.problems import Problem
from hub.engine.program import Mode, Workflow
from hub.engine.stage import Stage
from hub.engine.stage_events import StageError
from hub.engine.story_approvals import compare
from hub.engine.storybook import (
    SUFFIXES,
    Expected,
    Story,
    StoryStep,
    extras,
    read_story_file,
    story_files,
    workflow_beside,
)
from hub.errors import Place
from hub.intents.intent import Intent, State

BEFORE_IT_BEGINS = timedelta(seconds=1)
# What never left: for its client's sake, refused by the breaker, or decided in shadow after it tripped.
UNSENT = frozenset({State.SUPPRESSED, State.REJECTED, State.SHADOW})
STORY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class StoryResult:
    """`failures` say, each in a few lines, what was expected, what happened instead and why."""

    workflow: str
    name: str
    place: Place
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.failures


@dataclass(frozen=True, slots=True)
class StoryReport:
    results: tuple[StoryResult, ...]
    problems: tuple[Problem, ...]
    coverage: tuple[Coverage, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.problems and all(result.passed for result in self.results)

    def junit(self) -> str:
        """Return the report as JUnit XML, one suite a workflow."""
        root = ET.Element("testsuites", tests=str(len(self.results)))
        suites: dict[str, ET.Element] = {}
        for result in self.results:
            suite = suites.get(result.workflow)
            if suite is None:
                suite = suites[result.workflow] = ET.SubElement(root, "testsuite", name=result.workflow)
            place = result.place
            case = ET.SubElement(
                suite,
                "testcase",
                classname=result.workflow,
                name=result.name,
                file=place.path,
                line=str(place.line),
            )
            for failure in result.failures:
                ET.SubElement(
                    case, "failure", message=_printable(failure.partition("\n")[0])
                ).text = _printable(failure)
        for problem in self.problems:
            suite = ET.SubElement(root, "testsuite", name=problem.place.path)
            case = ET.SubElement(suite, "testcase", classname=problem.place.path, name="load")
            ET.SubElement(case, "error", message=_printable(str(problem)))
        for suite in root:
            cases = list(suite)
            suite.set("tests", str(len(cases)))
            suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
            suite.set("errors", str(sum(case.find("error") is not None for case in cases)))
        return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


async def run_story_files(paths: Sequence[Path]) -> StoryReport:
    """Tell every story of the folders and files given, each from an empty hub."""
    results: list[StoryResult] = []
    problems: list[Problem] = []
    watches: dict[Path, Watch] = {}
    for path in story_files(list(paths)):
        book = read_story_file(path)
        problems += book.problems
        if book.file is None:
            continue
        beside = workflow_beside(path)
        if not beside.exists():
            message = f"there is no {beside.name} beside it: stories stand in NAME.test.yaml beside NAME.yaml"
            problems.append(Problem(Place(str(path), 1, 1), message))
            continue
        report = load_alone(beside)
        problems += [problem for problem in report.problems if report.workflow is None]
        if report.workflow is None:
            continue
        if report.workflow.id != book.file.workflow:
            message = f"tells of {book.file.workflow}, but {beside.name} is {report.workflow.id}"
            problems.append(Problem(Place(str(path), 1, 1), message))
            continue
        watch = watches.setdefault(beside, Watch(report.workflow))
        for story, place in zip(book.file.tests, book.places, strict=True):
            results.append(await run_story(report.workflow, story, place, watch))
    for alone in untold(paths, watches):
        found = load_alone(alone).workflow
        if found is not None:
            watches[alone] = Watch(found)
    coverage = sorted((watch.coverage() for watch in watches.values()), key=lambda each: each.workflow)
    return StoryReport(tuple(results), tuple(problems), tuple(coverage))


def untold(paths: Sequence[Path], told: Collection[Path]) -> list[Path]:
    """Return the workflow files among the paths that have no story."""
    known = {path.resolve() for path in told}
    named = [path for path in paths if path.is_dir() or not path.name.endswith(SUFFIXES)]
    return [path for path in workflow_files(named) if path.resolve() not in known]


async def run_story(
    workflow: Workflow, story: Story, place: Place, watch: Watch | None = None
) -> StoryResult:
    """Tell one story. The workflow runs live, whatever its mode: nothing leaves the stage."""
    failures: list[str] = []
    try:
        async with asyncio.timeout(STORY_SECONDS):
            await _tell(replace(workflow, mode=Mode.LIVE), story, failures, watch)
    except StageError as problem:
        failures.append(str(problem))
    except TimeoutError:
        failures.append(f"took longer than {STORY_SECONDS} s: a workflow that sets itself off without end?")
    return StoryResult(workflow.id, story.name, place, tuple(failures))


async def _tell(workflow: Workflow, story: Story, failures: list[str], watch: Watch | None) -> None:
    first = story.story[0].at
    if first is None:
        raise StageError("step 1: the first step says when the story begins, with `at`")
    stage = Stage(workflow, first - BEFORE_IT_BEGINS, story.given, watch)
    if watch is not None:
        watch.stories += 1
    await stage.open()
    for number, step in enumerate(story.story, start=1):
        try:
            if step.at is not None:
                await stage.until(step.at)
            failure = await _play(stage, step)
        except StageError as problem:
            raise StageError(f"step {number}: {problem}") from problem
        if failure is not None:
            failures.append(f"step {number}: {failure}")
    await stage.close()
    left = [each for each in stage.unseen() if each.state not in UNSENT]
    if left and story.story[-1].expect is None and story.story[-1].expect_none is None:
        failures.append(f"the story ends with intents it says nothing about:\n{_listed(left)}")


async def _play(stage: Stage, step: StoryStep) -> str | None:
    """Carry out one step; return what is wrong with what it expected."""
    stage.reads(step.reads)
    if step.event is not None:
        await stage.happens(step.event)
    elif step.sample is not None:
        await stage.sampled(step.sample)
    elif step.quote is not None:
        await stage.quoted(step.quote)
    elif step.start is not None:
        await stage.asked(step.start)
    elif step.restart is not None:
        await stage.restart()
    elif step.reset is not None:
        await stage.reset()
    elif step.rates is not None:
        await stage.rated(step.rates)
    elif step.approve is not None or step.decline is not None:
        await stage.decides(step)
    if step.expect_approval is not None:
        problem = compare(step.expect_approval.model_dump(), stage.store.approvals.values(), _same)
        if problem is not None:
            return problem
    if step.expect_tripped is not None and step.expect_tripped != bool(stage.breaker.tripped):
        return stage.breaker.said()
    if step.expect is not None:
        return _compare(step.expect, stage.unseen(), await stage.reasons())
    if step.expect_none is not None:
        return _silence(step, stage.unseen(), await stage.reasons())
    return None


def _silence(step: StoryStep, happened: Sequence[Intent], reasons: Sequence[str]) -> str | None:
    reasons = [*reasons, *(each.reason for each in happened if each.state in UNSENT)]
    happened = [each for each in happened if each.state not in UNSENT]
    if happened:
        return f"expected no intent, but this was asked for:\n{_listed(happened)}"
    if step.why is None:
        return None
    if any(step.why in reason for reason in reasons):
        return None
    return f"expected silence because\n  {step.why}\nbut the reasons are\n" + _indented(reasons)


def _compare(expected: Sequence[Expected], happened: Sequence[Intent], reasons: Sequence[str]) -> str | None:
    left = list(happened)
    missing: list[Expected] = []
    for wanted in expected:
        match = next((intent for intent in left if not _differences(wanted, intent)), None)
        if match is None:
            missing.append(wanted)
        else:
            left.remove(match)
    asked = [each for each in left if each.state not in UNSENT]
    if not missing and not asked:
        return None
    lines: list[str] = []
    for wanted in missing:
        lines.append(f"expected {_said(wanted)}")
        near = next((intent for intent in left if intent.verb == (wanted.action or wanted.verb)), None)
        if near is not None:
            lines += [f"  {difference}" for difference in _differences(wanted, near)]
    if asked:
        lines += [
            "and this was asked for instead:" if missing else "this was asked for as well:",
            _listed(asked),
        ]
    elif missing:
        lines += ["nothing like it was asked for; the reasons are", _indented(reasons)]
    return "\n".join(lines)


def _differences(wanted: Expected, intent: Intent) -> list[str]:
    server, _, login = intent.account.rpartition(":")
    found: list[str] = []
    if intent.state in UNSENT and wanted.state is None:
        found.append(f"state: it was {intent.state.value} ({intent.reason or 'the breaker had tripped'})")
    pairs: list[tuple[str, object, object]] = [
        ("action", wanted.action or wanted.verb, intent.verb),
        ("server", wanted.server, server),
        ("login", wanted.login, int(login) if login else None),
        ("key", wanted.key, intent.key),
        ("state", wanted.state, intent.state.value),
    ]
    params = msgspec.json.decode(intent.params)
    pairs += [(name, value, params.get(name)) for name, value in extras(wanted).items()]
    for name, want, have in pairs:
        if want is not None and not _same(want, have):
            found.append(f"{name}: expected {_shown(want)}, got {_shown(have)}")
    return found


def _same(want: Any, have: Any) -> bool:
    """Compare as a person would: 50 is 50.00, and of a mapping only what is named."""
    if isinstance(want, dict):
        return isinstance(have, dict) and all(_same(value, have.get(name)) for name, value in want.items())
    if isinstance(want, list):
        return isinstance(have, list) and len(want) == len(have) and all(map(_same, want, have))
    if isinstance(want, bool) or isinstance(have, bool) or have is None:
        return want is have
    with suppress(InvalidOperation, ValueError, TypeError):
        return Decimal(str(want)) == Decimal(str(have))
    return str(want) == str(have)


def _said(wanted: Expected) -> str:
    named = {"login": wanted.login, "key": wanted.key, "state": wanted.state, **extras(wanted)}
    parts = [f"{name}={_shown(value)}" for name, value in named.items() if value is not None]
    return " ".join([wanted.action or wanted.verb or "an intent", *parts])


def _shown(value: object) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _listed(intents: Sequence[Intent]) -> str:
    return _indented(
        [f"{each.verb} {each.params.decode()} ({each.state.value}) key={each.key}" for each in intents]
    )


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}" for line in lines) if lines else "  (none)"
