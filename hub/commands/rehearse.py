"""Tells recorded events to one or several versions of a workflow in one pass, and shows how far it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hub import garbage
from hub.bus.log import Input
from hub.clock import MICROSECOND, iso
from hub.commands.recorded import EventFile, Sampled
from hub.engine.account_rows import AccountRow, ClientRow
from hub.engine.backtest import Backtest, Tally, finished
from hub.engine.levels import Quote
from hub.engine.memory_of import memory_of
from hub.engine.program import PeriodEnd, Workflow
from hub.engine.questions import note_on
from hub.engine.record import Record, steady
from hub.engine.rehearsal import Rehearsal
from hub.engine.rehearsed import People
from hub.errors import ConfigError

FOREVER = 2**62
GOES_ON = timedelta(days=100)  # after the last event of a file: a quarter, and what is booked when it is over
OnProgress = Callable[[float, int], None]  # what part of the time is told, and how many events that were
Seeds = dict[str, tuple[AccountRow | None, ClientRow | None]]


class Stretch(NamedTuple):
    """From when to when is reported, µs: [since, until). `warm_up` None: from where the log begins."""

    since: int | None
    until: int | None
    warm_up: timedelta | None
    people: People | None = None  # what they are assumed to say when they are asked


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told, and who counts."""

    workflow: Workflow
    rehearsal: Rehearsal
    tally: Tally


def nobody_watches(_share: float, _events: int) -> None:
    return


def longest_memory(workflows: Sequence[Workflow]) -> timedelta | None:
    """Return how far back the farthest of them looks."""
    longest = timedelta()
    for workflow in workflows:
        memory = memory_of(workflow)
        if memory is None:
            return None
        longest = max(longest, memory)
    return longest


async def rehearse_log(
    record: Record,
    workflows: Sequence[Workflow],
    stretch: Stretch,
    *,
    show: bool,
    on_progress: OnProgress = nobody_watches,
) -> list[Backtest]:
    """Tell a hub's log to workflows. Raises ConfigError where it holds nothing of the time asked for.

    What `on_progress` raises ends it.
    """
    span = await record.span()
    if span is None:
        raise ConfigError(
            "the log of this hub is empty: let it take some events first, or name a file with --events"
        )
    since = max(stretch.since if stretch.since is not None else span.first, span.first)
    until = min(stretch.until if stretch.until is not None else span.last + 1, span.last + 1)
    if since >= until:
        raise ConfigError(
            f"the log covers {iso(span.first)} to {iso(span.last)}, and nothing of the time asked for: choose another --from"
        )
    begins = span.first
    if stretch.warm_up is not None:
        begins = max(span.first, since - stretch.warm_up // MICROSECOND)
    seeds: Seeds = {}
    told = _told(workflows, since, seeds, stretch.people)
    seeded = begins > span.first
    with _bar(show=show) as bar:
        task = bar.add_task("reading the log", total=until - begins)
        garbage.settle()
        async for rows in record.batches(begins, until):
            if seeded:
                await _learn(record, rows, seeds)
            for each in told:
                each.rehearsal.tell(rows)
            if rows:
                events = told[0].rehearsal.events
                bar.update(task, completed=rows[-1].at - begins, description=f"{events:,} events")
                on_progress((rows[-1].at - begins) / max(until - begins, 1), events)
    notes = [f"the log was read from {iso(begins)}"]
    known = sum(account is not None for account, _ in seeds.values())
    if known:
        notes.append(
            f"of {known} accounts older than that, type, group, country and the like are taken as they are now"
        )
    return [_finish(each, since, until, notes) for each in told]


async def rehearse_file(
    file: EventFile, workflows: Sequence[Workflow], stretch: Stretch, *, show: bool
) -> list[Backtest]:
    """Tell a file of events to workflows."""
    since = stretch.since or 0
    until = stretch.until or FOREVER
    told = _told(workflows, since, {}, stretch.people)
    first, last = None, 0
    with _bar(show=show) as bar:
        task = bar.add_task("reading", total=file.size)
        garbage.settle()
        async for rows in file.batches():
            part = [row for row in rows if row.at < until] if until != FOREVER else rows
            for each in told:
                _tell(each.rehearsal, part)
            if part:
                first, last = (part[0].at if first is None else first), part[-1].at
            bar.update(
                task, completed=file.reading.bytes_done, description=f"{told[0].rehearsal.events:,} events"
            )
    if first is None:
        first_reason = f" ({file.reading.refused[0]})" if file.reading.refused else ""
        raise ConfigError(f"{file.path} holds no event of the time asked for{first_reason}")
    notes = []
    if file.reading.duplicates:
        notes.append(f"{file.reading.duplicates} lines told of an event again, and counted once")
    if file.reading.late:
        notes.append(
            f"{file.reading.late} lines tell of a time before that of a line above them: they came late, as the file has it"
        )
    if file.reading.refused_count:
        notes.append(f"{file.reading.refused_count} lines are no events: {file.reading.refused[0]}")
    end = min(until, last + 1 + GOES_ON // MICROSECOND) if until != FOREVER else last + 1
    if end < until != FOREVER:
        notes.append(f"time went on for {GOES_ON.days} days after the last event, and no longer")
    elif until == FOREVER and any(_falls_due_later(each) for each in workflows):
        notes.append(
            f"nothing falls due after the last event, {iso(last)}: say with --to how long time goes on"
        )
    return [_finish(each, max(since, first), end, notes) for each in told]


def _falls_due_later(workflow: Workflow) -> bool:
    at_end = workflow.grant is not None and workflow.grant.at_end
    return at_end or any(isinstance(each, PeriodEnd) for each in workflow.triggers)


def _told(workflows: Sequence[Workflow], since: int, seeds: Seeds, people: People | None) -> list[Told]:
    found = []
    for workflow in workflows:
        tally = Tally()
        rehearsal = Rehearsal(
            [workflow], tally, since=since, known=lambda key: seeds.get(key, (None, None)), people=people
        )
        found.append(Told(workflow, rehearsal, tally))
    return found


def _tell(rehearsal: Rehearsal, rows: Sequence[Input | Sampled]) -> None:
    """Tell events, a run of them at once, and the samples between them."""
    events: list[Input] = []
    for row in rows:
        if isinstance(row, Sampled):
            rehearsal.tell(events)
            events = []
            if isinstance(row.sample, Quote):
                rehearsal.quoted(row.key, row.sample, row.at, row.symbol_class)
            else:
                rehearsal.sampled(row.key, row.sample, row.at)
        else:
            events.append(row)
    rehearsal.tell(events)


async def _learn(record: Record, rows: Sequence[Input], seeds: Seeds) -> None:
    """Look up the accounts that have a past before what is read of the log."""
    fresh = list(
        dict.fromkeys(row.key for row in rows if row.key and row.key not in seeds and (row.sequence or 1) > 1)
    )
    found = await record.known(fresh) if fresh else {}
    for key in fresh:
        seeds[key] = steady(key, found.get(key, ()))


def _finish(told: Told, since: int, until: int, notes: Sequence[str]) -> Backtest:
    told.rehearsal.until(until - 1)
    more = []
    if told.tally.beyond:
        more.append(
            f"{told.tally.beyond} actions beyond the first {len(told.tally.touches)} are only counted"
        )
    if told.tally.actions:
        more.append("actions are assumed to succeed at once, and to do to the account what they say")
    if len(told.tally.questions):
        more.append(note_on(told.rehearsal.people))
    return finished(told.rehearsal, told.tally, told.workflow, since, until, [*notes, *more])


def _bar(*, show: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not show,
    )
