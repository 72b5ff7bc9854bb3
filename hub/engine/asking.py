"""What people are asked to approve: the actions that may follow, with their parameters, and what to know beside them.

What is shown has a hash. The values of the parameters are kept with the question: once approved, they are what is done,
whatever has changed in the meantime.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from hub.clock import iso
from hub.engine.account_rows import AccountRow
from hub.engine.code import Act, Branch, Fork, Instruction, Jump
from hub.engine.kept import Kept, keep_all, recall_all
from hub.engine.plans import Plan
from hub.engine.program_steps import Approve, Do, Set, Stop
from hub.engine.rate_board import pair_of
from hub.engine.run_rows import OpenRun
from hub.engine.scene import Env
from hub.engine.started import Started
from hub.engine.steps import NothingToDo, StepFailed, booked, encoded, parameters, resolve
from hub.events.records import CustomRecord
from hub.expr import UNKNOWN, Expression
from hub.intents.verbs import Risk

MOST_BYTES: Final = 64 * 1024  # of everything that is shown
MOST_OF_ONE: Final = 16 * 1024  # of one root, such as the event
LONGEST_NAME: Final = 256
APPROVED: Final = {"approved": True, "rejected": False, "decision": "approved"}
_SETTLED: Final = frozenset({"event", "params", "trigger"})  # what a waiting run finds as it was


class Asked(NamedTuple):
    """`shown` is the JSON that `hash` is made of; `fixed` by step and parameter; `barred` may not decide."""

    shown: bytes
    hash: str
    fixed: dict[str, dict[str, Kept]]
    barred: list[str]


class _Action(msgspec.Struct, omit_defaults=True):
    """`later`: parameters that are known only when the step runs; `problem`: why it would fail as it stands.

    `currency`: of the amount, where it is converted into the account's when it is booked.
    """

    step: str
    verb: str
    params: Any
    later: list[str] = []
    problem: str = ""
    currency: str = ""


_encode = msgspec.json.Encoder(decimal_format="string", order="deterministic", enc_hook=str).encode


def binds(do: Do) -> bool:
    """Return whether what a step does is a matter of approval: telling somebody is not."""
    return do.verb.risk is not Risk.NOTIFY


def ask(step: Approve, plan: Plan, run: OpenRun, env: Env, *, due: int, digits: int | None) -> Asked:
    """Return the question a run comes to. Raises StepFailed where it cannot be asked: never a guess."""
    barred = list(_barred(step, env))
    steps = env["steps"]
    assert isinstance(steps, Mapping)
    assumed: Env = {**env, "steps": {**steps, step.id: APPROVED}}
    fixed: dict[str, dict[str, Kept]] = {}
    actions: list[_Action] = []
    code = (
        plan.code if run.branch is None else plan.code[: run.branch.until]
    )  # of a branch, what follows in it
    for do in following(code, run.position, assumed, {*steps, step.id}):
        values, later = _values(do, assumed, digits, recall_all(run.approved.get(do.path, {})))
        fixed[do.path] = keep_all(values)
        actions.append(_action(do, assumed, digits, values, later))
    question = {
        "workflow": plan.workflow.id,
        "version": run.version,
        "run": run.id,
        "step": step.id,
        "title": plan.workflow.title,
        "text": resolve(step.text, env, "text") if step.text is not None else None,
        "permission": step.permission,
        "quorum": step.quorum,
        "not_by": barred,
        "due": iso(due),
        "actions": actions,
    }
    shown = _encode({**question, "shown": _shown(step.show, env, MOST_BYTES - len(_encode(question)))})
    return Asked(shown, sha256(shown).hexdigest(), fixed, barred)


def following(code: Sequence[Instruction], position: int, env: Env, known: Collection[str]) -> list[Do]:
    """Return what may be done once this is approved, in order; both ways of a condition that may still turn."""
    again = {step.id for step in code[position:] if isinstance(step, Set)}
    settled = frozenset(known) - again
    found: dict[int, Do] = {}
    seen: set[int] = set()
    todo = [position + 1]
    while todo:
        at = todo.pop()
        if at in seen or at >= len(code):
            continue
        seen.add(at)
        match code[at]:
            case Jump(target=target):
                todo.append(target)
            case Branch() as branch:
                todo += _ways(branch, at, env, settled)
            case Stop():
                pass
            case Fork(slices=slices, end=end):
                todo += [*(start for start, _ in slices), end]
            case Act(do=do):
                if binds(do):
                    found[at] = do
                todo.append(at + 1)
            case _:
                todo.append(at + 1)
    return [found[at] for at in sorted(found)]


def _ways(branch: Branch, at: int, env: Env, settled: Collection[str]) -> list[int]:
    truth = branch.condition.test(env) if _is_settled(branch.condition, settled) else UNKNOWN
    if truth is True:
        return [at + 1]
    if truth is False:
        return [branch.otherwise]
    return [at + 1, branch.otherwise, branch.end]


def _is_settled(condition: Expression, steps: Collection[str]) -> bool:
    """Return whether a condition reads only what stays as it is while the run waits."""
    for path in condition.reads:
        root, _, rest = path.partition(".")
        if root not in _SETTLED and not (root == "steps" and rest.partition(".")[0] in steps):
            return False
    return True


def _values(
    do: Do, env: Env, digits: int | None, approved: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the values that are known now, and the names of those that are not."""
    found: dict[str, Any] = {}
    later: list[str] = []
    for name, value in do.params.items():
        if name in approved:
            found[name] = approved[name]
            continue
        try:
            found[name] = resolve(value, env, name)
        except StepFailed:
            later.append(name)
    if do.verb.risk is Risk.MONEY and "amount" in found:
        with suppress(StepFailed, NothingToDo):  # is said with the action, and again when it is to be done
            found["amount"] = booked(found["amount"], digits, do.verb)
    return found, later


