"""Questions to people, the same in both stores: their columns, and how a page of them is asked for and cut."""

from collections.abc import Sequence
from typing import Final

from hub.bus.pages import Page
from hub.engine.rows import ApprovalFilter, ApprovalRow
from hub.store.cursors import number

APPROVAL: Final = ", ".join(ApprovalRow._fields)
_LAST: Final = 2**62


def listed(nothing: str) -> str:
    """Return the columns of a list: `nothing`, as the store writes it, for what people are shown, which may be large."""
    return APPROVAL.replace("shown", f"{nothing} AS shown")


def place(after: str) -> tuple[int, str]:
    """Return what a cursor stands for: the questions asked before that time, or then with an id before that."""
    at, _, last = after.partition(":")
    return number(at, _LAST), last


def columns(wanted: ApprovalFilter) -> dict[str, str]:
    return {column: value for column, value in wanted._asdict().items() if value}


def page(found: Sequence[ApprovalRow], limit: int) -> Page[ApprovalRow]:
    return Page(found, f"{found[-1].at}:{found[-1].id}" if len(found) == limit else None)
