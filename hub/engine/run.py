"""One run: the steps of a workflow carried out in order, until one has to wait or none is left."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from hub.clock import MICROSECOND, iso, to_us
from hub.engine.account_rows import AccountRow
from hub.engine.answers import Answer, assumed_answer
from hub.engine.approvals import ASSUMED, approval_id, open_approval
from hub.engine.assumed import with_effect
from hub.engine.checks import checks_for, needs_checks
from hub.engine.code import Act, Branch, Fork, Instruction, Jump, name_of
from hub.engine.contact import addressed
from hub.engine.decision import Verdict
from hub.engine.intents import intent_of
from hub.engine.kept import recall_all
from hub.engine.priced import conversion, digits_in
from hub.engine.program_steps import Approve, Do, Retry, Set, Stop, Wait
from hub.engine.program_timed import Quiet
from hub.engine.progress import Progress
from hub.engine.publishing import fact_of
from hub.engine.quiet import NoClock, quiet_until
from hub.engine.quotes import LONGEST_WAIT as LONGEST_FOR_RATE
from hub.engine.rate_board import Pair, ask, pair_of, rate_for
from hub.engine.reads import matches
from hub.engine.steps import NOTHING_FIXED, NothingToDo, StepFailed, encoded, parameters, resolve
from hub.events.records import decode_envelope
from hub.expr import Expression
from hub.intents.checks import with_checks
from hub.intents.converted import with_conversion
from hub.intents.intent import State
from hub.intents.verbs import PublishEvent

LONGEST_WAIT = timedelta(days=366)


class Run(Progress):
    def carry_on(self) -> tuple[Verdict, str]:
        """Take steps until one has to wait or none is left; return how it stands, with the reason."""
        while self.position < self.until:
            try:
                stands = self._take(self.plan.code[self.position])
            except StepFailed as problem:
                reason = f"step {self._step_name()}: {problem.reason}"
                if not self.goes_on_without(reason):
                    return self.fail(reason)
            except NothingToDo as nothing:
                reason = f"step {self._step_name()}: {nothing.reason}"
                if self.error is not None and self.branch is None:
                    self.end("failed", self.error["message"])
                    return Verdict.FAILED, reason
                self.end("done", reason)
                return Verdict.HELD_BACK, reason
            else:
                if stands is not None:
                    return stands
        if self.error is not None and self.branch is None:
            self.end("failed", self.error["message"])
            return Verdict.FAILED, ""
        self.end("done", "")
        return Verdict.DONE, ""

    def stop(self, reason: str) -> tuple[Verdict, str]:
        """End the run before its last step; return how it stands."""
        self.end("done" if self.error is None else "failed", reason)
        return Verdict.DONE if self.error is None else Verdict.FAILED, f"stopped: {reason}"

    def fail(self, reason: str, step: str = "") -> tuple[Verdict, str]:
        """End the run as a failure, after the steps there are for that; return how it stands."""
        handler = self.plan.handler
        if self.branch is not None:
            self.end("failed", reason)  # what follows from it, the run around it says
            return Verdict.FAILED, reason
        if handler is None or self.error is not None:
            self.end("failed", self.error["message"] if self.error is not None else reason)
            return Verdict.FAILED, reason
        self.error = {"step": step or self._step_name(), "message": reason}
        self.tried, self.position = 0, handler
        _, more = self.carry_on()
        return Verdict.FAILED, f"{reason}; {more}" if more else reason

    def goes_on_without(self, reason: str) -> bool:
        """Go past the step the run stands at, if it may fail; its result says that it did."""
        act = self.plan.code[self.position]
        if not isinstance(act, Act) or not act.do.goes_on:
            return False
        failed = {"ok": False, "state": "failed", "reason": reason}
        self.results.setdefault(act.do.id or act.do.path, failed)
        self.tried = 0
        self.position += 1
        return True

    def try_again(self, retry: Retry) -> bool:
        """Ask for the refused step once more after a pause, if it may be; return whether the run waits for that."""
        tried = self.tried + 1
        if tried > retry.max:
            return False
        self.tried = tried
        return self._pause("retry", self.scene.item.at + retry.pause(tried) // MICROSECOND)

    def _take(self, step: Instruction) -> tuple[Verdict, str] | None:
        """Take one step; return how the run stands if it has to wait, or is over."""
        if self.plan.watcher is not None:
            self.plan.watcher.took(self.position)
        match step:
            case Jump(target=target):
                self.position = target
            case Branch():
                self._branch(step)
            case Act(do=do):
                if self._act(do):
                    return Verdict.FIRED, ""
            case Set():
                env = self.env()
                self.kept[step.id] = {name: resolve(value, env, name) for name, value in step.values.items()}
                self.position += 1
            case Stop(reason=reason):
                return self.stop(reason)
            case Wait():
                if self._wait(step):
                    return Verdict.FIRED, ""
            case Approve():
                if self._approve(step):
                    return (
                        Verdict.FIRED,
                        f"{approval_id(self.begun.id, step.path)} asks for {step.permission}",
                    )
            case Fork():
                raise AssertionError("a run that forks takes this step itself")
        return None

    def _step_name(self) -> str:
        return name_of(self.plan.code[self.position]) or str(self.position)

    def _approve(self, step: Approve) -> bool:
        """Ask people and wait for them; in shadow they are assumed to approve."""
        if self.shadow:
            self.passed(step.id, dict(ASSUMED))
            return False
        run = msgspec.structs.replace(self.begun, position=self.position, approved=self.approved)
        return self._pause("approval", open_approval(self.scene, self.plan, run, step, self.env()))

    def _branch(self, branch: Branch) -> None:
        truth = branch.condition.test(self.env())
        unknown = truth is not True and truth is not False
        if self.plan.watcher is not None and not unknown:
            self.plan.watcher.answered(self.position, truth is True)
        # A condition nobody can answer takes neither way.
        self.position = branch.end if unknown else self.position + 1 if truth else branch.otherwise

    def _wait(self, step: Wait) -> bool:
        """Begin to wait; return False when there is nothing to wait for any more."""
        now = self.scene.item.at
        if step.quiet is not None:
            return self._wait_for_day(step.quiet)
        if step.span is not None:
            return self._pause("time", now + step.span // MICROSECOND)
        if step.until is not None:
            return self._wait_until(step, step.until)
        assert step.timeout is not None
        if step.condition is not None and step.condition.test(self.env()) is True:
            self.passed(step.id, {"ok": True, "timed_out": False})
            return False
        if step.from_start and self._was_answered(step):
            return False
        what = "event" if step.event is not None else "condition"
        return self._pause(what, now + step.timeout // MICROSECOND)

    def _was_answered(self, step: Wait) -> bool:
        """Go past a wait that was answered before it began; an event answers one wait."""
        for came in (self.before, self.early) if step.from_trigger else (self.early,):
            for number, early in enumerate(came):
                body = bytes(early)
                of_type = step.event is not None and matches(step.event, decode_envelope(body).type)
                if of_type and self.answered_by(step, body) is True:
                    del came[number]
                    self.passed(step.id, {"ok": True, "timed_out": False}, body)
                    return True
        return False

    def _wait_for_day(self, quiet: Quiet) -> bool:
        try:
            end = quiet_until(quiet, self.scene.now, self.env())
        except NoClock as problem:
            raise StepFailed(str(problem)) from problem
        if end is not None:
            return self._pause("time", to_us(end))
        self.passed(None, {})
        return False

    def _wait_until(self, step: Wait, until: Expression) -> bool:
        env = self.env()
        moment = until.evaluate(env)
        if not isinstance(moment, datetime):
            raise StepFailed(f"until: {until.explain(env)}")
        due = to_us(moment)
        now = self.scene.item.at
        if due > now + LONGEST_WAIT // MICROSECOND:
            raise StepFailed(f"until: {iso(due)} is more than {LONGEST_WAIT.days} days away")
        if due > now:
            return self._pause("time", due)
        self.passed(step.id, {"ok": True, "timed_out": False})
        return False

    def _pause(self, what: str, due: int) -> bool:
        self._store(wait=self._timer(what, due))
        self._row(
            "running",
            f"waits for {self._awaited()}, until {iso(due)}"
            if what in {"event", "condition", "approval", "rate"}
            else f"waits until {iso(due)}",
        )
        return True

    def _awaited(self) -> str:
        step = self.plan.code[self.position]
        if isinstance(step, Approve):
            return f"an approval ({step.permission})"
        if isinstance(step, Act):
            return "a rate to convert the amount by"
        assert isinstance(step, Wait)
        return step.event or (step.condition.text if step.condition is not None else "")

    def _act(self, do: Do) -> bool:
        """Write one step's intent; return whether the run waits for its outcome."""
        scene, shadow = self.scene, self.shadow
        if do.verb.approval and not shadow and do.path not in self.approved:
            raise StepFailed("it always needs a person's approval, and nobody has approved it")
        fixed = recall_all(self.approved[do.path]) if do.path in self.approved else NOTHING_FIXED
        pair = pair_of(do, self.account)
        quote = rate_for(scene, pair) if pair is not None else None
        if pair is not None and quote is None:
            return self._wait_for_rate(pair)
        digits = digits_in(self.account) if quote is not None else scene.account.digits
        params, held = addressed(parameters(do, self.env(), digits, fixed, quote), scene.client)
        if do.verb.is_manager and not scene.account_key:
            raise StepFailed("the workflow began without an account, and this acts on one")
        body = encoded(params)
        # Asked for again after a refusal it is another intent: the first one is over.
        key = self.key_of(do.path, self.item) + (f"#{self.tried + 1}" if self.tried else "")
        published = isinstance(params, PublishEvent) and not shadow
        if isinstance(params, PublishEvent):
            self._publish(do, params, key, send=not shadow)
        state = State.SHADOW if shadow else State.DELIVERED if published else State.READY
        if held and not shadow:
            state = State.SUPPRESSED
        checked = body
        if needs_checks(do):
            checked = with_checks(body, checks_for(do, self.env()))
        if quote is not None:
            checked = with_conversion(checked, conversion(do, self.env(), fixed, quote))
        self.ask(key, do.path, do.verb.name, checked, state, held)
        if do.waits and not shadow and not held:
            self._await(do, key, body)
            return True
        result: dict[str, Any] = {"ok": not held, "state": state.value}
        if held:
            result["reason"] = held
        self.results[do.id or do.path] = result | ({"assumed": True} if shadow else {})
        if shadow:
            self.applied(do, self.account)
            self.assumed = with_effect(self.assumed, do.verb.name, params)
            if do.verb.answers:
                self.answered(do, assumed_answer(do))
        self.position += 1
        return False

    def ask(self, key: str, path: str, verb: str, body: bytes, state: State, reason: str = "") -> None:
        """Write an intent."""
        scene, caused_by = self.scene, self.begun.caused_by
        made = intent_of(
            scene,
            self.plan,
            key,
            run=self.root,
            step=path,
            verb=verb,
            params=body,
            caused_by=caused_by,
            state=state,
            reason=reason,
        )
        scene.decision.writing().intents.append(made)
        self.intents.append(key)

    def answered(self, do: Do, answer: Answer) -> None:
        """Keep what a request was answered with. Raises StepFailed where it was assumed and nobody said what."""
        name = do.id or do.path
        self.results[name] = answer.told()
        self.kept[name] = answer.values()
        if answer.assumed and not answer.ok:
            raise StepFailed(answer.reason)

    def applied(self, do: Do, before: AccountRow) -> None:
        """Hear that a step was applied, and how the account was before."""

    def _wait_for_rate(self, pair: Pair) -> bool:
        if not pair[1]:
            raise StepFailed(f"the amount is in {pair[0]} and account.currency is missing")
        ask(self.scene, pair)
        return self._pause("rate", self.scene.item.at + LONGEST_FOR_RATE)

    def _await(self, do: Do, key: str, body: bytes) -> None:
        wait = None
        if do.timeout is not None:
            wait = self._timer("outcome", self.scene.item.at + do.timeout // MICROSECOND)
        asked = self.scene.account if do.undo is not None else None
        self._store(waiting=key, verb=do.verb.name, params=msgspec.Raw(body), wait=wait, asked=asked)
        until = f", until {iso(wait.due)}" if wait is not None else ""
        self._row("running", f"waits for {key}{until}")

    def _publish(self, do: Do, params: PublishEvent, key: str, *, send: bool) -> None:
        """Check what the step publishes, and append it to the log in the deciding transaction."""
        fact = fact_of(params, key, self.scene, self.begun.depth, do.tells)
        if send:
            self.scene.decision.writing().facts.append(fact)
