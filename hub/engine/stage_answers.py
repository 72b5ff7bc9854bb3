"""What becomes of an intent in a story: as the story says, and otherwise well, if its conditions hold."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hub.engine.storybook import Given, StoryAnswer
from hub.expr.judge import judge
from hub.intents.checks import FRESH, Check, checks_of, without_checks
from hub.intents.http_request import Call
from hub.intents.intent import Intent
from hub.intents.kept import recall_all
from hub.intents.outcome import Outcome
from hub.intents.shape import Misfit, conform, tellable
from hub.intents.verbs import VERBS, ToCrm


def outcome_of(intent: Intent, given: Given, fresh: Mapping[str, Any], *, ticket: int) -> Outcome:
    answer = given.answers.get(intent.verb, "applied")
    verb = VERBS[intent.verb]
    if verb.answers and answer == "applied":
        return _answered(intent, given)
    if not verb.is_manager:
        return _message(intent, answer, ticket)
    checks = checks_of(intent)
    if checks is not None and (why := _no(checks.guard, fresh)) is not None:
        return Outcome(intent.key, intent.verb, "rejected", reason=f"guard: {why}")
    if answer != "applied":
        return Outcome(intent.key, intent.verb, answer, reason="as the story says")
    why = _no(checks.verify, fresh) if checks is not None else None
    unverified = f"verify: {why}" if why is not None else ""
    return Outcome(intent.key, intent.verb, answer, ticket=ticket, unverified=unverified)


def _answered(intent: Intent, given: Given) -> Outcome:
    call = Call.model_validate_json(without_checks(intent).params)
    found = given.http.get(intent.step, StoryAnswer(body=call.sample))
    attempt = int(intent.key.partition("#")[2] or 1)
    answer = found[min(attempt, len(found)) - 1] if isinstance(found, list) else found
    after: dict[str, Any] = {"status": answer.status}
    if not call.expect.takes(answer.status):
        again = call.repeatable and answer.status >= 500
        reason = f"answered {answer.status}"
        return Outcome(intent.key, intent.verb, "exhausted", reason=reason, after=after, again=again)
    try:
        if call.expect.shape is not None:
            after["body"] = tellable(conform(call.expect.shape, answer.body))
    except Misfit as problem:
        reason = f"the answer does not fit the schema: {problem}"
        return Outcome(intent.key, intent.verb, "exhausted", reason=reason, after=after)
    return Outcome(intent.key, intent.verb, "delivered", after=after)


def _message(intent: Intent, answer: str, ticket: int) -> Outcome:
    if answer == "applied":
        in_a_crm = issubclass(VERBS[intent.verb].params, ToCrm)
        after = {"id": str(ticket)} if in_a_crm else None
        return Outcome(intent.key, intent.verb, "delivered", after=after)
    return Outcome(intent.key, intent.verb, "exhausted", reason="as the story says")


def _no(check: Check | None, fresh: Mapping[str, Any]) -> str | None:
    if check is None:
        return None
    numbers = {
        name: Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value
        for name, value in fresh.items()
    }
    return judge(check.text, recall_all(check.values), numbers, FRESH)
