"""The demo as a person watches it."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hub.clock import from_us
from hub.commands.demo.crm import Crm
from hub.commands.demo.mailbox import Mailbox
from hub.commands.demo.tally import Line, Tally, percentile
from hub.dispatch.metrics import Counters

_COLOURS = {"trade": "cyan", "balance": "green", "credit": "green", "custom": "magenta", "account": "blue", "equity": "yellow",
            "margin": "yellow", "position": "cyan", "order": "cyan", "connector": "bright_black"}  # fmt: skip


def view(
    tally: Tally, crm: Crm, mailbox: Mailbox, counters: Iterable[Counters], status: str, height: int
) -> RenderableType:
    """Return one picture; `height` is the terminal's lines."""
    rows = max(height - 14, 12)
    events = _lines(list(tally.recent)[-rows // 2 :])
    fired = _lines(list(tally.fired)[-rows // 4 :])
    actions = _lines(list(tally.actions)[-rows // 4 :])
    return Group(
        Text.from_markup(f"[bold]hub demo[/bold]  {escape(status)}"),
        Panel(events, title="what happens at the broker", title_align="left", border_style="cyan"),
        Panel(fired, title="workflows, and why", title_align="left", border_style="magenta"),
        Panel(actions, title="manager actions", title_align="left", border_style="green"),
        Panel(
            _deliveries(tally, crm, mailbox, counters),
            title="deliveries",
            title_align="left",
            border_style="yellow",
        ),
    )


def latencies_ms(tally: Tally, crm: Crm) -> list[float]:
    """Return, per event, the time from its arrival at the hub to its first verified receipt."""
    return [
        (receipt.at - tally.received[id_]) / 1000
        for id_, receipt in crm.receipts.items()
        if id_ in tally.received
    ]


def _lines(lines: Sequence[Line]) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=8, style="bright_black")
    table.add_column(width=34, no_wrap=True)
    table.add_column(width=16, no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for line in lines:
        colour = _COLOURS.get(line.what.partition(".")[0], "white")
        table.add_row(
            f"{from_us(line.at):%H:%M:%S}",
            f"[{colour}]{escape(line.what)}[/{colour}]",
            escape(line.who),
            escape(line.text),
        )
    return table


def _deliveries(tally: Tally, crm: Crm, mailbox: Mailbox, counters: Iterable[Counters]) -> Table:
    known = list(counters)
    recent = latencies_ms(tally, crm)[-2000:]
    table = Table.grid(padding=(0, 3))
    table.add_row("webhooks sent", str(sum(c.sent for c in known)), "verified", f"[green]{len(crm.receipts)}[/green]",
                  "wrong signature", f"[red]{crm.failed}[/red]" if crm.failed else "0",
                  "tried again", str(sum(c.retries for c in known)))  # fmt: skip
    table.add_row("event to receipt", "", "p50", f"{percentile(recent, 0.5):.1f} ms", "p95", f"{percentile(recent, 0.95):.1f} ms",
                  "mails", str(len(mailbox.mails)))  # fmt: skip
    return table
