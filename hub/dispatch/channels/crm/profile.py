"""What the hub needs of a CRM, whichever it is."""

from collections.abc import Mapping
from typing import Protocol

from hub.dispatch.channels.crm.batch import Result
from hub.dispatch.channels.crm.line import Line
from hub.dispatch.channels.crm.object_settings import ObjectSettings
from hub.dispatch.channels.crm.wanted import Plain, Wanted


class Profile(Protocol):
    """One CRM of the configuration. Trouble with it is a result, never an exception.

    `objects` are the kinds of records it keeps, by the names steps have for them; `offers` are the verbs it takes.
    """

    line: Line
    objects: Mapping[str, ObjectSettings]
    offers: frozenset[str]

    def repeatable(self, verb: str) -> bool:
        """Return whether it does once what it does, however often it is sent."""

    async def upsert(self, of: str, wanted: Wanted, fields: dict[str, Plain]) -> Result:
        """Make the record, or write its fields where it is there already."""

    async def attach(self, of: str, wanted: Wanted, fields: dict[str, Plain]) -> Result:
        """Add a note, an activity or a task to a record that is there."""
