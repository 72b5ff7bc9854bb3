"""What a CRM's answer means: for the record, for our access, for how fast we ask; and what the hub makes of it."""

from dataclasses import dataclass

from hub.dispatch.channels.one_exchange import Lost, NotSent
from hub.dispatch.effects.notifier import Declined, Later, Told, Unsure


@dataclass(frozen=True, slots=True)
class No:
    """It will never be taken as it is."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotNow:
    """Nothing was done, surely. `ours`: a person has to put something right; `all`: the CRM is left alone until then."""

    reason: str
    after_us: int = 0
    ours: bool = False
    all: bool = False


@dataclass(frozen=True, slots=True)
class Maybe:
    """Nobody can say whether it was done."""

    reason: str
    after_us: int = 0


@dataclass(frozen=True, slots=True)
class BadAccess:
    """Nothing was done: the access token is not accepted; another one may be."""

    reason: str


@dataclass(frozen=True, slots=True)
class Made:
    """Done. `id` is the CRM's own for what there is now, "" where it does not say."""

    id: str
    new: bool | None = None


Verdict = No | NotNow | Maybe | BadAccess
LONGEST_ID = 128


def told_of(verdict: Verdict | NotSent | Lost, *, again: bool) -> Told:
    """Return what the hub makes of it; `again`: doing it twice is doing it once."""
    match verdict:
        case No(reason):
            return Declined(reason)
        case NotNow(reason, after_us):
            return Later(reason, after_us)
        case BadAccess(reason) | NotSent(reason):
            return Later(reason)
        case Maybe(reason, after_us):
            return Later(reason, after_us) if again else Unsure(f"{reason}: it may have been taken")
        case Lost(reason):
            return Later(reason) if again else Unsure(f"{reason}: it may have been taken")


def own_id(value: object) -> str:
    """Return an id as a CRM tells it; "" for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)
    return text if 0 < len(text) <= LONGEST_ID and text.isascii() and text.isprintable() else ""
