"""Runs: the steps of a workflow carried out in order, waiting where a manager action has to be known first."""

from typing import Any

import msgspec
from pydantic import ValidationError

from hub.bus.log import InputKind
from hub.clock import from_us
from hub.engine.code import Act, Branch, Jump
from hub.engine.decision import Trace, Verdict, encode_trace
from hub.engine.index import PRIORITY, Plan, quoted
from hub.engine.rows import RunRow
from hub.engine.scene import PUBLISHER, Scene
from hub.engine.state import NO_EVENT, NOBODY, Cause, Kind, OpenRun
from hub.engine.steps import NothingToDo, StepFailed, encoded, parameters
from hub.events.catalogue import event_type
from hub.events.facts import make_fact
from hub.events.operations import ActionMoved
from hub.events.records import decode_data, decode_envelope
from hub.intents.intent import Intent, State
from hub.intents.outcome import Outcome, decode_outcome
from hub.intents.verbs import PublishEvent

SEMANTICS = 1  # raised by a fix that would decide differently; a run keeps the one it began with
LONGEST_NAME = 128
ACTION_EVENTS = {
    State.APPLIED: "action.applied",
    State.REJECTED: "action.rejected",
    State.UNKNOWN: "action.unknown",
    State.PARKED: "action.parked",
}
Results = dict[str, dict[str, Any]]


class RunBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a run for whoever asks: why it began, what its steps gave, how it ended."""

    trigger: Cause
    caused_by: str
    mode: str
    steps: Results
    reason: str = ""


class _Run:
    """A run while it is being carried on: what of it is decided so far."""

    def __init__(self, scene: Scene, plan: Plan, begun: OpenRun) -> None:
        self.scene = scene
        self.plan = plan
        self.begun = begun
        self.position = begun.position
        self.results: Results = {name: dict(result) for name, result in begun.results.items()}
        self.intents: list[str] = []

    def carry_on(self) -> tuple[Verdict, str]:
        """Take steps until one has to wait or none is left; return how it stands, with the reason."""
        code = self.plan.code
        while self.position < len(code):
            match code[self.position]:
                case Jump(target=target):
                    self.position = target
                case Branch() as branch:
                    env = self.scene.env_for_steps(self.plan, self.begun.cause, self.results)
                    truth = branch.condition.test(env)
                    unknown = truth is not True and truth is not False
                    # A condition nobody can answer takes neither way.
                    self.position = (
                        branch.end if unknown else self.position + 1 if truth else branch.otherwise
                    )
                case Act(do=do):
                    try:
                        if self._act(do.path, do.id, do.verb.name, do.verb.is_manager):
                            return Verdict.FIRED, ""
                    except StepFailed as problem:
                        reason = f"step {do.path} ({do.verb.name}): {problem.reason}"
                        self._end("failed", reason)
                        return Verdict.FAILED, reason
                    except NothingToDo as nothing:
                        reason = f"step {do.path}: {nothing.reason}"
                        self._end("done", reason)
                        return Verdict.HELD_BACK, reason
        self._end("done", "")
        return Verdict.DONE, ""

    def _act(self, path: str, step_id: str | None, verb: str, is_manager: bool) -> bool:
        """Write one step's intent; return whether the run waits for its outcome."""
        scene, plan = self.scene, self.plan
        act = plan.code[self.position]
        assert isinstance(act, Act)
        env = scene.env_for_steps(plan, self.begun.cause, self.results)
        params = parameters(act.do, env, scene.account.digits)
        if is_manager and not scene.account_key:
            raise StepFailed("the workflow began without an account, and this acts on one")
        body = encoded(params)
        key = f"{self.begun.id}/{quoted(path)}"
        shadow = plan.shadow
        published = isinstance(params, PublishEvent) and not shadow
        if isinstance(params, PublishEvent):
            self._publish(params, key, send=not shadow)
        state = State.SHADOW if shadow else State.DELIVERED if published else State.READY
        scene.decision.writing().intents.append(
            Intent(
                key=key,
                partition=scene.state.partition,
                account=scene.account_key,
                verb=verb,
                params=body,
                workflow=plan.workflow.id,
                run=self.begun.id,
                step=path,
                caused_by=self.begun.caused_by,
                state=state,
                at=scene.item.at,
                due=scene.item.at,
                priority=PRIORITY[plan.workflow.priority],
            )
        )
        self.intents.append(key)
        name = step_id or path
        if is_manager and not shadow:
            self._wait(key, verb, body)
            return True
        self.results[name] = {"ok": True, "state": state.value} | ({"assumed": True} if shadow else {})
        self.position += 1
        return False

    def _publish(self, params: PublishEvent, key: str, *, send: bool) -> None:
        """Check what the step publishes, and append it to the log in the deciding transaction."""
        kind = event_type(params.type)
        if kind is None:
            raise StepFailed(f"type: {params.type!r} is neither in the catalogue nor custom.something")
        try:
            data = kind.model.model_validate(params.data)
            scene = self.scene
            fact = make_fact(
                kind,
                params.type,
                data,
                timestamp=scene.now,
                received_us=scene.item.at,
                source=f"{PUBLISHER}{self.begun.depth + 1}",
                account=scene.account_ref,
                dedupe_key=key,
                caused_by=key,
                endpoints=params.endpoints,
            )
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_input=False)[0]
            where = ".".join(("data", *(str(part) for part in first["loc"])))
            raise StepFailed(f"{where}: {first['msg']}") from problem
        if send:
            scene.decision.writing().facts.append(fact)

    def _wait(self, key: str, verb: str, params: bytes) -> None:
        begun = msgspec.structs.replace(
            self.begun,
            position=self.position,
            waiting=key,
            verb=verb,
            params=msgspec.Raw(params),
            results=self.results,
        )
        self.scene.decision.puts[(Kind.RUN, begun.id)] = begun
        self._row("running", f"waits for {key}")

    def _end(self, state: str, reason: str) -> None:
        slot = (Kind.RUN.value, self.begun.id)
        if slot in self.scene.state.values:
            self.scene.decision.puts[slot] = None
        self._row(state, reason)

    def _row(self, state: str, reason: str) -> None:
        begun, scene = self.begun, self.scene
        mode = self.plan.workflow.mode.value
        body = encode_trace(RunBody(begun.cause, begun.caused_by, mode, self.results, reason))
        scene.decision.writing().runs.append(
            RunRow(
                scene.state.partition,
                begun.id,
                scene.state.key,
                begun.workflow,
                begun.version,
                state,
                begun.at,
                body,
            )
        )


