"""What a backtest says of people who would have been asked: on the screen, and in the page."""

from html import escape as html
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub.clock import iso
from hub.engine.questions import Question, Questions

MOST_SHOWN: Final = 20
MOST_ROWS: Final = 2_000


def show_questions(console: Console, questions: Questions) -> None:
    if not len(questions):
        return
    console.print(
        f"people would have been asked {len(questions):,} times, about {len(questions.who):,} accounts or other keys: "
        f"{_states(questions)}",
        soft_wrap=True,
    )
    for name, amount in sorted(questions.money.items()):
        console.print(f"  to approve {escape(name)}: {amount:,}")
    for (step, permission), count in sorted(questions.by_step.items()):
        console.print(f"  at {escape(step)}, which takes {escape(permission)}: {count:,}")
    table = Table(box=None, pad_edge=False)
    table.add_column("asked at", no_wrap=True)
    for column in ("who", "for", "and was"):
        table.add_column(column, overflow="fold")
    table.add_column("amount", justify="right")
    for question in questions.kept[:MOST_SHOWN]:
        table.add_row(
            iso(question.at),
            escape(question.who),
            escape(_verbs(question)),
            questions.state_of(question),
            escape(_amount(question)),
        )
    console.print(table)
    if len(questions) > MOST_SHOWN:
        console.print(f"and {len(questions) - MOST_SHOWN:,} more: all of them with --json or --html")


def questions_html(questions: Questions) -> str:
    """Return the part of the page about who would have been asked; nothing where nobody was."""
    if not len(questions):
        return ""
    money = "".join(
        f"<tr><td>to approve {html(name)}</td><td class=n>{amount:,f}</td></tr>"
        for name, amount in sorted(questions.money.items())
    )
    steps = "".join(
        f"<tr><td>at {html(step)}, which takes {html(permission)}</td><td class=n>{count:,}</td></tr>"
        for (step, permission), count in sorted(questions.by_step.items())
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td>{html(cell)}</td>"
            for cell in (
                iso(question.at),
                question.who,
                question.step,
                _verbs(question),
                questions.state_of(question),
            )
        )
        + f"<td class=n>{html(_amount(question))}</td></tr>"
        for question in questions.kept[:MOST_ROWS]
    )
    more = f"<p class=dim>and {len(questions) - MOST_ROWS:,} more</p>" if len(questions) > MOST_ROWS else ""
    head = "<tr><th>at</th><th>who</th><th>step</th><th>for</th><th>and was</th><th class=n>amount</th></tr>"
    return (
        "<h2>Who would have been asked</h2>"
        f"<p>{len(questions):,} questions about {len(questions.who):,} accounts or other keys: {html(_states(questions))}.</p>"
        f"<table>{money}{steps}</table><table>{head}{rows}</table>{more}"
    )


def _states(questions: Questions) -> str:
    return ", ".join(
        f"{count:,} {'still open at the end' if state == 'open' else state}"
        for state, count in questions.states.items()
    )


def _verbs(question: Question) -> str:
    return ", ".join(dict.fromkeys(question.verbs)) or "nothing that binds"


def _amount(question: Question) -> str:
    return f"{question.amount:,f} {question.currency}".rstrip() if question.amount is not None else ""
