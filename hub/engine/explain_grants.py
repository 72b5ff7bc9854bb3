"""A grant in plain English: what it is worth, when it is booked, how long it is followed, what is taken back."""

from collections.abc import Iterator
from typing import Final

from hub.engine import explain_names as names
from hub.engine import explain_verbs as verbs
from hub.engine.explain_conditions import Wording
from hub.engine.explain_steps import StepSayings
from hub.engine.program import Calendar, Grant, Mode

_HEADS: Final = {
    Mode.OFF: "It would promise",
    Mode.SHADOW: "It would promise, if it were live",
    Mode.LIVE: "It promises",
}
FIRST: Final = {
    False: " Where it held before the workflow went live, nothing is booked.",
    True: " Where it held before the workflow went live, that counts as well.",
}
_SHORT: Final = {
    False: "where less is there, that is taken and the rest is reported and given up",
    True: "where less is there, nothing is taken until all of it is",
}


def promise(grant: Grant, mode: Mode, wording: Wording) -> Iterator[str]:
    every = (
        ""
        if grant.calendar is None
        else f", for each {grant.calendar.period} by the clock of {clock(grant.calendar)}"
    )
    yield f"{_HEADS[mode]}{every}:"
    gives = verbs.sentence(grant.verb, {"amount": wording.value(grant.amount)})
    yield f"  {grant.id}: {gives}, as long as {wording.condition(grant.condition)}."
    yield f"  {_booked(grant)}"
    yield f"  {_followed(grant)}"
    yield f"  {_taken_back(grant, wording)}"
    yield "  Only one booking is under way at a time; one the broker refuses is asked for again when something else is owed."
    if grant.comment is not None:
        yield f"  The comment on the statement: {StepSayings(wording).value(grant.comment)}."


def clock(calendar: Calendar) -> str:
    begins = "" if calendar.daily_at == "00:00" else f", whose days begin at {calendar.daily_at}"
    return f"{calendar.zone}{begins}"


def ending(calendar: Calendar) -> str:
    """Return the end of a period, as sentences about its trigger name it."""
    return f"the end of each {calendar.period} by the clock of {clock(calendar)}"


def _booked(grant: Grant) -> str:
    if not grant.at_end or grant.calendar is None:
        first = "" if grant.calendar is not None else FIRST[grant.on_first]
        return f"It is booked as soon as that holds.{first}"
    if not grant.delay:
        return f"It is booked when the {grant.calendar.period} is over."
    return f"It is booked {names.span(grant.delay)} after the {grant.calendar.period} is over."


def _followed(grant: Grant) -> str:
    if not grant.watch:
        return "Afterwards nothing is corrected."
    return (
        f"For {names.span(grant.watch)} after that it is worked out again with every event that changes something in it, "
        "and the difference is booked."
    )


def _taken_back(grant: Grant, wording: Wording) -> str:
    back = grant.take_back
    if back.mode == "none":
        return "What was given is never taken back."
    what = "What is owed no more is taken back."
    if back.deposit is not None:
        what = (
            "Of a withdrawal, as much is taken back as it takes of the deposit, "
            f"which is {wording.value(back.deposit)}; when the condition ends, all of it."
        )
    if back.cap is None:
        return what
    return f"{what} Never more than {wording.value(back.cap)}: {_SHORT[back.waits]}."
