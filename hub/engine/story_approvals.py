"""What a story says of approvals: who decides what, and what people are to be asked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from hub.bus.log import InputKind, NewInput
from hub.engine.ballots import Ballot, encode_ballot
from hub.engine.rows import ApprovalRow
from hub.engine.storybook import StoryStep


def ballot_of(step: StoryStep, asked: Iterable[ApprovalRow], number: int) -> NewInput | str:
    """Return what a step's person says as the input it would be, or what is wrong with that.

    It is about the last question of the step that is open, or else the last one: who comes too late is heard as well.
    """
    name = step.approve or step.decline
    rows = [row for row in asked if row.step == name]
    if not rows:
        return f"nobody was asked at step {name}: there is nothing to decide"
    row = [each for each in rows if each.state == "open"][-1:] or rows[-1:]
    assert step.by is not None
    ballot = Ballot(
        id=f"story-{number}",
        approval=row[0].id,
        workflow=row[0].workflow,
        run=row[0].run,
        decision="approve" if step.approve is not None else "decline",
        by=f"story:{step.by}",
        name=step.by,
        permission=row[0].permission,
        hash=row[0].hash,
        comment=step.comment,
    )
    return NewInput(row[0].partition, InputKind.APPROVAL, row[0].key, row[0].id, encode_ballot(ballot))


def compare(
    wanted: Mapping[str, Any], asked: Iterable[ApprovalRow], same: Callable[[Any, Any], bool]
) -> str | None:
    """Return what is wrong if no question is as it was expected; one is open, unless it says otherwise."""
    wanted = {"state": "open", **wanted}
    rows = [_facts(row) for row in asked]
    differences = [_differences(wanted, row, same) for row in rows]
    if any(not found for found in differences):
        return None
    said = " ".join(f"{name}={value}" for name, value in wanted.items())
    lines = [f"expected an approval {said}"]
    if not rows:
        return "\n".join([*lines, "but nobody is asked"])
    lines.append("but what is asked differs:")
    lines += [f"  {line}" for line in min(differences, key=len)]
    return "\n".join(lines)


def _differences(
    wanted: Mapping[str, Any], row: Mapping[str, Any], same: Callable[[Any, Any], bool]
) -> Sequence[str]:
    return [
        f"{name}: expected {value}, got {row.get(name)}"
        for name, value in wanted.items()
        if not same(value, row.get(name))
    ]


def _facts(row: ApprovalRow) -> dict[str, Any]:
    question = msgspec.json.decode(row.shown)
    server, _, login = row.account.rpartition(":")
    return {
        **question,
        "step": row.step,
        "state": row.state,
        "server": server,
        "login": int(login) if login else None,
    }
