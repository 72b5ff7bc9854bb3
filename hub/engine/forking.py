"""A run that forks: `parallel` and `for_each`.

Each branch is a run of its own beside the one that forked, with a slice of its steps: it waits, is answered and
survives restarts as any other. The run around it stands at the fork, and goes on when the last branch has come home.

Where a branch fails and the fork does not go on without it, no further branch begins and those that only wait are
ended; one whose action is on its way comes home when it is known what became of that, and takes no further step.
"""

from typing import Any, Final

import msgspec
from typing_extensions import override

from hub.engine import fork_rows as rows
from hub.engine.approvals import withdraw
from hub.engine.assumed import together
from hub.engine.branches import Branched, BranchOf, Forked
from hub.engine.code import Fork, Instruction
from hub.engine.decision import Verdict
from hub.engine.kept import keep, keep_all, recall_all
from hub.engine.plans import Plan, quoted
from hub.engine.program_steps import Retry
from hub.engine.run_rows import OpenRun
from hub.engine.scene import Scene
from hub.engine.steps import StepFailed
from hub.engine.undoing import Undoing
from hub.expr import UNKNOWN
from hub.intents.intent import State
from hub.intents.outcome import Outcome

MOST_OPEN: Final = 200  # runs of one key that wait, branches among them
MOST_ITEM_BYTES: Final = 4_096
LONGEST_REASON: Final = 200
Stands = tuple[Verdict, str]


