"""What a person says to a question: read, and judged whether it counts."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from hub.clock import iso
from hub.engine.rows import ApprovalRow
from hub.engine.run_rows import Approval, Vote
from hub.events.bounded import bounded

MAX_BALLOT_BYTES: Final = 16 * 1024
MAX_COMMENT: Final = 500
_WHO_ASKED: Final = re.compile(
    r"(key_[0-9a-z]+) \((.*)\)", re.DOTALL
)  # as `trigger.by` and audits name a key


class Ballot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`by` is the id of the key and `name` its name; `permission` is the one the key was found to have."""

    id: str
    approval: str
    workflow: str
    run: str
    decision: Literal["approve", "decline"]
    by: str
    name: str
    permission: str
    hash: str = ""
    comment: str = ""


class Rules(NamedTuple):
    """What has to hold for a ballot to count, of a question that is open."""

    permission: str
    due: int
    hash: str
    barred: Sequence[str]
    votes: Sequence[Vote]


class Said(msgspec.Struct, frozen=True):
    """Who said what to a question, as it is stored beside it."""

    votes: list[Vote] = []
    refused: list[Vote] = []


class _Question(msgspec.Struct, frozen=True):
    not_by: list[str] = []


_encode = msgspec.json.Encoder().encode
decode_ballot = bounded(Ballot, "a ballot", MAX_BALLOT_BYTES)
_decode_said = msgspec.json.Decoder(Said).decode
_decode_question = msgspec.json.Decoder(_Question).decode


def encode_ballot(ballot: Ballot) -> bytes:
    return _encode(ballot)


def rules_of(approval: Approval) -> Rules:
    return Rules(approval.permission, approval.due, approval.hash, approval.barred, approval.votes)


def rules_of_row(row: ApprovalRow) -> Rules:
    """Return the same, of what is stored for people to look at."""
    barred = _decode_question(row.shown).not_by
    return Rules(row.permission, row.due, row.hash, barred, said_of(row).votes)


def said_of(row: ApprovalRow) -> Said:
    return _decode_said(row.votes)


def refusal(ballot: Ballot, rules: Rules, at: int) -> str | None:
    """Return why a ballot does not count, or None: asked at the edge, so that a person hears it, and where it is decided."""
    if at >= rules.due:
        return f"too late: it expired at {iso(rules.due)}"
    if ballot.permission != rules.permission:
        return f"it takes {rules.permission}"
    # To decline one need not have looked; what is approved is exactly what was looked at.
    if ballot.hash != rules.hash and (ballot.hash or ballot.decision == "approve"):
        return f"the hash is another: what is asked is {rules.hash}, look at it again"
    if is_barred(ballot, rules.barred):
        return f"four eyes: {ballot.name} may not decide this"
    if has_voted(ballot, rules.votes):
        return f"{ballot.name} has approved already: it takes somebody else"
    return None


def is_barred(ballot: Ballot, barred: Sequence[str]) -> bool:
    names = {_plain(ballot.by), _plain(ballot.name)}
    return any(_plain(name) in names for text in barred for name in _said_of(text))


def has_voted(ballot: Ballot, votes: Sequence[Vote]) -> bool:
    """Return whether this person has; one who declines after having approved is heard, for that stops everything."""
    if ballot.decision == "decline":
        return False
    return any(vote.by == ballot.by or _plain(vote.name) == _plain(ballot.name) for vote in votes)


def _said_of(text: str) -> Iterator[str]:
    """Yield whom a text may mean: `trigger.by` has the id of a key and its name in one."""
    yield text
    if asked := _WHO_ASKED.fullmatch(text.strip()):
        yield from asked.groups()


def _plain(name: str) -> str:
    """Return a name as people compare it: capitals, blanks and the ways to write an accent make no difference."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
