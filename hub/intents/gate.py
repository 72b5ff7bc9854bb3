"""Whether something may be sent now: asked for every intent before it is written down as being sent."""

from typing import NamedTuple, Protocol, TypeAlias, final

from typing_extensions import override

from hub.intents.intent import Intent


class Go(NamedTuple):
    pass


class Hold(NamedTuple):
    """It stays due. `workflow`: so does everything else of this workflow, or of all where it is ""."""

    reason: str
    workflow: str = ""


class Refuse(NamedTuple):
    """It is never sent, and whoever asked for it is told so."""

    reason: str


Answer: TypeAlias = Go | Hold | Refuse


class Gate(Protocol):
    async def ask(self, intent: Intent) -> Answer:
        """Return whether it may be sent. Raises StoreUnavailable where nobody can tell: then it may not."""


@final
class Open(Gate):
    """Lets everything through, where nobody can close it."""

    @override
    async def ask(self, intent: Intent) -> Answer:
        return Go()
