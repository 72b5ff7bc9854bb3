"""What is shown at a terminal: nothing that came from outside steers it, or passes for the hub's own words."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def plain(text: str) -> str:
    """Return one line in which every sign can be seen."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def quoted(text: str) -> str:
    """Return a text of several lines as somebody else's: each of them is marked."""
    return "\n".join(f"  | {plain(line)}" for line in text.strip().splitlines())


def say(text: str = "") -> None:
    """Print one line."""
    _print(plain(text))


def say_quoted(text: str) -> None:
    _print(quoted(text))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")  # an id that is cut cannot be used
    for row in rows:
        table.add_row(*(escape(plain(cell)) for cell in row))
    console = Console()
    # What reads a pipe wants whole lines; a person's terminal folds them.
    (console if console.is_terminal else Console(width=400)).print(table)


def _print(text: str) -> None:
    Console(highlight=False).print(text, soft_wrap=True, markup=False)
