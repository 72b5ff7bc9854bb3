"""Moves a hub and shows how far it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from typing_extensions import override

from hub.clock import SystemClock
from hub.config import Settings
from hub.moving.inbox import prepare
from hub.moving.move import Compared, Move, Watching
from hub.moving.source import open_source
from hub.moving.target import open_target


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of a move; nothing is compared when it was finished `already`."""

    to: str
    already: bool
    compared: Sequence[Compared]

    @property
    def is_same(self) -> bool:
        return all(each.is_same for each in self.compared)


async def move_hub(data: Path, settings: Settings, *, keep: bool, show: bool) -> Moved:
    """Move the hub in a folder to where the settings say; if both sides are not the same, it is not finished."""
    assert settings.store.postgres is not None
    assert settings.bus.kafka is not None
    with open_source(data) as source:
        async with open_target(settings.store.address()) as target:
            with Bar(show=show) as bar:
                move = Move(source, target, bar)
                if not await move.begin():
                    move.mark(keep=keep)
                    return Moved(target.name, already=True, compared=())
                await prepare(settings.bus.kafka, SystemClock())
                await move.carry_over()
                moved = Moved(target.name, already=False, compared=await move.compare())
                if moved.is_same:
                    await move.finish(keep=keep)
                return moved


class _Rate(ProgressColumn):
    @override
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f} rows/s")


@final
class Bar(Watching):
    """On a terminal: what is being done, the table, how many rows a second, and how long it still takes."""

    def __init__(self, console: Console | None = None, *, show: bool) -> None:
        console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            disable=not (show and console.is_terminal),
        )
        self._task: TaskID | None = None
        self._doing = ""

    @override
    def begin(self, doing: str, rows: int) -> None:
        if self._task is not None:
            self._progress.update(self._task, description=self._doing)
        self._doing = doing
        self._task = self._progress.add_task(doing, total=rows)

    @override
    def advance(self, table: str, rows: int) -> None:
        if self._task is not None:
            self._progress.update(self._task, advance=rows, description=f"{self._doing} {table}")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
