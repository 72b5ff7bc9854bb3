"""One measured figure beside its target, as a row of the table and as JSON."""

import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.measure import middle
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` is what is judged; `samples` are the repeats its median comes from; `beside` is information."""

    name: str
    value: float
    unit: str
    target: float | None = None
    better: Literal["lower", "higher"] = "lower"
    samples: Sequence[float] = ()
    ceiling: str = ""
    beside: dict[str, float | str] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        met = self.value <= self.target if self.better == "lower" else self.value >= self.target
        return "PASS" if met else "MISS"


def as_ratio(
    name: str,
    target: float,
    ratios: Sequence[float],
    *,
    unit: str = "x",
    ceiling: str = "",
    beside: dict[str, float | str],
) -> Figure:
    """Return what was compared in each repeat, judged by the repeat in the middle."""
    return Figure(name, middle(ratios), unit, target, samples=ratios, ceiling=ceiling, beside=beside)


@dataclass(frozen=True, slots=True)
class Skipped:
    name: str
    why: str


def print_table(console: Console, figures: Sequence[Figure | Skipped]) -> None:
    table = Table(title="hub bench", title_justify="left")
    for name, justify in (("figure", "left"), ("measured", "right"), ("target", "right"), ("", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=name != "figure")
    table.add_column("repeats", overflow="fold")
    table.add_column("beside it", overflow="fold")
    for figure in figures:
        if isinstance(figure, Skipped):
            table.add_row(figure.name, "not taken", "", "", "", figure.why)
            continue
        sign = "≤" if figure.better == "lower" else "≥"
        target = "" if figure.target is None else f"{sign} {_number(figure.target)} {figure.unit}"
        colour = {"PASS": "green", "MISS": "red"}.get(figure.verdict, "dim")
        beside = " · ".join(
            ([f"against {figure.ceiling}"] if figure.ceiling else [])
            + [f"{name} {_number(value)}" for name, value in figure.beside.items()]
        )
        spread = f"{_number(min(figure.samples))} to {_number(max(figure.samples))}" if figure.samples else ""
        measured = f"{_number(figure.value)} {figure.unit}"
        table.add_row(figure.name, measured, target, f"[{colour}]{figure.verdict}[/]", spread, beside)
    console.print(table)


def write_json(path: Path, figures: Sequence[Figure | Skipped], *, quick: bool, seconds: float) -> None:
    document: dict[str, Any] = {
        "quick": quick,
        "seconds": round(seconds, 1),
        "python": sys.version,  # with its compiler and the day it was built: how it was built is a quarter of the speed
        "machine": platform.platform(),
        "figures": [
            {**asdict(figure), "verdict": figure.verdict} for figure in figures if isinstance(figure, Figure)
        ],
        "not_taken": [asdict(figure) for figure in figures if isinstance(figure, Skipped)],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"
