"""The breaker of a story's workflow: counts what is sent as the hub does, and stops it as the hub would."""

from collections.abc import Iterable, Mapping
from typing import Final, final

from hub.clock import iso
from hub.engine.program import Workflow
from hub.intents.breakers import Rule, counted, encode_count
from hub.intents.intent import Intent, State
from hub.intents.outcome import Outcome

REJECTED: Final = State.REJECTED


@final
class StageBreaker:
    """`tripped`: why, "" while it has not. In a story no time passes until the workflow goes on in shadow."""

    def __init__(self, workflow: Workflow) -> None:
        trip = workflow.trip
        self._workflow = workflow.id
        self._rule = Rule(trip.more_than, trip.risk, trip.within) if trip is not None else None
        self._count: bytes | None = None
        self._number = 0
        self.tripped = ""

    def pass_on(self, fresh: Iterable[Intent], at: int) -> Mapping[str, Intent]:
        """Count what would be sent or was published; return what is refused, by key, with the reason."""
        refused = {}
        for intent in fresh:
            if self._rule is None or intent.state not in {State.READY, State.DELIVERED}:
                continue
            if not self.tripped and self._rule.counts(intent.verb):
                self._add(self._rule, intent, at)
            if self.tripped and intent.state is State.READY:
                refused[intent.key] = intent._replace(state=REJECTED, reason=self.tripped)
        return refused

    def reset(self) -> bool:
        """Let it go on, and count from nothing; False when it has not tripped."""
        was, self.tripped, self._count, self._number = self.tripped, "", None, 0
        return bool(was)

    def said(self) -> str:
        """Return how it stands, in a sentence."""
        if self.tripped:
            return self.tripped
        if self._rule is None:
            return "the workflow has no breaker: write one with `trip`"
        return (
            f"the breaker has not tripped: {self._number} of {self._rule.more_than} actions counted "
            f"within {self._rule.within}"
        )

    def _add(self, rule: Rule, intent: Intent, at: int) -> None:
        count = counted(self._count, rule, at)
        self._count, self._number = encode_count(count), count.total
        if count.total > rule.more_than:
            because = f"more than {rule.more_than} within {rule.within}: {intent.key} would be one too many"
            self.tripped = f"the breaker of {self._workflow} tripped at {iso(at)}: {because}"


def rejected(intent: Intent) -> Outcome:
    return Outcome(intent.key, intent.verb, REJECTED.value, reason=intent.reason, stopped=True)
