"""Schedules, starts by a person, queues and circuit breakers in plain English."""

from typing import Final

from cronsim import CronSim

from hub.clock import from_us
from hub.engine import explain_names as names
from hub.engine.program_timed import Asked, Manual, Schedule, Trip

_CATCH_UP: Final = {
    "last": "Of moments the hub missed the last one counts{within}.",
    "all": "Moments the hub missed count as well{within}, at most 100 of them.",
    "none": "A moment the hub missed does not count.",
}
_RISKS: Final = {
    "money": "actions that move money",
    "account": "actions that change accounts",
    "trading": "actions on positions and orders",
    "notify": "messages",
    "any": "actions and messages",
}


def schedule(trigger: Schedule) -> str:
    said = CronSim(trigger.cron, from_us(0)).explain()
    within = f", up to {names.span(trigger.within)} late" if trigger.within is not None else ""
    catch_up = _CATCH_UP[trigger.catch_up].format(within=within)
    return f"{said[:1].lower()}{said[1:]}, by the clock of {trigger.zone}. {catch_up}"


def manual(trigger: Manual) -> str:
    may = f" and has the permission {trigger.permission}" if trigger.permission is not None else ""
    gives = "; ".join(_input(name, asked) for name, asked in trigger.inputs.items())
    return f"when somebody asks for it{may}." + (f" He gives: {gives}." if gives else "")


def queue(most: int, each: str) -> str:
    waits = "run waits" if most == 1 else "runs wait"
    return (
        f"One run {each} at a time; what would begin meanwhile begins when that one ends. "
        f"At most {most} {waits}, and what would be more does not happen."
    )


def trip(breaker: Trip) -> str:
    return (
        f"If it asks for more than {breaker.more_than} {_RISKS[breaker.risk]} in {names.span(breaker.within)}, "
        "it is stopped: nothing more is sent until a person has looked and resets it."
    )


def _input(name: str, asked: Asked) -> str:
    left_out = "" if asked.required else "may be left out"
    if asked.default is not None:
        left_out = f"{names.plain(asked.default)} if left out"
    said = ", ".join(part for part in (asked.about, left_out) if part)
    return f"{name} ({said})" if said else name