def begin(scene: Scene, plan: Plan, run_id: str, cause: Cause, reason: str) -> None:
    """Start a run with its first steps, and keep why."""
    item, workflow = scene.item, plan.workflow
    event = scene.envelope.id if scene.envelope is not None else None
    by_mail = scene.state.by_mail and bool(scene.account.login)
    begun = OpenRun(
        id=run_id,
        workflow=workflow.id,
        version=workflow.hash,
        cause=cause,
        at=item.at,
        position=0,
        waiting="",
        verb="",
        params=msgspec.Raw(b"{}"),
        results={},
        caused_by=event or f"{InputKind(item.kind).name.lower()}:{item.ref}",
        depth=scene.depth,
        semantics=SEMANTICS,
        event=msgspec.Raw(scene.body) if scene.body is not None else NO_EVENT,
        account=scene.account if by_mail else None,
        client=scene.client if by_mail and scene.client is not NOBODY else None,
    )
    run = _Run(scene, plan, begun)
    verdict, problem = run.carry_on()
    if verdict is Verdict.DONE:
        verdict = Verdict.FIRED
    trace = Trace(
        cause.id,
        f"{reason}; {problem}" if problem else reason,
        event,
        run_id,
        run.intents,
        workflow.mode.value,
    )
    scene.decision.trace(workflow.id, run_id.removeprefix(plan.prefix), verdict, trace)


def conclude(scene: Scene) -> None:
    """Take in what became of an intent: tell it as an event, and carry on with the run that waited for it."""
    outcome = decode_outcome(scene.item.body)
    state = State(outcome.state)
    run = _waiting(scene, outcome.intent)
    if run is not None and run.account is not None:  # as it was when the run began: this key knows no later
        scene.account, scene.client = run.account, scene.state.client or run.client or NOBODY
    if state in ACTION_EVENTS:
        _tell(scene, outcome, state, run)
    if run is None or state is State.UNKNOWN:
        return
    plan = scene.program.version(run.version, run.workflow)
    if plan is None:
        raise LookupError(f"run {run.id}: version {run.version} of {run.workflow} is not known any more")
    if bytes(run.event) != bytes(NO_EVENT):
        scene.event = decode_data(decode_envelope(run.event))
    scene.depth = run.depth
    carried = _Run(scene, plan, run)
    act = plan.code[run.position]
    assert isinstance(act, Act)
    applied = state is State.APPLIED
    carried.results[act.do.id or act.do.path] = {
        "ok": applied,
        "state": state.value,
        "ticket": outcome.ticket,
        "reason": outcome.reason,
        "before": outcome.before,
        "after": outcome.after,
    }
    if applied:
        carried.position += 1
        verdict, reason = carried.carry_on()
        if verdict is Verdict.FIRED:
            verdict, reason = Verdict.FIRED, f"{outcome.verb} was applied, the run went on"
    else:
        verdict = Verdict.FAILED
        reason = (
            f"step {act.do.path}: {outcome.verb} was {state.value}: {outcome.reason or 'no reason given'}"
        )
        carried._end("failed", reason)  # noqa: SLF001 (the run is this module's own)
    trace = Trace(run.cause.id, reason or f"{outcome.verb} was applied", None, run.id, carried.intents)
    part = f"{run.id.removeprefix(plan.prefix)}/{quoted(act.do.path)}/{state.value}"
    scene.decision.trace(run.workflow, part, verdict, trace)


def _waiting(scene: Scene, intent: str) -> OpenRun | None:
    run = scene.state.values.get((Kind.RUN, intent.rpartition("/")[0]))
    return run if isinstance(run, OpenRun) and run.waiting == intent else None


def _tell(scene: Scene, outcome: Outcome, state: State, run: OpenRun | None) -> None:
    kind = event_type(ACTION_EVENTS[state])
    assert kind is not None
    data = ActionMoved(
        action=outcome.intent[:LONGEST_NAME],
        verb=outcome.verb,
        params=msgspec.json.decode(run.params) if run is not None else {},
        before=outcome.before,
        after=outcome.after,
        ticket=outcome.ticket,
        reason=outcome.reason[:2048] or None,
    )
    fact = make_fact(
        kind,
        kind.name,
        data,
        timestamp=from_us(scene.item.at),
        received_us=scene.item.at,
        source=f"{PUBLISHER}{(run.depth if run is not None else 0) + 1}",
        account=scene.account_ref,
        dedupe_key=f"{outcome.intent}:{state.value}",
        caused_by=outcome.intent,
    )
    scene.decision.writing().facts.append(fact)
