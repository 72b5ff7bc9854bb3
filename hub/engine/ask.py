"""Asks the triggers an event concerns, in their order; nearly every answer is a plain no, and one question says so for all."""

from collections.abc import Collection, Sequence
from operator import attrgetter

from hub.engine.joined import is_up
from hub.engine.levels import refresh
from hub.engine.plans import NOTHING_BOUND, Candidate, TypePlan
from hub.engine.program import Becomes, Crosses, OnEvent
from hub.engine.scene import Scene
from hub.engine.split import Hits
from hub.engine.triggers import becomes, on_event

BY_ORDER = attrgetter("order")


def ask(scene: Scene, plan: TypePlan, dirty: tuple[str, ...]) -> None:
    """Ask the candidates: those the type names, and the conditions that read what changed, in a fixed order."""
    roots = (scene.event, scene.account, scene.client)
    before = (scene.event, scene.account_before, scene.client_before)
    places = scene.program.candidates(plan, dirty)
    hits = places[0].only(roots, before) if len(places) == 1 else None
    if hits is not None:
        found = _doubtful(scene, hits)
        if found:
            _ask_each(scene, found, found)
        return
    sure: list[Candidate] = []  # those whose scope the index has proved
    unsure: list[Candidate] = []
    for place in places:
        place.find(roots, before, sure, unsure)
    found = sure + unsure
    found.sort(key=BY_ORDER)
    _ask_each(scene, found, set(sure) if unsure else found)


def _doubtful(scene: Scene, hits: Hits[Candidate]) -> list[Candidate]:
    """Return whom to ask in full of those found in one place: nobody, nearly always, and one call says so."""
    joined, values = hits.joined or scene.program.joined(hits), scene.state.values
    for slot in joined.edges:
        edge = values.get(slot)
        if edge is not None and is_up(edge):
            return hits.sure
    try:
        return hits.sure if joined.doubt(scene.base(), scene) else joined.rest
    except Exception:  # whatever it was, it is met again where only the one it belongs to suffers
        return hits.sure


def _ask_each(scene: Scene, found: Sequence[Candidate], proved: Collection[Candidate]) -> None:
    """Ask one after another, in order; `proved` are those whose scope need not be asked, or all."""
    last, values, env = None, scene.state.values, scene.base()
    for candidate in found:
        if candidate is last:
            continue  # found in several ways, asked once
        last = candidate
        in_scope = proved is found or candidate in proved
        fast = candidate.fast
        if fast is not None and in_scope:
            # Nearly every answer is a plain no that changes nothing: seen here, before anything is set up for it.
            # Whatever else comes, a value that is missing too, is asked again in full.
            binding = candidate.binding
            try:
                if binding is not scene.bound and binding is not NOTHING_BOUND:
                    scene.env(candidate)
                no = fast(env) is False
            except Exception:
                no = False
            if no:
                if candidate.on_event:
                    continue
                edge = values.get(candidate.edge)
                if edge is None or not is_up(edge):
                    continue
        trigger = candidate.trigger
        if type(trigger) is OnEvent:
            on_event(scene, candidate, trigger, in_scope=in_scope)
        elif type(trigger) is Becomes:
            becomes(scene, candidate, trigger, in_scope=in_scope)
        elif type(trigger) is Crosses:
            refresh(scene, candidate, trigger)