def _action(do: Do, env: Env, digits: int | None, values: Mapping[str, Any], later: list[str]) -> _Action:
    action = _Action(do.path, do.verb.name, values, later)
    account = env.get("account")
    pair = pair_of(do, account) if isinstance(account, AccountRow) else None
    if pair is not None:
        action.currency = pair[0]
    if not later:
        try:
            action.params = msgspec.Raw(encoded(parameters(do, env, digits, values)))
        except (StepFailed, NothingToDo) as problem:
            action.problem = problem.reason
    return action


def _barred(step: Approve, env: Env) -> Iterator[str]:
    for value in step.not_by:
        found = resolve(value, env, "not_by")
        for name in found if isinstance(found, list | tuple) else [found]:
            if text := str(name).strip():
                yield text[:LONGEST_NAME]


def _shown(names: Sequence[str], env: Env, room: int) -> dict[str, Any]:
    """Return what the step wants shown, as far as there is room; the actions always are."""
    if room < 0:
        raise StepFailed(f"what would be approved takes more than {MOST_BYTES} bytes to show")
    shown: dict[str, Any] = {}
    for name in names:
        text = _encode(_plain(env.get(name)))
        most = min(room, MOST_OF_ONE)
        if len(text) > most:
            text = _encode({"left_out": f"it takes {len(text)} bytes, and there is room for {max(most, 0)}"})
        room -= len(text) + len(name) + 4
        shown[name] = msgspec.Raw(text)
    return shown


def _plain(value: Any) -> Any:
    if value is UNKNOWN:
        return None
    if isinstance(value, CustomRecord):
        return value.asdict() if value.id else None  # no event started the run
    if isinstance(value, Started):
        return {name: field for name, field in value._asdict().items() if field not in (None, {})}
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.asdict(value)
        return {name: field for name, field in fields.items() if name != "v" and field not in (None, {})}
    return value
