"""What `hub check` says of steps that write into a CRM the configuration does not have."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from hub.engine.problems import Problem, Severity, did_you_mean, quoted
from hub.engine.program_steps import Do, Literally
from hub.errors import Place
from hub.intents.verbs import ToCrm

Crms = Mapping[str, tuple[frozenset[str], frozenset[str]]]
"""The CRMs by name: the verbs each takes, and the kinds of records it keeps."""

_USUAL: Final = "client"


def unknown_crms(steps: Iterable[Do], crms: Crms) -> Iterator[Problem]:
    """Yield the steps that would be refused."""
    for step in steps:
        if not issubclass(step.verb.params, ToCrm) or step.place is None:
            continue
        why = _refusal(step, crms)
        if why:
            yield _warned(step.place, f"{why}: the step would be refused")


def _refusal(step: Do, crms: Crms) -> str:
    if not crms:
        return f"no CRM is configured for {step.verb.name}: add one under `crm` in hub.yaml"
    profile, known = _written(step, "profile")
    if not known:
        return ""  # what it will be only the run says
    if profile is None and len(crms) > 1:
        return f"there are several CRMs, {', '.join(sorted(crms))}: name one with `profile`"
    name = profile if profile is not None else next(iter(crms))
    if name not in crms:
        return f"no CRM is called {quoted(name)}{did_you_mean(name, crms)}"
    verbs, objects = crms[name]
    if step.verb.name not in verbs:
        return f"crm.{name} in hub.yaml does not say how it takes {step.verb.name}"
    kind, known = _written(step, "object")
    kind = kind if kind is not None else _USUAL
    if known and kind not in objects:
        return f"crm.{name} keeps no {quoted(kind)}{did_you_mean(kind, objects)}; it has {', '.join(sorted(objects))}"
    return ""


def _written(step: Do, name: str) -> tuple[str | None, bool]:
    """Return what stands in the file, and whether that is known."""
    match step.params.get(name):
        case None:
            return None, True
        case Literally(value=str() as text):
            return text, True
        case _:
            return None, False


def _warned(place: Place, message: str) -> Problem:
    return Problem(place, message, Severity.WARNING)
