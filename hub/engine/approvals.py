"""Questions that are open: asked by a run, answered by people, closed by the decision, by time or with their run."""

from hashlib import sha256
from typing import Any, Final

import msgspec

from hub.clock import MICROSECOND, iso
from hub.engine.asking import APPROVED, ask
from hub.engine.ballots import Ballot, Said
from hub.engine.decision import Trace, Verdict
from hub.engine.plans import Plan, quoted
from hub.engine.program_steps import Approve
from hub.engine.publishing import told
from hub.engine.rows import ApprovalMove, ApprovalRow
from hub.engine.run_rows import Approval, OpenRun, Vote
from hub.engine.scene import Env, Scene
from hub.engine.so_far import so_far
from hub.engine.values import Kind, Slot
from hub.events.operations import ActionMoved

ASSUMED: Final = {**APPROVED, "assumed": True}  # in shadow, where nobody is asked
MOST_REFUSED: Final = 20  # ballots that did not count, of one question: the latest
LONGEST_TEXT: Final = 256
LONGEST_REASON: Final = 2048
_encode = msgspec.json.Encoder().encode


def approval_id(run: str, step: str) -> str:
    """Return the id of a question, which is that of its run and step: asked again it is the same one."""
    return "apr_" + sha256(f"{run}/{quoted(step)}".encode()).hexdigest()[:32]


def find(scene: Scene, name: str) -> Approval | None:
    return so_far(scene, _slot(name), Approval)


def open_approval(scene: Scene, plan: Plan, run: OpenRun, step: Approve, env: Env) -> int:
    """Ask people, with the decision that brought the run here; return until when."""
    due = scene.item.at + step.within // MICROSECOND
    asked = ask(step, plan, run, env, due=due, digits=scene.account.digits)
    name = approval_id(run.id, step.path)
    approval = Approval(
        run.id,
        plan.workflow.id,
        step.path,
        step.permission,
        step.quorum,
        due,
        asked.hash,
        asked.barred,
        asked.fixed,
    )
    scene.decision.puts[_slot(name)] = approval
    scene.decision.writing().approvals.append(
        ApprovalRow(
            scene.state.partition,
            name,
            scene.state.key,
            plan.workflow.id,
            run.id,
            step.path,
            plan.workflow.title,
            scene.account_key,
            step.permission,
            "open",
            scene.item.at,
            due,
            asked.hash,
            asked.shown,
            _said(approval),
        )
    )
    return due


def vote(scene: Scene, name: str, approval: Approval, ballot: Ballot) -> tuple[Approval, str]:
    """Count a ballot; return the question as it stands, and its state."""
    said = Vote(ballot.id, ballot.by, ballot.name, ballot.decision, scene.item.at, ballot.comment)
    approval = msgspec.structs.replace(approval, votes=[*approval.votes, said])
    if ballot.decision == "decline":
        state = "declined"
    else:
        state = "approved" if len(approval.votes) >= approval.quorum else "open"
    if state == "open":
        scene.decision.puts[_slot(name)] = approval
        _move(scene, name, approval, state)
    else:
        close(scene, name, approval, state)
    return approval, state


def refuse(scene: Scene, ballot: Ballot, approval: Approval | None, reason: str) -> None:
    """Record a ballot that does not count."""
    if approval is not None:
        said = Vote(ballot.id, ballot.by, ballot.name, ballot.decision, scene.item.at, ballot.comment, reason)
        refused = [*approval.refused, said][-MOST_REFUSED:]
        approval = msgspec.structs.replace(approval, refused=refused)
        scene.decision.puts[_slot(ballot.approval)] = approval
        _move(scene, ballot.approval, approval, "open")
    sentence = f"{ballot.name} ({ballot.by}) would {ballot.decision}, which does not count: {reason}"
    trace = Trace("approval", sentence, None, ballot.run)
    part = f"{ballot.approval}/{ballot.id}"
    scene.decision.trace(ballot.workflow, part, Verdict.HELD_BACK, trace)


def close(scene: Scene, name: str, approval: Approval, state: str) -> None:
    scene.decision.puts[_slot(name)] = None
    _move(scene, name, approval, state)


def withdraw(scene: Scene, run_id: str) -> None:
    """Take back what a run asks that ends without an answer."""
    asked_now = (name for kind, name in scene.decision.puts if kind == Kind.APPROVAL)
    stored = (name for name, _ in scene.state.of_kind(Kind.APPROVAL))
    for name in dict.fromkeys((*stored, *asked_now)):
        approval = find(scene, name)
        if approval is not None and approval.run == run_id:
            close(scene, name, approval, "withdrawn")


def result(approval: Approval, state: str, at: int) -> dict[str, Any]:
    """Return what later steps read of a question that was decided."""
    deciding = [vote for vote in approval.votes if vote.decision == "approve" or state == "declined"]
    if state == "declined":
        deciding = deciding[-1:]
    return {
        "approved": state == "approved",
        "rejected": state != "approved",
        "decision": state,
        "by": ", ".join(vote.name for vote in deciding) if state != "expired" else None,
        "at": iso(at),
        "comment": "; ".join(vote.comment for vote in deciding if vote.comment) or None,
    }


def spoken(approval: Approval, state: str) -> str:
    """Return how a question was decided, in a sentence."""
    yes = [vote for vote in approval.votes if vote.decision == "approve"]
    count = f"{len(yes)} of {approval.quorum}"
    match state:
        case "open":
            return f"approved by {yes[-1].name}, {count}"
        case "approved":
            return f"approved by {', '.join(vote.name for vote in yes)}"
        case "declined":
            last = approval.votes[-1]
            return f"declined by {last.name}" + (f": {last.comment}" if last.comment else "")
        case _:
            return f"not decided until {iso(approval.due)}: {count} had approved"


def tell(scene: Scene, name: str, approval: Approval, state: str, depth: int) -> None:
    """Tell as an event how it was decided."""
    kind = "action.approved" if state == "approved" else "action.declined"
    said = result(approval, state, scene.item.at)
    data = ActionMoved(
        action=name,
        verb="approve",
        params={
            "workflow": approval.workflow,
            "run": approval.run,
            "step": approval.step,
            "permission": approval.permission,
            "decision": state,
            "hash": approval.hash,
        },
        actor=(said["by"] or "")[:LONGEST_TEXT] or None,
        reason=(said["comment"] or spoken(approval, state))[:LONGEST_REASON],
    )
    caused_by = f"{approval.run}/{quoted(approval.step)}"
    fact = told(scene, kind, data, depth, key=f"{name}:{state}", caused_by=caused_by)
    scene.decision.writing().facts.append(fact)


def _move(scene: Scene, name: str, approval: Approval, state: str) -> None:
    scene.decision.writing().approval_moves.append(ApprovalMove(name, state, _said(approval)))


def _said(approval: Approval) -> bytes:
    return _encode(Said(approval.votes, approval.refused))


def _slot(name: str) -> Slot:
    return Kind.APPROVAL.value, name
