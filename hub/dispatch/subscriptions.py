"""Which enabled endpoints want which event type, remembered per type."""

from collections.abc import Iterable, Sequence

from hub.dispatch.outbox import Endpoint
from hub.dispatch.patterns import matches

ENABLED = "enabled"
DISABLED = "disabled"
# Types are few, but custom.* ones are invented from outside.
_MOST_TYPES = 10_000


class Subscriptions:
    def __init__(self, endpoints: Iterable[Endpoint] = ()) -> None:
        self._endpoints: tuple[Endpoint, ...] = ()
        self._by_type: dict[str, tuple[str, ...]] = {}
        self.replace(endpoints)

    def replace(self, endpoints: Iterable[Endpoint]) -> None:
        self._endpoints = tuple(endpoint for endpoint in endpoints if endpoint.state == ENABLED)
        self._by_type.clear()

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
