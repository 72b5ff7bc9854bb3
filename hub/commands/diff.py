"""`hub diff`: what changes between two versions of a workflow, in words and for whom."""

import asyncio
import json
from contextlib import AsyncExitStack
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from rich.console import Console
from rich.markup import escape

from hub.commands.backtest import MOST_IN_JSON, Asked, compare, show_difference, told, workflow_named
from hub.commands.recorded import file_named, open_hub
from hub.engine.backtest import Difference
from hub.engine.explain import explain
from hub.engine.program import Workflow
from hub.engine.record import Record
from hub.engine.shadow import compare_recorded
from hub.errors import ConfigError

FOREVER = 2**62
ANEW: Final = (
    "It has other keys: what is counted is counted anew, and limits, edges and runs begin anew under them."
)


class Word(NamedTuple):
    """A line only one of them has: `sign` is - for the old, + for the new."""

    sign: str
    line: str


def run_diff(old: str, new: str, asked: Asked, *, recorded: bool, as_json: bool) -> int:
    """Return 1 where there is a difference, as `diff` does."""
    words, found = asyncio.run(_diff(old, new, asked, recorded=recorded, show=not as_json))
    if as_json:
        data = {
            "words": [word._asdict() for word in words],
            "difference": found.data(MOST_IN_JSON) if found else None,
        }
        print(json.dumps(data))
    else:
        _show(words, found, old, new)
    return 1 if words or (found is not None and not found.is_none) else 0


async def _diff(
    old: str, new: str, asked: Asked, *, recorded: bool, show: bool
) -> tuple[list[Word], Difference | None]:
    async with AsyncExitStack() as stack:
        record: Record | None = None
        files = [name for name in (old, new) if file_named(name) is not None]
        if recorded and files:
            raise ConfigError(
                f"--recorded compares what a hub recorded: name ids of workflows, not the file {files[0]}"
            )
        over_time = asked.since is not None or asked.until is not None
        if recorded or len(files) < 2 or (over_time and asked.events is None):
            try:
                record = await stack.enter_async_context(open_hub(asked.config, asked.data))
            except ConfigError as error:
                ids = " and ".join(name for name in (old, new) if name not in files)
                meant = (
                    f"{ids}: no such file, so a live workflow was meant, and " if ids and not recorded else ""
                )
                raise ConfigError(f"{meant}{error}") from error
        if recorded:
            assert record is not None
            since, until = asked.since or 0, asked.until or FOREVER
            return [], await compare_recorded(record, old, new, since, until)
        versions = [await workflow_named(old, record), await workflow_named(new, record)]
        found = None
        if asked.events is not None or over_time:
            found = compare(*await told(record, versions, asked, show=show))
        return in_words(*versions), found


def in_words(old: Workflow, new: Workflow) -> list[Word]:
    """Return the lines of the explanation only one of them has, where they stand, and what other keys would mean."""
    before, after = explain(old).text().splitlines(), explain(new).text().splitlines()
    found: list[Word] = []
    for kind, first, last, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            found += [Word("-", line.strip()) for line in before[first:last] if line.strip()]
            found += [Word("+", line.strip()) for line in after[start:end] if line.strip()]
    if old.key != new.key:
        found.append(Word("+", ANEW))
    return found


def _show(words: list[Word], found: Difference | None, old: str, new: str) -> None:
    console = Console(highlight=False)
    for word in words:
        style = "red" if word.sign == "-" else "green"
        console.print(f"[{style}]{word.sign} {escape(word.line)}[/{style}]", soft_wrap=True)
    if found is not None:
        show_difference(found, old, new)
    elif not words:
        console.print("no difference in what they do")
