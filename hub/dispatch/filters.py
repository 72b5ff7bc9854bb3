"""Which of the events of its types an endpoint really gets: an expression on their content, and channels.

Every event that is held back is counted with its reason; one whose filter has no answer is held back too, because a
receiver that asked for some events must not be sent others.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, final

import structlog

from hub.dispatch.content import scope_of
from hub.dispatch.outbox import Endpoint
from hub.errors import ConfigError, ExpressionError
from hub.events.declared import NONE_DECLARED, Declarations
from hub.expr import Expression, Kind, compile_expression

log = structlog.get_logger(__name__)

MOST_CHANNELS: Final = 32  # of an event


class Skip(StrEnum):
    """Why an endpoint does not get an event of a type it asked for."""

    FILTERED = "filtered"  # its expression says no
    UNANSWERED = "unanswered"  # its expression has no answer: something it reads is missing
    CHANNEL = "channel"  # the event is in none of its channels
    UNREADABLE = "unreadable"  # the event, or the expression itself, cannot be read


class FilterInvalid(ConfigError):
    """A filter that cannot be asked."""


@final
class Filter:
    """Immutable. Raises FilterInvalid for an expression that does not compile for these types."""

    def __init__(
        self,
        where: str,
        events: tuple[str, ...],
        channels: Sequence[str] = (),
        declared: Declarations = NONE_DECLARED,
    ) -> None:
        self._channels: Final = frozenset(channels)
        self._where: Expression | None = None
        if where:
            try:
                self._where = compile_expression(
                    where, scope_of(events, declared.of(events)), expects=Kind.BOOL
                )
            except ExpressionError as error:
                raise FilterInvalid(str(error)) from error

    def skips(self, values: Mapping[str, object]) -> Skip | None:
        """Return why the event is held back, None when it is sent."""
        if self._channels and self._channels.isdisjoint(channels_of(values)):
            return Skip.CHANNEL
        if self._where is None:
            return None
        answer = self._where.test(values)
        if answer is True:
            return None
        return Skip.FILTERED if answer is False else Skip.UNANSWERED

    def explain(self, values: Mapping[str, object]) -> str:
        """Return the reason in words, whichever way it goes."""
        if self._channels and self._channels.isdisjoint(channels_of(values)):
            of = ", ".join(sorted(channels_of(values))) or "none"
            return f"the endpoint is for {', '.join(sorted(self._channels))}; the event's channels: {of}"
        return self._where.explain(values) if self._where is not None else "nothing is filtered"


@final
class Unaskable:
    """Stands for a filter of another version that this hub cannot read: it lets nothing through, and that is counted."""

    def __init__(self, why: str) -> None:
        self.why = why

    def skips(self, values: Mapping[str, object]) -> Skip:
        return Skip.UNREADABLE

    def explain(self, values: Mapping[str, object]) -> str:
        return f"the filter cannot be read: {self.why}"


def channels_of(values: Mapping[str, object]) -> frozenset[str]:
    """Return an event's channels: what its data says under `channel`, a text, or `channels`, a list of them."""
    data = values.get("data")
    if not isinstance(data, Mapping):
        return frozenset()
    one, many = data.get("channel"), data.get("channels")
    said = [one, *(many[:MOST_CHANNELS] if isinstance(many, list) else ())]
    return frozenset(channel for channel in said if isinstance(channel, str))


def filter_of(endpoint: Endpoint, declared: Declarations = NONE_DECLARED) -> Filter | None:
    """Return the endpoint's filter, None where it takes everything of its types. Raises FilterInvalid."""
    options = endpoint.options
    if not options.where and not options.channels:
        return None
    return Filter(options.where, endpoint.events, options.channels, declared)


def standing_filter(endpoint: Endpoint, declared: Declarations) -> Filter | Unaskable | None:
    """Return the filter of an endpoint that is registered: what was declared since may not make it mean nothing."""
    try:
        return filter_of(endpoint, declared)
    except FilterInvalid as problem:
        try:
            found = filter_of(endpoint)
        except FilterInvalid as error:
            return Unaskable(str(error))
        log.warning("endpoint.filter_misfits_declaration", endpoint=endpoint.id, reason=str(problem))
        return found
