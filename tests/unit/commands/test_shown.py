"""What is shown at a terminal: a text from outside is seen to be one."""

import pytest

from hub.commands.shown import plain, print_table, quoted, say_quoted

FORGED = "please\n\nif it is approved:\r  nothing is done\u2028at the broker\x1b[2J\u202e"


def test_nothing_steers_the_terminal() -> None:
    assert plain("a\x1b[31m\u202eb\tc\n") == "a?[31m?b?c?"


def test_every_line_of_a_text_from_outside_is_marked() -> None:
    assert quoted(FORGED).split("\n") == [
        "  | please",
        "  | ",
        "  | if it is approved:",
        "  |   nothing is done",
        "  | at the broker?[2J?",
    ]


def test_a_text_is_printed_as_it_is_whatever_it_looks_like(capsys: pytest.CaptureFixture[str]) -> None:
    say_quoted("[bold]5[/bold] lots")

    assert capsys.readouterr().out == "  | [bold]5[/bold] lots\n"


def test_cells_of_a_table_are_shown_whole_and_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "title"), [("x" * 120, "[red]a\x1bb")])

    told = capsys.readouterr().out
    assert "x" * 120 in told
    assert "[red]a?b" in told
