"""What an operator sees of a move while it lasts."""

import io
import re

from rich.console import Console

from hub.commands.moving import Bar


def shown(*, terminal: bool, show: bool = True) -> str:
    """Return what was written while 40 of 50 rows were carried over, and then compared."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=120, color_system=None)
    with Bar(console, show=show) as bar:
        bar.begin("moving", 50)
        bar.advance("input", 30)
        bar.advance("head", 10)
        bar.begin("comparing", 100)
        bar.advance("run", 100)
    return screen.getvalue()


def test_a_terminal_shows_what_is_done_how_far_it_is_and_how_fast() -> None:
    text = shown(terminal=True)

    assert re.search(r"moving .* 40/50 .*rows/s", text)
    assert re.search(r"comparing run .* 100/100 .*[0-9,]+ rows/s", text)


def test_another_program_is_shown_nothing() -> None:
    assert shown(terminal=False) == ""
    assert shown(terminal=True, show=False) == ""
