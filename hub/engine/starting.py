"""Asking for a run, at the edge: everything that can be known to be wrong is said before it is in the log."""

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from hub.bus.log import InputKind, NewInput
from hub.engine import keys
from hub.engine.problems import did_you_mean
from hub.engine.program import Mode, Workflow
from hub.engine.program_timed import Manual
from hub.engine.starts import START, InputRefused, Start, encode_start, read_inputs, run_of
from hub.errors import HubError


class StartRefused(HubError):
    """`field` is the part of the request that is wrong, `fix` what to do about it."""

    def __init__(self, field: str, reason: str, fix: str) -> None:
        super().__init__(f"{field}: {reason}; {fix}" if fix else f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.fix = fix


class AskedFor(NamedTuple):
    """The command for the log, and the run it leads to if nothing holds it back."""

    input: NewInput
    run: str


def manual_of(workflow: Workflow, name: str | None) -> Manual:
    """Return the trigger somebody means. Raises StartRefused where there is none, or more than one and no name."""
    found = {each.id: each for each in workflow.triggers if isinstance(each, Manual)}
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    known = ", ".join(found)
    if not found:
        raise StartRefused(
            "workflow", f"{workflow.id} has no manual trigger", "add `- manual: {}` to its `when`"
        )
    if name is None:
        raise StartRefused("trigger", "it has several manual triggers", f"name one of {known}")
    if name not in found:
        near = did_you_mean(name, found).strip("; ") or f"known are: {known}"
        raise StartRefused("trigger", f"{workflow.id} has no manual trigger {name!r}", near)
    return found[name]


def asked_for(
    workflow: Workflow,
    key: str,
    *,
    trigger: str | None,
    inputs: Mapping[str, str],
    name: str,
    by: str,
) -> AskedFor:
    """Return the command that starts a run; the same `name` for the same key is one run, however often it is told."""
    found = manual_of(workflow, trigger)
    if workflow.mode is Mode.OFF:
        raise StartRefused("workflow", f"{workflow.id} is off", "set `mode: shadow` or `mode: live`")
    if unsound := keys.problem(key):
        raise StartRefused("key", unsound, "")
    if keys.kind_of(key) != workflow.key:
        raise StartRefused(
            "key", f"{workflow.id} is kept by {workflow.kept_by}", f"write it as {keys.form_of(workflow.key)}"
        )
    try:
        read_inputs(found, inputs)
    except InputRefused as problem:
        raise StartRefused(f"inputs.{problem.name}", problem.reason, "") from problem
    cause = "req_" + sha256(name.encode()).hexdigest()[:24]
    body = encode_start(Start(workflow.id, found.id, cause, by, dict(sorted(inputs.items()))))
    run = run_of(workflow.id, key, found.id, cause)
    command = NewInput(keys.partition_of(key), InputKind.COMMAND, key, START, body, f"{START}:{run}")
    return AskedFor(command, run)