class Forking(Undoing):
    """`around` is the run that began this branch and is being carried on itself."""

    def __init__(self, scene: Scene, plan: Plan, begun: OpenRun, around: "Forking | None" = None) -> None:
        super().__init__(scene, plan, begun)
        self._around = around
        self._is_home = False
        self._stops = False
        self._failed_step = ""

    @override
    def carry_on(self) -> Stands:
        cut = self._fork_around().ends if self.branch is not None and self._around is None else ""
        if cut:
            self.end("failed", cut)
            return self._home((Verdict.FAILED, cut))
        return self._home(super().carry_on())

    @override
    def fail(self, reason: str, step: str = "") -> Stands:
        self._failed_step = step or self._step_name()
        if self.branch is not None and not self._goes_on_around():
            self.end("failed", reason)  # with what it has done, for the run around it to take back
            return self._home((Verdict.FAILED, reason))
        return self._home(super().fail(reason, step))

    @override
    def stop(self, reason: str) -> Stands:
        self._stops = True
        return self._home(super().stop(reason))

    @override
    def try_again(self, retry: Retry) -> bool:
        cut = self.branch is not None and self._around is None and bool(self._fork_around().ends)
        return not cut and super().try_again(retry)

    @override
    def goes_on_without(self, reason: str) -> bool:
        step = self.plan.code[self.position]
        if not isinstance(step, Fork) or not step.goes_on:
            return super().goes_on_without(reason)
        self.results[step.id or step.path] = {"ok": False, "reason": reason}
        self.position = step.end
        return True

    @override
    def end(self, state: str, reason: str) -> None:
        if self.branch is None:
            super().end(state, reason)
            return
        self.over = True
        if self.plan.asks:
            withdraw(self.scene, self.begun.id)
        rows.close_run(self.scene, self.begun.id)
        around = self._around or self._around_it()
        new = {name: result for name, result in self.results.items() if around.results.get(name) != result}
        assumed = keep_all(self.assumed)
        if around.goes_through_items:
            told = {name: _told(result) for name, result in new.items()}
            ended = Branched(
                ok=state == "done", reason=reason, results=told, undo=self.undos, assumed=assumed
            )
        else:
            kept = {
                name: keep_all(values)
                for name, values in self.kept.items()
                if around.kept.get(name) != values
            }
            ended = Branched([], state == "done", reason, new, kept, self.heard, self.undos, assumed)
        self._put(self.begun.id, ended)

    @override
    def taken_back(self, outcome: Outcome, state: State) -> Stands:
        return self._home(super().taken_back(outcome, state))

    def break_off(self, reason: str) -> None:
        """End the whole run where it stands, because something failed on our side: nothing of it is carried on."""
        self.forget_wait()
        if self.branch is None:
            rows.forget_below(self.scene, self.begun.id)
            self.end("failed", reason)
        else:
            self._around_it().break_off(reason)

    # --- the run that forks

    @property
    def goes_through_items(self) -> bool:
        step = self.plan.code[self.position]
        return isinstance(step, Fork) and step.each is not None

    @override
    def _take(self, step: Instruction) -> Stands | None:
        return self._fork(step) if isinstance(step, Fork) else super()._take(step)

    def _fork(self, step: Fork) -> Stands | None:
        if self.plan.watcher is not None:
            self.plan.watcher.took(self.position)
        total = len(step.slices)
        if step.each is not None:
            items = self._items(step)
            total = len(items)
            self._put(self._items_name(step), Branched(items=[keep(item) for item in items]))
        self.fork = Forked(total)
        return self._spread(step)

    def _items(self, step: Fork) -> list[Any]:
        each = step.each
        assert each is not None
        env = self.env()
        found = each.items.evaluate(env)
        if found is UNKNOWN:
            raise StepFailed(f"in: {each.items.explain(env)}")
        if not isinstance(found, list | tuple):
            raise StepFailed(f"in: {each.items.text} is no list")
        if len(found) > each.most:
            raise StepFailed(f"in: {len(found)} items, and at most {each.most} may be")
        for number, item in enumerate(found):
            if sum(map(len, keep(item))) > MOST_ITEM_BYTES:
                raise StepFailed(f"in: item {number} takes more than {MOST_ITEM_BYTES} bytes")
        return list(found)

    def _spread(self, step: Fork) -> Stands | None:
        """Begin the branches there is room for; return how the run stands, or None when it goes on behind the fork."""
        assert self.fork is not None
        room = MOST_OPEN - self._open_runs()
        while (
            not self.fork.ends and self.fork.next < self.fork.total and len(self.fork.open) < step.concurrency
        ):
            if self.fork.open and room <= 0:
                break  # one is always let through: nobody else would wake the run
            branch = self._begin(step, self.fork.next)
            self.fork = msgspec.structs.replace(self.fork, next=self.fork.next + 1)
            branch.carry_on()
            self.intents += branch.intents
            if branch.over:
                self._came_home(step, branch)
            else:
                room -= 1
                self.fork = msgspec.structs.replace(self.fork, open=[*self.fork.open, branch.begun.id])
        if self.fork.open:
            self._store()
            self._row("running", f"waits for {len(self.fork.open)} of {self.fork.total} branches")
            return Verdict.FIRED, ""
        return self._join(step)

    def _begin(self, step: Fork, number: int) -> "Forking":
        begun, bound, item = self.begun, dict[str, Any](), self.item
        outer = self.branch.bound if self.branch is not None else {}
        start, until = step.slices[0 if step.each is not None else number]
        if step.each is not None:
            bound = {step.each.name: self._get(self._items_name(step)).items[number]}
            item = f"{item}.{number}" if item else str(number)
        branch = BranchOf(self.root, begun.id, self.position, number, until, item, {**outer, **bound})
        own = msgspec.structs.replace(
            begun,
            id=self._name_of(step, number),
            position=start,
            branch=branch,
            results=self.results,
            kept={name: keep_all(values) for name, values in self.kept.items()},
            heard=self.heard,
            early=self.early,
            before=self.before,
            approved=self.approved,
            error=self.error,
            assumed=keep_all(self.assumed),
            tried=0,
            fork=None,
            undo=[],
            undoing=None,
            waiting="",
            wait=None,
            asked=None,
        )
        return Forking(self.scene, self.plan, own, self)

    def branch_is_home(self, branch: "Forking") -> Stands:
        """Go on with what came of a branch, as far as the run can get."""
        step = self.plan.code[self.position]
        assert isinstance(step, Fork)
        self._came_home(step, branch)
        stands = self._spread(step)
        return stands if stands is not None else self.carry_on()

    def _came_home(self, step: Fork, branch: "Forking") -> None:
        assert self.fork is not None
        name = branch.begun.id
        self.fork = msgspec.structs.replace(self.fork, open=[each for each in self.fork.open if each != name])
        ended = self._get(name)
        if self.fork.ends or not (branch.stops or (not ended.ok and not step.goes_on)):
            return
        why = (
            ended.reason
            if branch.stops
            else f"step {step.path}: {self._said_of(step, branch.number)}: {ended.reason}"
        )
        self.fork = msgspec.structs.replace(
            self.fork, ends=why or "stopped", step=branch.failed_step, stops=branch.stops
        )
        self._cut("another branch of the run ended it")

    def _cut(self, reason: str) -> None:
        """End the branches that only wait; those whose action is on its way come home by themselves."""
        assert self.fork is not None
        # They are told that this is the run around them: begun by this input, it is not among the rows yet.
        branches = [
            Forking(self.scene, self.plan, rows.open_run(self.scene, name), self) for name in self.fork.open
        ]
        left = [branch.begun.id for branch in branches if not branch.cut(reason)]
        self.fork = msgspec.structs.replace(self.fork, open=left)

    def cut(self, reason: str) -> bool:
        """End this branch, unless what it asked for is on its way; return whether it has ended."""
        if self.begun.waiting:
            return False
        if self.fork is not None:
            self.fork = msgspec.structs.replace(self.fork, ends=self.fork.ends or reason)
            self._cut(reason)
            if self.fork.open:
                self._store()
                return False
            step = self.plan.code[self.position]
            assert isinstance(step, Fork)
            self._gather(step)
        self.forget_wait()
        self.end("failed", reason)
        return True

    def _join(self, step: Fork) -> Stands | None:
        """Take over what the branches gave; go on behind the fork, unless one of them ended the run."""
        fork = self.fork
        assert fork is not None
        ends = self._gather(step)
        failed = [number for number, ended in enumerate(ends) if not ended.ok]
        result: dict[str, Any] = {"ok": not failed, "count": fork.total, "failed": len(failed)}
        if step.each is not None:
            result["items"] = [
                {"ok": ended.ok, "reason": ended.reason[:LONGEST_REASON], "steps": ended.results}
                for ended in ends
            ]
        else:
            for ended in ends:
                self.results |= ended.results
                self.kept |= {name: recall_all(values) for name, values in ended.kept.items()}
                self.heard |= ended.heard
        if failed:
            result["reason"] = fork.ends or f"{self._said_of(step, failed[0])}: {ends[failed[0]].reason}"
        self.results[step.id or step.path] = result
        if fork.stops:
            return self.stop(fork.ends)
        if fork.ends:
            return self.fail(fork.ends, fork.step)
        self.position = step.end
        return None

    def _gather(self, step: Fork) -> list[Branched]:
        """Return what came of the branches that began, which is kept no longer; and what takes back what they did."""
        assert self.fork is not None
        names = [self._name_of(step, number) for number in range(self.fork.next)]
        ends = [self._get(name) for name in names]
        self.undos += [taken for ended in ends for taken in ended.undo]
        if any(ended.assumed for ended in ends):
            self.assumed = together(self.assumed, [recall_all(ended.assumed) for ended in ends])
        for name in (*names, self._items_name(step)):
            self._put(name, None)
        self.fork = None
        return ends

    def _said_of(self, step: Fork, number: int) -> str:
        return f"{'item' if step.each is not None else 'branch'} {number}"

    # --- the branch

    @property
    def number(self) -> int:
        return self.branch.number if self.branch is not None else 0

    @property
    def stops(self) -> bool:
        return self._stops

    @property
    def failed_step(self) -> str:
        return self._failed_step

    @override
    def _row(self, state: str, reason: str) -> None:
        if self.branch is None:  # a branch is a part of the run whoever asks knows
            super()._row(state, reason)

    def _home(self, stands: Stands) -> Stands:
        """Tell the run around a branch that is at its end, if it is not the one that is being carried on."""
        if self.branch is None or self._around is not None or not self.over or self._is_home:
            return stands
        self._is_home = True
        around = self._around_it()
        verdict, reason = around.branch_is_home(self)
        self.intents += around.intents
        told = [part for part in (stands[1], reason) if part]
        return verdict, "; ".join(dict.fromkeys(told))

    def _around_it(self) -> "Forking":
        assert self.branch is not None
        return self._open(self.branch.parent)

    def _fork_around(self) -> Forked:
        fork = self._around_it().begun.fork
        assert fork is not None
        return fork

    def _goes_on_around(self) -> bool:
        assert self.branch is not None
        step = self.plan.code[self.branch.at]
        return isinstance(step, Fork) and step.goes_on

    # --- rows

    def _open(self, name: str) -> "Forking":
        return Forking(self.scene, self.plan, rows.open_run(self.scene, name))

    def _open_runs(self) -> int:
        names = rows.open_names(self.scene)
        around: Forking | None = self
        while around is not None:  # begun by this input, these are not written yet
            names.add(around.begun.id)
            around = around._around  # noqa: SLF001 - one of its own
        return len(names)

    def _name_of(self, step: Fork, number: int) -> str:
        return f"{self.begun.id}/{quoted(step.path)}/{number}"

    def _items_name(self, step: Fork) -> str:
        return f"{self.begun.id}/{quoted(step.path)}"

    def _get(self, name: str) -> Branched:
        return rows.branched(self.scene, name)

    def _put(self, name: str, value: Branched | None) -> None:
        rows.put_branched(self.scene, name, value)

    def forget_wait(self) -> None:
        """Take away the timer that would end what it waits for."""
        rows.forget_timer(self.scene, self.begun.wait)


def _told(result: dict[str, Any]) -> dict[str, Any]:
    """Return of an item's step how it ended, without all that was read on the way."""
    return {part: result[part] for part in ("ok", "state", "ticket") if part in result}
