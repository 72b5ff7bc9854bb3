"""`hub backtest`: whom a workflow would have touched, when, and with how much money."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub import durations
from hub.clock import iso
from hub.commands.backtest_html import page
from hub.commands.backtest_questions import show_questions
from hub.commands.moments import moment
from hub.commands.recorded import EventFile, file_named, live_workflow, open_hub, workflow_of
from hub.commands.rehearse import Stretch, longest_memory, rehearse_file, rehearse_log
from hub.commands.reports import may_be_written, write_report
from hub.engine.backtest import Backtest, Difference, Touch, difference
from hub.engine.program import Workflow
from hub.engine.record import Record, live_workflows
from hub.engine.rehearsed import People
from hub.errors import ConfigError

MOST_SHOWN = 20
MOST_IN_JSON = 10_000
MOST_SCOPES, MOST_NEAR = 3, 3


class Asked:
    """What somebody wants to know, as the command line says it."""

    def __init__(
        self,
        *,
        since: str = "",
        until: str = "",
        warm_up: str = "",
        assume: str = "",
        events: Path | None = None,
        config: Path | None = None,
        data: Path | None = None,
    ) -> None:
        self.since = moment(since, "--from")
        self.until = moment(until, "--to")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ConfigError(f"--to {until} is not after --from {since}: nothing lies between them")
        self.warm_up = warm_up
        self.people = _people(assume)
        self.events = events
        self.config = config
        self.data = data

    def stretch(self, workflows: Sequence[Workflow]) -> Stretch:
        return Stretch(self.since, self.until, _warm_up(self.warm_up, workflows), self.people)


def _people(assume: str) -> People | None:
    match assume:
        case "":
            return None
        case "approve":
            return "approve"
        case "deny" | "decline":
            return "decline"
        case _:
            raise ConfigError(f"--assume {assume!r}: people approve, or they deny")


def _warm_up(text: str, workflows: Sequence[Workflow]) -> timedelta | None:
    if not text:
        return longest_memory(workflows)
    if text == "all":
        return None
    if text == "none":
        return timedelta()
    try:
        return durations.duration(text)
    except ValueError as error:
        raise ConfigError(f"--warm-up {text!r}: {error}, or all, or none") from error


def run_backtest(name: str, asked: Asked, *, against: str, html: Path | None, as_json: bool) -> int:
    may_be_written(html, "--html")
    report, compared = asyncio.run(_backtest(name, asked, against, show=not as_json))
    if html is not None:
        write_report(html, page(report, compared), "--html")
    if as_json:
        different = {"difference": compared.data(MOST_IN_JSON) if compared else None}
        print(json.dumps(report.data(MOST_IN_JSON) | different))
    else:
        show(report)
        if compared is not None:
            show_difference(compared, "the live version" if against in {"", "live"} else against, name)
    return 0


async def _backtest(
    name: str, asked: Asked, against: str, *, show: bool
) -> tuple[Backtest, Difference | None]:
    async with AsyncExitStack() as stack:
        record: Record | None = None
        if asked.events is None or against == "live" or file_named(name) is None:
            if file_named(name) is None and _is_file_name(name):
                raise _no_file(name)
            record = await stack.enter_async_context(open_hub(asked.config, asked.data))
        workflow = await workflow_named(name, record)
        other = await other_version(workflow, against, record)
        workflows = [workflow] if other is None else [workflow, other]
        reports = await told(record, workflows, asked, show=show)
    return reports[0], compare(reports[1], reports[0]) if other is not None else None


async def told(
    record: Record | None, workflows: Sequence[Workflow], asked: Asked, *, show: bool
) -> list[Backtest]:
    """Tell the events that were asked for to all of them."""
    stretch = asked.stretch(workflows)
    if asked.events is not None:
        return await rehearse_file(EventFile(asked.events), workflows, stretch, show=show)
    assert record is not None
    return await rehearse_log(record, workflows, stretch, show=show)


async def workflow_named(name: str, record: Record | None) -> Workflow:
    """Return a workflow by its file, or by its id if it is live."""
    file = file_named(name)
    if file is not None:
        return workflow_of(file)
    if record is None or _is_file_name(name):
        raise _no_file(name)
    return await live_workflow(record, name)


def _is_file_name(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _no_file(name: str) -> ConfigError:
    return ConfigError(f"there is no file {name}: name a workflow's file, or the id of a live one")


async def other_version(workflow: Workflow, against: str, record: Record | None) -> Workflow | None:
    """Return what to compare with; by itself the live version, where there is one and it is another."""
    if against and against != "live":
        return await workflow_named(against, record)
    if record is None:
        return None
    live = (await live_workflows(record)).get(workflow.id)
    if live is None:
        if against:
            raise ConfigError(f"no workflow {workflow.id} is live in this hub: name a file with --against")
        return None
    if live.hash == workflow.hash and not against:
        return None
    return await live_workflow(record, workflow.id)


def compare(old: Backtest, new: Backtest) -> Difference:
    complete = not any(each.tally.beyond or each.tally.questions.left_out for each in (old, new))
    return difference(old.tally.compared(), new.tally.compared(), complete=complete)


def show(report: Backtest) -> None:
    console, tally = Console(highlight=False), report.tally
    last = iso(report.until - 1)
    console.print(
        f"[bold]{escape(report.workflow)}[/bold]  {iso(report.since)} to {last}: {report.events:,} events, "
        f"{report.keys:,} accounts and other keys",
        soft_wrap=True,
    )
    show_questions(console, tally.questions)
    if not tally.actions and not len(tally.questions):
        console.print("nobody would have been touched")
    elif tally.actions:
        actions = ", ".join(f"{count:,} {verb}" for verb, count in sorted(tally.actions.items()))
        console.print(f"{len(tally.who):,} would have been touched: {actions}", soft_wrap=True)
    for name, amount in sorted(tally.money.items()):
        console.print(f"  {escape(name)}: {amount:,}")
    _by_trigger(console, report)
    for kind, count in tally.held_back.most_common():
        console.print(f"held back {count:,} times: {escape(kind)}")
    for kind, count in tally.failed.most_common():
        console.print(f"[red]failed[/red] {count:,} times: {escape(kind)}")
    if report.broken_count:
        console.print(f"[red]{report.broken_count:,} could not be decided[/red]: {escape(report.broken[0])}")
    _missed(console, report)
    _listed(console, tally.touches)
    for note in report.notes:
        console.print(f"note: {escape(note)}", style="dim", soft_wrap=True)


def _missed(console: Console, report: Backtest) -> None:
    if report.misses is None:
        return
    for condition, count in report.misses.out_of_scope.most_common(MOST_SCOPES):
        console.print(
            f"out of scope {count:,} of {report.misses.asked:,}: {escape(condition)}", soft_wrap=True
        )
    for miss in report.misses.nearest[:MOST_NEAR]:
        console.print(
            f"near, at the end: {escape(miss.key)} {escape(miss.trigger)}: {escape(miss.text)}",
            soft_wrap=True,
        )


def _by_trigger(console: Console, report: Backtest) -> None:
    tally = report.tally
    for trigger, count in sorted(tally.by_trigger.items()):
        money = [
            f"{amount:,} {currency}"
            for (name, currency), amount in sorted(tally.money_by_trigger.items())
            if name == trigger
        ]
        console.print(
            f"  by {escape(trigger)}: {count:,} actions" + (f", {', '.join(money)}" if money else "")
        )
    if len(tally.by_day) > 1:
        day, most = max(tally.by_day.items(), key=lambda each: (each[1], each[0]))
        console.print(f"  on {len(tally.by_day)} days, most on {day}: {most:,}")


def _listed(console: Console, touches: Sequence[Touch]) -> None:
    if not touches:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("at", "who", "trigger", "action"):
        table.add_column(column, overflow="fold")
    table.add_column("amount", justify="right")
    for touch in touches[:MOST_SHOWN]:
        table.add_row(
            iso(touch.at), escape(touch.who[0]), escape(touch.trigger), touch.verb, escape(_amount(touch))
        )
    console.print(table)
    if len(touches) > MOST_SHOWN:
        console.print(f"and {len(touches) - MOST_SHOWN:,} more: all of them with --json or --html")


def show_difference(found: Difference, old: str, new: str) -> None:
    console = Console(highlight=False)
    if found.is_none:
        console.print(f"no difference from {escape(old)}: the same {found.same:,} actions")
        return
    console.print(
        f"[bold]against {escape(old)}[/bold]: {len(found.only_new):,} only with {escape(new)}, {len(found.only_old):,} "
        f"only without, {len(found.changed):,} with another amount, {found.same:,} the same",
        soft_wrap=True,
    )
    for name, amount in found.money().items():
        console.print(f"  {escape(name)}: {amount:+,}")
    for sign, touches in (("+", found.only_new), ("-", found.only_old)):
        for touch in touches[:MOST_SHOWN]:
            console.print(f"  {sign} {_line(touch)}", soft_wrap=True)
    for pair in found.changed[:MOST_SHOWN]:
        console.print(
            f"  ~ {_line(pair.new)}, was {escape(_amount(pair.old) or pair.old.params.decode())}",
            soft_wrap=True,
        )


def _line(touch: Touch) -> str:
    return escape(f"{iso(touch.at)} {touch.who[0]} {touch.verb} {_amount(touch)}".rstrip())


def _amount(touch: Touch) -> str:
    return f"{touch.amount:,f} {touch.currency}".rstrip() if touch.amount is not None else ""
