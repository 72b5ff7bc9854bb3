"""A backtest as one HTML page with a chart in it: nothing is loaded from anywhere, and everything told is escaped."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from html import escape
from typing import Final

from hub.clock import iso
from hub.commands.backtest_questions import questions_html
from hub.engine.backtest import Backtest, Difference, Touch

MOST_ROWS: Final = 2_000
MOST_BARS: Final = 400
WIDTH, HEIGHT, MARGIN = 960, 240, 28

_STYLE: Final = """
body{font:15px/1.45 system-ui,sans-serif;color:#1c2330;background:#fff;margin:2rem auto;max-width:980px;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.facts{display:flex;flex-wrap:wrap;gap:1rem;margin:1.2rem 0}.fact{border:1px solid #d8dde6;border-radius:6px;padding:.6rem .9rem}
.fact b{display:block;font-size:1.25rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.28rem .7rem .28rem 0;border-bottom:1px solid #e6eaf0;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.plus{color:#0a6b3d}.minus{color:#a3212b}.dim{color:#5c6675}
svg{width:100%;height:auto;background:#f7f9fc;border-radius:6px}svg rect{fill:#2f6fde}svg text{font-size:11px;fill:#5c6675}
"""


def page(report: Backtest, compared: Difference | None) -> str:
    """Return the whole page."""
    tally = report.tally
    facts = [
        ("events", f"{report.events:,}"),
        ("touched", f"{len(tally.who):,}"),
        *((verb, f"{count:,}") for verb, count in sorted(tally.actions.items())),
        *((name, f"{amount:,f}") for name, amount in sorted(tally.money.items())),
        *([("asked", f"{len(tally.questions):,}")] if len(tally.questions) else ()),
        *((f"asked: {name}", f"{amount:,f}") for name, amount in sorted(tally.questions.money.items())),
    ]
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{escape(report.workflow)}: backtest</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(report.workflow)}</h1>",
        f"<p class=dim>{iso(report.since)} to {iso(report.until - 1)}, version {escape(report.version[:12])}</p>",
        "<div class=facts>",
        *(f"<div class=fact>{escape(name)}<b>{escape(value)}</b></div>" for name, value in facts),
        "</div>",
        "<h2>Actions a day</h2>",
        chart(tally.by_day),
        questions_html(tally.questions),
        _counts("By trigger", tally.by_trigger.items()),
        _counts("Held back", tally.held_back.most_common()),
        _counts("Failed", tally.failed.most_common()),
        _difference(compared) if compared is not None else "",
        "<h2>Who and when</h2>",
        _touches(tally.touches),
        "<h2>How it was worked out</h2><ul>",
        *(f"<li>{escape(note)}</li>" for note in report.notes),
        *(f"<li>not decided: {escape(reason)}</li>" for reason in report.broken),
        "</ul></body></html>",
    ]
    return "\n".join(part for part in parts if part)


def chart(by_day: "dict[str, int]") -> str:
    """Return bars, one a day, or one for several days where there are too many."""
    if not by_day:
        return "<p class=dim>No actions.</p>"
    first, last = date.fromisoformat(min(by_day)), date.fromisoformat(max(by_day))
    days = (last - first).days + 1
    each = -(-days // MOST_BARS)
    bars = [0] * -(-days // each)
    for told, count in by_day.items():
        bars[(date.fromisoformat(told) - first).days // each] += count
    most = max(bars)
    step = (WIDTH - 2 * MARGIN) / len(bars)
    shapes = []
    for place, count in enumerate(bars):
        tall = (HEIGHT - 2 * MARGIN) * count / most
        day = first + timedelta(days=place * each)
        shapes.append(
            f'<rect x="{MARGIN + place * step:.2f}" y="{HEIGHT - MARGIN - tall:.2f}" width="{max(step * 0.86, 0.5):.2f}" '
            f'height="{tall:.2f}"><title>{day.isoformat()}: {count:,}</title></rect>'
        )
    base = HEIGHT - MARGIN + 16
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Actions a day, at most {most:,}">'
        f'<text x="{MARGIN}" y="16">{most:,}</text><text x="{MARGIN}" y="{base}">{first.isoformat()}</text>'
        f'<text x="{WIDTH - MARGIN}" y="{base}" text-anchor="end">{last.isoformat()}</text>{"".join(shapes)}</svg>'
    )


def _counts(title: str, counts: Iterable[tuple[str, int]]) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td class=n>{count:,}</td></tr>" for name, count in counts)
    return f"<h2>{title}</h2><table>{rows}</table>" if rows else ""


def _difference(found: Difference) -> str:
    money = "".join(
        f"<tr><td>{escape(name)}</td><td class=n>{amount:+,f}</td></tr>"
        for name, amount in found.money().items()
    )
    changed = "".join(
        f"<tr><td>~</td>{_cells(pair.new)}<td class=dim>was {escape(_amount(pair.old))}</td></tr>"
        for pair in found.changed[:MOST_ROWS]
    )
    rows = [
        f"<tr class={kind}><td>{sign}</td>{_cells(touch)}<td></td></tr>"
        for kind, sign, touches in (("plus", "+", found.only_new), ("minus", "&minus;", found.only_old))
        for touch in touches[:MOST_ROWS]
    ]
    return (
        "<h2>Difference from the version it is compared with</h2>"
        f"<p>{found.same:,} the same, {len(found.only_new):,} more, {len(found.only_old):,} fewer, {len(found.changed):,} "
        f"with another amount.{'' if found.complete else ' Only the first ones were compared.'}</p>"
        f"<table>{money}</table><table>{''.join(rows)}{changed}</table>"
    )


def _touches(touches: Sequence[Touch]) -> str:
    rows = "".join(f"<tr>{_cells(touch)}</tr>" for touch in touches[:MOST_ROWS])
    more = f"<p class=dim>and {len(touches) - MOST_ROWS:,} more</p>" if len(touches) > MOST_ROWS else ""
    head = "<tr><th>at</th><th>who</th><th>trigger</th><th>action</th><th class=n>amount</th></tr>"
    return f"<table>{head}{rows}</table>{more}"


def _cells(touch: Touch) -> str:
    cells = (iso(touch.at), touch.who[0], touch.trigger, touch.verb)
    return (
        "".join(f"<td>{escape(cell)}</td>" for cell in cells) + f"<td class=n>{escape(_amount(touch))}</td>"
    )


def _amount(touch: Touch) -> str:
    return f"{touch.amount:,f} {touch.currency}".rstrip() if touch.amount is not None else ""
