"""Reasons for a no, put into few kinds, so that they can be counted."""

import re
from typing import Final

LIMIT, QUIET, RUN_MODE, SELF = "limit", "quiet hours", "run mode", "own effect"
SCOPE, WHERE, CONDITION = "scope", "where", "condition"
MOST_LETTERS: Final = 60

_KINDS: Final = (
    ("limit: ", LIMIT),
    ("quiet hours", QUIET),
    ("run: ", RUN_MODE),
    ("the workflow's own effect", SELF),
    ("a chain of ", "a chain of workflows"),
    ("scope: ", SCOPE),
    ("where: ", WHERE),
)
_DETAIL: Final = re.compile(r"[:(0-9].*", re.DOTALL)


def kind_of(reason: str) -> str:
    """Return what kind of reason it is: one of the known ones, else its first words, without the values in it."""
    for beginning, kind in _KINDS:
        if reason.startswith(beginning):
            return kind
    if reason.startswith("step "):
        reason = reason.partition(": ")[2] or reason
    return _DETAIL.sub("", reason)[:MOST_LETTERS].strip() or "other"
