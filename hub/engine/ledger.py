"""What the engine keeps of a grant and of a period's end: rows of a key's state."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

NONE = Decimal(0)
WHOLE = Decimal(1)
AGES = 2**62  # the end of a lifetime; its beginning is as far away
Stage = Literal["open", "watched", "closed"]


class PeriodFacts(msgspec.Struct, frozen=True, gc=False):
    """A period as the root `period` shows it: `end` is the first moment that belongs to it no more."""

    label: str
    start: datetime
    end: datetime


class PeriodEnds(msgspec.Struct, frozen=True, gc=False):
    """The period whose end a trigger waits for, by its start; the timer that tells of it; the name of the last one."""

    start: int
    due: int
    timer: str
    last: str = ""
    v: int = 1


class Foreign(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A promise in another currency than the account's: its `worth` in that, and what it came to in the account's.

    `exact` is not rounded to the account's digits: what is booked is, so that no cent is lost between two bookings. It
    has ten digits after the point, of which eight count. `rate` and `at` are the last.
    """

    currency: str
    worth: Decimal = NONE
    exact: Decimal = NONE
    rate: str = ""
    at: int = 0


class Ledger(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One promise for one period: what it is worth is worked out anew, what was booked of it stands here.

    `asked` is the one booking under way, less than 0 where something is taken back; `doubt` says that nobody knows
    whether it happened. `refused` is the target a booking was refused at: it is asked for again at another one. What the
    workflow's breaker refused is asked for again when that lets it go: `stopped` and `again` are for that.
    """

    start: int
    end: int  # a lifetime's lies beyond any clock
    version: str  # of the workflow: the promise keeps the text it was booked by
    stage: Stage = "open"
    due: int = 0
    timer: str = ""
    closes: int = 0  # when the watch is over
    shadow: bool = False  # recorded, and never sent
    booked: Decimal = NONE  # what was applied, less what was taken back
    entries: int = 0  # bookings asked for so far: each is an intent of its own
    asked: Decimal | None = None
    doubt: str = ""
    refused: Decimal | None = None
    short: Decimal = NONE  # what should have been taken back, was not there, and is not asked for again
    share: Decimal = WHOLE  # what withdrawals have left of the promise, where it is taken back in proportion
    applied_at: int = 0
    begun: int = 0  # a lifetime's: what happened before it is not promised anything for
    held: str = ""  # why nothing is booked, by a word, so that the same is not said with every event
    foreign: Foreign | None = None  # what is booked, where that is in another currency
    aimed: Foreign | None = None  # what it comes to once the booking is applied that is under way
    refused_worth: Decimal | None = None  # as `refused`, in the promise's currency
    wanted: int = 0  # when a rate was asked for that is not used yet
    stopped: int = 0  # since when the breaker has refused every booking
    again: int = 0  # before this moment it is not asked another time, unless the workflow is let go on
    v: int = 1
