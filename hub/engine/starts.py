"""Runs that somebody asks for: what he may give, how it travels, and what `decide` makes of it."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from hub import durations
from hub.clock import every_zone_shows
from hub.engine.decision import Trace, Verdict
from hub.engine.kept import keep_all
from hub.engine.keys import KeyKind
from hub.engine.plans import Candidate, quoted
from hub.engine.problems import did_you_mean
from hub.engine.program_timed import Manual
from hub.engine.run_rows import Cause
from hub.engine.scene import Scene
from hub.engine.triggers import fire
from hub.errors import HubError, RecordMalformed
from hub.expr import Kind

START = "workflow.start"
LONGEST_TEXT = 2_000
_NUMBER = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,10})?", re.ASCII)


class InputRefused(HubError):
    """A value does not fit what the workflow asks for; `name` is the input's."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class Start(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of the command `workflow.start`. `name` tells this start from every other; `inputs` are texts."""

    workflow: str
    trigger: str
    name: str
    by: str
    inputs: dict[str, str] = {}


encode_start = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Start).decode


def decode_start(body: bytes) -> Start:
    try:
        return _decode(body)
    except msgspec.DecodeError as problem:
        raise RecordMalformed(f"{START}: {problem}") from problem


def run_of(workflow: str, key: str, trigger: str, name: str) -> str:
    """Return the run a start leads to, if nothing holds it back."""
    return "/".join(quoted(part) for part in (workflow, key, trigger, name))


def read_inputs(trigger: Manual, given: Mapping[str, str]) -> dict[str, Any]:
    """Return what was given as values, defaults included. Raises InputRefused at the first that does not fit."""
    for name in given:
        if name not in trigger.inputs:
            known = ", ".join(trigger.inputs) or "none"
            raise InputRefused(
                name, f"there is no such input{did_you_mean(name, trigger.inputs) or f'; known are: {known}'}"
            )
    values: dict[str, Any] = {}
    for name, asked in trigger.inputs.items():
        if name in given:
            values[name] = read_input(name, asked.type.kind, given[name])
        elif asked.default is not None:
            values[name] = asked.default
        elif asked.required:
            about = f" ({asked.about})" if asked.about else ""
            raise InputRefused(name, f"it is missing{about}")
    return values


def read_input(name: str, kind: Kind, text: str) -> Any:
    """Return one value of a kind from its text."""
    match kind:
        case Kind.NUMBER | Kind.MONEY | Kind.PERCENT:
            return _number(name, text)
        case Kind.BOOL:
            if text not in {"true", "false"}:
                raise InputRefused(name, "it is true or false")
            return text == "true"
        case Kind.DURATION:
            return _duration(name, text)
        case Kind.TIME:
            return _time(name, text)
        case _:
            if len(text) > LONGEST_TEXT or not all(c.isprintable() or c in "\n\t" for c in text):
                raise InputRefused(name, f"it is text of at most {LONGEST_TEXT} printable signs")
            return text


def start(scene: Scene) -> None:
    """Fire the trigger somebody named, and say why where that cannot be."""
    asked = decode_start(scene.item.body)
    plan = scene.program.plans.get(asked.workflow)
    candidate = plan.triggers.get(asked.trigger) if plan is not None else None
    trigger = candidate.trigger if candidate is not None else None
    if candidate is None or not isinstance(trigger, Manual):
        _refuse(scene, asked, "no such workflow is live here, or it has no such manual trigger")
        return
    if scene.state.account is None and scene.state.kind is KeyKind.ACCOUNT:
        _refuse(scene, asked, f"nothing was ever heard of {scene.state.key}")
        return
    try:
        values = read_inputs(trigger, asked.inputs)
    except InputRefused as problem:
        _refuse(scene, asked, f"input {problem}")
        return
    if (why := _out_of_scope(scene, candidate)) is not None:
        _refuse(scene, asked, why)
        return
    cause = Cause(trigger.id, scene.now, inputs=keep_all(values), by=asked.by)
    fire(scene, candidate, asked.name, cause, f"asked for by {asked.by}", "fire")


def _out_of_scope(scene: Scene, candidate: Candidate) -> str | None:
    env = scene.env(candidate)
    if candidate.gate is None or candidate.gate.test(env) is True:
        return None
    return f"scope: {candidate.gate.explain(env)}"


def _refuse(scene: Scene, asked: Start, reason: str) -> None:
    run = run_of(asked.workflow, scene.state.key, asked.trigger, asked.name)
    trace = Trace(asked.trigger, f"asked for by {asked.by}: {reason}", None, run)
    scene.decision.trace(asked.workflow, f"{asked.trigger}/{asked.name}/refused", Verdict.HELD_BACK, trace)


def _number(name: str, text: str) -> Decimal:
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    raise InputRefused(name, "it is a plain number, with at most 16 digits before the point and 10 after it")


def _duration(name: str, text: str) -> timedelta:
    try:
        return durations.duration(text)
    except ValueError as problem:
        raise InputRefused(name, str(problem)) from problem


def _time(name: str, text: str) -> datetime:
    found = None
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
    if found is None or found.tzinfo is None or not every_zone_shows(found):
        raise InputRefused(name, "it is a time with its offset from UTC, such as 2026-03-02T10:00+02:00")
    return found
