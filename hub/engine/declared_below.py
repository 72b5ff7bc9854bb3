"""The declared events a workflow names, as they stand below its text: what its version checks and reads them by, for ever.

Only what decides anything stands there: words about a field, and an example, make no new version of a workflow.
"""

from collections.abc import Mapping

import msgspec

from hub.events.declared import Declarations, Declared, DeclaredField
from hub.events.declared_types import DEFAULT_LENGTH, FieldType


class FieldBelow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    type: str
    required: bool = True
    one_of: tuple[str | int, ...] = ()
    longest: int = DEFAULT_LENGTH


class DeclaredBelow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    fields: dict[str, FieldBelow]


def events_below(declared: Declarations) -> dict[str, DeclaredBelow]:
    return {name: _below(each) for name, each in sorted(declared.types.items())}


def events_of(found: Mapping[str, DeclaredBelow]) -> Declarations:
    """Return the declarations again. Raises ValueError for a type no field can have."""
    return Declarations({name: _declared(name, each) for name, each in found.items()})


def _below(declared: Declared) -> DeclaredBelow:
    fields = {
        name: FieldBelow(each.type.value, each.required, each.one_of, each.longest)
        for name, each in sorted(declared.fields.items())
    }
    return DeclaredBelow(declared.version, fields)


def _declared(name: str, found: DeclaredBelow) -> Declared:
    fields = {
        field: DeclaredField(field, FieldType(each.type), each.required, each.one_of, each.longest)
        for field, each in found.fields.items()
    }
    return Declared(name, found.version, fields)
