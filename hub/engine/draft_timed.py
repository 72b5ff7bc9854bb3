"""Schedules, what a person gives who starts a workflow, and circuit breakers: what a file says of them, checked."""

from collections.abc import Iterable, Mapping
from typing import Any

from hub.engine import cron
from hub.engine.complaints import shown
from hub.engine.draft import Draft
from hub.engine.draft_names import zone_is_known
from hub.engine.fields import as_text
from hub.engine.keys import KeyKind
from hub.engine.model import RunFile
from hub.engine.model_timed import InputFile, ManualFile, ManualTrigger, ScheduleFile, TripFile
from hub.engine.model_triggers import AnyTrigger
from hub.engine.nodes import Location
from hub.engine.program_timed import Asked, Manual, Schedule, Trip
from hub.engine.starts import InputRefused, read_input
from hub.expr import Kind, Type
from hub.intents.verbs import VERBS

LASTING = (KeyKind.ACCOUNT, KeyKind.CLIENT, KeyKind.GROUP, KeyKind.SYMBOL, KeyKind.ALL)
MOST_WAITING = 20  # runs of a key, where the file does not say


def schedule(draft: Draft, location: Location, name: str, file: ScheduleFile) -> Schedule | None:
    key = draft.scopes.key
    lasting = key in LASTING
    if not lasting:
        draft.error(
            location,
            f"`key: {draft.scopes.kept_by}` names what comes and goes, and a schedule has no end: use one of {', '.join(LASTING)}",
        )
    known = zone_is_known(draft, (*location, "tz"), file.tz) and lasting
    wrong = cron.problem(file.cron)
    if wrong is not None:
        draft.error((*location, "cron"), f'{wrong}; "0 9 * * mon-fri" is every weekday at nine')
    if not known or wrong is not None:
        return None
    return Schedule(name, " ".join(file.cron.split()), file.tz, file.catch_up, file.within)


def manual(draft: Draft, location: Location, name: str, file: ManualFile) -> Manual | None:
    inputs: dict[str, Asked] = {}
    for each, given in file.inputs.items():
        made = _asked(draft, (*location, "inputs", each), each, given)
        if made is not None:
            inputs[each] = made
    return Manual(name, inputs, file.permission) if len(inputs) == len(file.inputs) else None


def input_types(files: Iterable[AnyTrigger]) -> Mapping[str, Type] | None:
    """Return what `trigger.inputs` holds, None where nobody gives any: one that not every start brings may be missing."""
    files = list(files)
    manuals = [file.manual for file in files if isinstance(file, ManualTrigger)]
    if not manuals:
        return None
    found: dict[str, Type] = {}
    for file in manuals:
        for name, given in file.inputs.items():
            everywhere = len(manuals) == len(files) and all(name in other.inputs for other in manuals)
            sure = everywhere and all(_is_sure(other.inputs[name]) for other in manuals)
            made = _type(given).or_missing(not sure)
            known = found.get(name, made)
            same = (known.kind, known.currency) == (made.kind, made.currency)
            found[name] = made if same else Type(Kind.ANY, optional=True)
    return found


def queue(file: RunFile | None) -> int | None:
    return None if file is None or file.mode != "queued" else file.max or MOST_WAITING


def trip(draft: Draft, file: TripFile | None) -> Trip | None:
    """Return the breaker, of a workflow whose steps are known already."""
    if file is None:
        return None
    sent = {name: VERBS[name].risk.value for name in draft.verbs}
    if not draft.problems.fatal and not any(file.risk in {"any", risk} for risk in sent.values()):
        known = ", ".join(sorted(set(sent.values()))) or "nothing that is sent"
        draft.warn(("trip", "risk"), f"it never trips: the steps do nothing of that kind, but {known}")
    return Trip(file.more_than, file.risk, file.within)


def _is_sure(file: InputFile) -> bool:
    return file.required or file.default is not None


def _type(file: InputFile) -> Type:
    return Type(Kind(file.type), currency=file.currency)


def _asked(draft: Draft, location: Location, name: str, file: InputFile) -> Asked | None:
    default: Any = None
    if file.default is not None:
        try:
            default = read_input(name, Kind(file.type), as_text(file.default))
        except InputRefused as problem:
            draft.error((*location, "default"), f"not {shown(file.default)}: {problem.reason}")
            return None
    return Asked(_type(file), file.required, default, file.about or "")
