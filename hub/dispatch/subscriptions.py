"""Which enabled endpoints want which event: by type, remembered per type, and then by its content where one asks for that."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import structlog

from hub.dispatch.content import Told, values_of
from hub.dispatch.filters import Filter, Skip, Unaskable, standing_filter
from hub.dispatch.outbox import Endpoint
from hub.dispatch.patterns import matches
from hub.events.declared import Declarations, Known, nothing_declared

ENABLED = "enabled"
DISABLED = "disabled"
# Types are few, but custom.* ones are invented from outside.
_MOST_TYPES = 10_000

log = structlog.get_logger(__name__)


class _Made(NamedTuple):
    """A filter, and what it was made of: endpoints are read anew far more often than their filters change."""

    of: tuple[object, ...]
    filter: Filter | Unaskable


class Subscriptions:
    """`skipped` counts what was held back, by endpoint and reason; `declared` says what filters on custom events go by."""

    def __init__(self, endpoints: Iterable[Endpoint] = (), declared: Known = nothing_declared) -> None:
        self.declared = declared
        self._all: tuple[Endpoint, ...] = ()
        self._known = declared()
        self._endpoints: tuple[Endpoint, ...] = ()
        self._by_type: dict[str, tuple[str, ...]] = {}
        self._picky: dict[str, _Made] = {}
        self.skipped: dict[tuple[str, Skip], int] = {}
        self.replace(endpoints)

    def replace(self, endpoints: Iterable[Endpoint]) -> None:
        self._all = endpoints = tuple(endpoints)
        self._known = self.declared()
        self._endpoints = tuple(endpoint for endpoint in endpoints if endpoint.state == ENABLED)
        self._by_type.clear()
        before, self._picky = self._picky, {}
        for endpoint in self._endpoints:
            made = _made(endpoint, before.get(endpoint.id), self._known)
            if made is not None:
                self._picky[endpoint.id] = made
        there = {endpoint.id for endpoint in endpoints}
        for gone in [key for key in self.skipped if key[0] not in there]:
            del self.skipped[gone]

    def matching(self, event_type: str, only: Sequence[str] | None = None) -> Sequence[str]:
        """Return the ids of the endpoints that want the type; an event that names endpoints goes to those, whatever they want."""
        if only is not None:
            return [endpoint.id for endpoint in self._endpoints if endpoint.id in only]
        found = self._by_type.get(event_type)
        if found is None:
            if len(self._by_type) >= _MOST_TYPES:
                self._by_type.clear()
            found = tuple(
                endpoint.id
                for endpoint in self._endpoints
                if any(matches(pattern, event_type) for pattern in endpoint.events)
            )
            self._by_type[event_type] = found
        return found

    def picking(self, wanted: Sequence[str]) -> bool:
        """Say whether any of these endpoints has to look into the event: nearly always none."""
        return bool(self._picky) and not self._picky.keys().isdisjoint(wanted)

    def picked(self, wanted: Sequence[str], event: Told) -> Sequence[str]:
        """Return those of the endpoints that want this event, and count why the others do not."""
        if self.declared() is not self._known:
            self.replace(self._all)
        values: Mapping[str, object] | None
        try:
            values = values_of(event)
        except msgspec.DecodeError:
            log.exception("fanout.data_unreadable", event_id=event.id, type=event.type)
            values = None
        return [endpoint for endpoint in wanted if self._wants(endpoint, event, values)]

    def _wants(self, endpoint: str, event: Told, values: Mapping[str, object] | None) -> bool:
        made = self._picky.get(endpoint)
        if made is None:
            return True
        skip = Skip.UNREADABLE if values is None else made.filter.skips(values)
        if skip is None:
            return True
        before = self.skipped.get((endpoint, skip), 0)
        self.skipped[endpoint, skip] = before + 1
        if before == 0 and skip in {Skip.UNANSWERED, Skip.UNREADABLE}:
            # Somebody wrote a filter that does not fit what comes: said once, and counted from then on.
            why = made.filter.explain(values) if values is not None else "its data cannot be read"
            log.warning("endpoint.event_held_back", endpoint=endpoint, event_id=event.id, reason=why)
        return False


def _made(endpoint: Endpoint, before: _Made | None, declared: Declarations) -> _Made | None:
    options = endpoint.options
    of = (endpoint.events, options.where, options.channels, declared.of(endpoint.events))
    if before is not None and before.of == of:
        return before
    found = standing_filter(endpoint, declared)
    if isinstance(found, Unaskable):
        log.warning("endpoint.filter_unreadable", endpoint=endpoint.id, reason=found.why)
    return None if found is None else _Made(of, found)
