"""How a trigger stands with one key: rows of its edge, its limit, its level, and of what it waits for or remembers."""

from decimal import Decimal

import msgspec


class Edge(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How a condition last stood (None: not known, or its scope was left) and how often it has fired."""

    value: bool | None
    number: int
    v: int = 1


class Fires(msgspec.Struct, frozen=True, gc=False):
    """When a limited workflow ran: the latest instants (µs), as many as its limit counts.

    Under a limit for ever `before` counts those that are so many that nobody needs to know when they were.
    """

    at: tuple[int, ...]
    v: int = 1
    before: int | msgspec.UnsetType = msgspec.UNSET  # where there are none its row reads as it always did


class Level(msgspec.Struct, frozen=True, gc=False):
    """A watched level and the trigger it belongs to. A gone level stays, because its generation only grows."""

    workflow: str
    trigger: str
    field: str
    side: str
    threshold: str
    rearm: str
    generation: int
    state: str  # new, armed, crossed, gone
    v: int = 1
    rule: str | msgspec.UnsetType = msgspec.UNSET  # where there is none its row reads as it always did


class Hold(msgspec.Struct, frozen=True, gc=False):
    """A condition that turned true and has to hold until `due` before its trigger fires."""

    since: int
    due: int
    timer: str
    number: int  # the edge's
    reason: str
    v: int = 1
    value: Decimal | msgspec.UnsetType | None = msgspec.UNSET  # these four of a level that was passed
    limit: Decimal | msgspec.UnsetType | None = msgspec.UNSET
    span: int | msgspec.UnsetType = msgspec.UNSET
    unproven: bool | msgspec.UnsetType = msgspec.UNSET  # the feed was away: it begins anew when it is back


class Absence(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a trigger waits for not to come. `since` None: it has fired, or nothing has begun it.

    The timer stays where it is while `since` moves on: when it comes it looks, and goes on if it came too soon.
    """

    since: int | None
    number: int  # how often it has fired
    due: int = 0
    timer: str = ""
    v: int = 1


class Anchor(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A value that is remembered. `value` None: none was taken yet, or it could not be known when it should have been.

    `until` is when the day began whose value it is, `generation` and `state` are those of the row the watcher has of it.
    """

    definition: str
    value: tuple[str, str] | None = None  # what kind of value, and its text
    at: int = 0  # when it was taken
    source: str = ""  # from what
    until: int = 0
    generation: int = 0
    state: str = ""
    v: int = 1


class Remembered(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The latest events of one type, in the order they came; `lost` is the latest moment of those no longer kept."""

    events: tuple[msgspec.Raw, ...]
    lost: int = 0
    v: int = 1


class Scheduled(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The next moment of a schedule; without a timer there is none. `rule` is what it follows from."""

    rule: str
    due: int = 0
    timer: str = ""
    v: int = 1
