"""A bar for a file on its way to a running hub."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def file_bar(file: Path, doing: str, *, hidden: bool) -> Iterator[Callable[[int, str], None]]:
    """Show it on standard error; what is yielded takes how many bytes are done, and what is said of them."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=hidden,
    )
    with bar:
        task = bar.add_task(doing, total=max(file.stat().st_size, 1))
        yield lambda done, said: bar.update(task, completed=done, description=said)
