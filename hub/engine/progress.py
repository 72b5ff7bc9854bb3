"""How far a run has come while it is being carried on: what its steps may read, and how it is kept when it stops."""

from collections.abc import Mapping
from typing import Any

import msgspec

from hub.engine.account_rows import AccountRow
from hub.engine.approvals import withdraw
from hub.engine.assumed import Assumed, overlaid
from hub.engine.kept import keep_all, recall_all
from hub.engine.plans import Plan, quoted
from hub.engine.program import Mode
from hub.engine.program_steps import Wait
from hub.engine.roots import Began, Failure, Results, row_of
from hub.engine.run_rows import OpenRun, Waiting
from hub.engine.scene import Env, Scene
from hub.engine.timers import wait_timer
from hub.engine.values import Kind
from hub.events.records import decode_data, decode_envelope, fields_of
from hub.expr import Unknown


class Progress:
    """A run, and what of it is decided so far."""

    def __init__(self, scene: Scene, plan: Plan, begun: OpenRun) -> None:
        self.scene = scene
        self.plan = plan
        self.begun = begun
        self.shadow = begun.mode != Mode.LIVE
        self.position = begun.position
        self.results: Results = {name: dict(result) for name, result in begun.results.items()}
        self.kept = {name: recall_all(values) for name, values in begun.kept.items()}
        self.heard = dict(begun.heard)
        self.early = list(begun.early)
        self.before = list(begun.before)
        self.approved = dict(begun.approved)
        self.tried = begun.tried
        self.error = begun.error
        self.fork = begun.fork
        self.undos = list(begun.undo)
        self.undoing = begun.undoing
        self.assumed: Assumed = recall_all(begun.assumed)
        self.branch = begun.branch
        self.bound = recall_all(begun.branch.bound) if begun.branch is not None else {}
        self.until = begun.branch.until if begun.branch is not None else len(plan.code)
        self.intents: list[str] = []
        self.over = False

    @property
    def root(self) -> str:
        return self.begun.id if self.branch is None else self.branch.root

    @property
    def item(self) -> str:
        return self.branch.item if self.branch is not None else ""

    def key_of(self, path: str, item: str) -> str:
        """Return the identity of a step's intent: that of the run, the step, and the item it is for, if for any."""
        return f"{self.root}/{quoted(path)}" + (f"/{item}" if item else "")

    def env(self) -> Env:
        """Return what the next step may read."""
        steps: dict[str, Mapping[str, Any]] = {**self.results, **self.kept}
        for name, body in self.heard.items():
            record = decode_data(decode_envelope(body))
            steps[name] = {**self.results.get(name, {}), "event": fields_of(record)}
        env = self.scene.env_for_steps(self.plan, self.begun.cause, steps)
        if self.error is not None:
            env["error"] = Failure(**self.error)
        if self.bound:
            env |= self.bound
        if self.assumed and self.scene.account.login:
            env["account"] = self.account
        return env

    @property
    def account(self) -> AccountRow:
        """Return the account, in shadow as it would stand after what the run has asked for."""
        return overlaid(self.scene.account, self.assumed) if self.assumed else self.scene.account

    def passed(self, name: str | None, result: dict[str, Any], event: bytes | None = None) -> None:
        """Go past the wait the run stands at."""
        if name is not None:
            self.results[name] = result
            if event is not None:
                self.heard[name] = msgspec.Raw(event)
        self.position += 1

    def answered_by(self, step: Wait, body: bytes) -> bool | Unknown:
        """Return whether an event of its type is what the run waits for at a step; unknown where that cannot be told yet."""
        if step.where is None:
            return True
        cause, env = self.begun.cause, self.env()
        inputs = recall_all(cause.inputs)
        env["trigger"] = Began(cause.id, cause.at, cause.value, cause.limit, env["event"], inputs, cause.by)
        env["event"] = decode_data(decode_envelope(body))
        return step.where.test(env)

    def _timer(self, what: str, due: int) -> Waiting:
        """Have a timer end what the run waits for."""
        state, run = self.scene.state, self.begun.id
        row = wait_timer(state.partition, state.key, run, self.position, due)
        self.scene.decision.writing().timers.append(row)
        return Waiting(what, due, row.id)

    def _store(self, **changes: Any) -> None:
        begun = msgspec.structs.replace(
            self.begun,
            position=self.position,
            results=self.results,
            kept={name: keep_all(values) for name, values in self.kept.items()},
            heard=self.heard,
            early=self.early,
            before=self.before,
            approved=self.approved,
            tried=self.tried,
            error=self.error,
            fork=self.fork,
            undo=self.undos,
            undoing=self.undoing,
            assumed=keep_all(self.assumed),
            **{"waiting": "", "wait": None, "asked": None, **changes},
        )
        self.scene.decision.put_run(begun.id, begun)

    def end(self, state: str, reason: str) -> None:
        self.over = True
        if self.plan.asks:
            withdraw(self.scene, self.begun.id)
        if (Kind.RUN.value, self.begun.id) in self.scene.state.values:
            self.scene.decision.put_run(self.begun.id, None)
        self._row(state, reason)

    def _row(self, state: str, reason: str) -> None:
        row = row_of(self.scene, self.begun, self.results, state, reason)
        self.scene.decision.writing().runs.append(row)
