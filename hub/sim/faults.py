"""What can be made to go wrong at the gateways, while they run."""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

COMMENT_LENGTH = 31


@dataclass(slots=True)
class Odds:
    """How often a fault strikes: the ``next`` so many times for certain, otherwise with ``probability``."""

    next: int = 0
    probability: float = 0.0

    def strikes(self, dice: random.Random) -> bool:
        if self.next > 0:
            self.next -= 1
            return True
        return self.probability > 0 and dice.random() < self.probability


class Fate(StrEnum):
    """What becomes of one administrative write."""

    NORMAL = "normal"
    DROPPED_BEFORE = "dropped_before"
    APPLIED_LATE = "applied_late"
    ANSWER_DROPPED = "answer_dropped"
    ANSWER_WITHHELD = "answer_withheld"


@dataclass(slots=True)
class Faults:
    """Faults of writes are asked in the order of the fields: at most one strikes a write."""

    drop_before_apply: Odds = field(default_factory=Odds)
    late_apply: Odds = field(default_factory=Odds)
    apply_then_drop_answer: Odds = field(default_factory=Odds)
    apply_then_withhold_answer: Odds = field(default_factory=Odds)
    late_apply_after: timedelta = timedelta(milliseconds=500)
    answer_delay: timedelta = timedelta(0)
    history_lag: timedelta = timedelta(0)
    comment_length: int = COMMENT_LENGTH
    duplicate_history_rows: bool = False
    glitch_equity: Odds = field(default_factory=Odds)
    pascal_case: bool = False
    wrap_history: bool = False
    hollow_rows: bool = False

    def fate(self, dice: random.Random) -> Fate:
        if self.drop_before_apply.strikes(dice):
            return Fate.DROPPED_BEFORE
        if self.late_apply.strikes(dice):
            return Fate.APPLIED_LATE
        if self.apply_then_drop_answer.strikes(dice):
            return Fate.ANSWER_DROPPED
        if self.apply_then_withhold_answer.strikes(dice):
            return Fate.ANSWER_WITHHELD
        return Fate.NORMAL
