"""What starts a workflow, in plain English; what all its triggers have in common is said once."""

from collections.abc import Iterator, Sequence
from typing import Final

from hub.engine import explain_names as names
from hub.engine import explain_timed as timed
from hub.engine.explain_conditions import Wording
from hub.engine.explain_grants import ending
from hub.engine.program import Absent, Becomes, Crosses, OnEvent, PeriodEnd, Trigger
from hub.engine.program_timed import Manual, Schedule
from hub.events.watched import POSITION_FIELDS, SYMBOL_FIELDS
from hub.expr import Expression

_FIRST_LOOK: Final = {
    False: "What is so already when the hub first looks does not count.",
    True: "What is so already when the hub first looks counts as well.",
}
_MISSED: Final = {
    "last": "Of those it missed while the hub was down, the last one counts.",
    "all": "Those it missed while the hub was down count as well.",
    "none": "Those it missed while the hub was down do not count.",
}
_LATE_EVENTS: Final = {
    "fire": "Events the hub learns of afterwards, such as after an outage, count as well.",
    "skip": "Events the hub learns of afterwards, such as after an outage, do not start it.",
}
_AWAY: Final = {
    "restart": " (begun anew when the feed was away meanwhile)",
    "continue": " (whether the feed was away meanwhile or not)",
}


def starts(triggers: Sequence[Trigger], wording: Wording) -> Iterator[str]:
    looks = {trigger.on_first for trigger in triggers if isinstance(trigger, Becomes | Crosses)}
    late = {trigger.on_replay for trigger in triggers if isinstance(trigger, OnEvent | Becomes)}
    told = [
        " ".join([_trigger(trigger, wording), *_own(trigger, look=len(looks) > 1, late=len(late) > 1)])
        for trigger in triggers
    ]
    if len(told) == 1:
        yield f"Starts {told[0]}"
    else:
        yield "Starts:"
        for trigger, sentences in zip(triggers, told, strict=True):
            yield f"  {trigger.id}: {sentences}"
    shared = [_FIRST_LOOK[look] for look in looks] if len(looks) == 1 else []
    shared += [_LATE_EVENTS[word] for word in late] if len(late) == 1 else []
    if shared:
        yield f"  {' '.join(shared)}"


def _own(trigger: Trigger, *, look: bool, late: bool) -> Iterator[str]:
    """Yield what is said of a trigger by itself, because the others differ."""
    if look and isinstance(trigger, Becomes | Crosses):
        yield _FIRST_LOOK[trigger.on_first]
    if late and isinstance(trigger, OnEvent | Becomes):
        yield _LATE_EVENTS[trigger.on_replay]


def _trigger(trigger: Trigger, wording: Wording) -> str:
    match trigger:
        case OnEvent(event=event, where=where):
            return f"with every {names.kind(event)}{_where(where, wording)}."
        case Becomes(condition=condition, hold=hold):
            held = f", and stays so for {names.span(hold)}" if hold is not None else ""
            return f"each time {wording.turning(condition)}{held}."
        case Crosses():
            return _crosses(trigger, wording)
        case PeriodEnd(calendar=calendar, delay=delay, catch_up=catch_up):
            after = f"{names.span(delay)} after" if delay else "at"
            return f"{after} {ending(calendar)}. {_MISSED[catch_up]}"
        case Absent(event=event, where=where, within=within, after=None):
            missed = f"{names.kind(event)}{_where(where, wording)}"
            return f"when no {missed} came for {names.span(within)}; again only after one came."
        case Absent(event=event, where=where, within=within, after=str() as after, after_where=which):
            begun = f"{names.one(after)}{_where(which, wording)}"
            return f"when no {names.kind(event)}{_where(where, wording)} came within {names.span(within)} after {begun}."
        case Schedule():
            return timed.schedule(trigger)
        case Manual():
            return timed.manual(trigger)
        case Absent():
            raise AssertionError("`after` is a name or nothing")


def _where(condition: Expression | None, wording: Wording) -> str:
    return "" if condition is None else f" where {wording.of_the_event().condition(condition)}"


def _whose(trigger: Crosses) -> str:
    if trigger.field in SYMBOL_FIELDS:
        return "the symbol's"
    return "the position's" if trigger.field in POSITION_FIELDS else "the account's"


def _crosses(trigger: Crosses, wording: Wording) -> str:
    unit = " %" if trigger.field == "margin_level" else ""
    limit = f"{wording.value(trigger.limit)}{unit}"
    if trigger.inclusive:
        moves = (
            f"reaches {limit} or falls below it"
            if trigger.side == "below"
            else f"reaches {limit} or rises above it"
        )
    else:
        moves = f"falls below {limit}" if trigger.side == "below" else f"rises above {limit}"
    held = ""
    if trigger.hold is not None:
        held = f", and stays so for {names.span(trigger.hold)}"
        held += _AWAY[trigger.gap]
    back = "the limit" if trigger.rearm is None else f"{wording.value(trigger.rearm)}{unit}"
    return f"each time {_whose(trigger)} {names.field(trigger.field)} {moves}{held}; again only after it came back to {back}."
