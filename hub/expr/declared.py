"""What the fields of a declared event are to an expression."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from hub.events.declared import Declared
from hub.events.declared_types import FieldType
from hub.expr.types import BOOL, NUMBER, STRING, Kind, Type

_TYPES: Final[Mapping[FieldType, Type]] = {
    FieldType.STRING: STRING,
    FieldType.INTEGER: NUMBER,
    FieldType.DECIMAL: Type(Kind.NUMBER, written=True),
    FieldType.BOOLEAN: BOOL,
    FieldType.MOMENT: Type(Kind.TIME, written=True),
    FieldType.DATE: STRING,
    FieldType.DURATION: Type(Kind.DURATION, written=True),
}
# What a value has to be for a field to take it.
TAKES: Final[Mapping[FieldType, frozenset[Kind]]] = {
    FieldType.STRING: frozenset({Kind.STRING}),
    FieldType.INTEGER: frozenset({Kind.NUMBER, Kind.MONEY, Kind.PERCENT}),
    FieldType.DECIMAL: frozenset({Kind.NUMBER, Kind.MONEY, Kind.PERCENT}),
    FieldType.BOOLEAN: frozenset({Kind.BOOL}),
    FieldType.MOMENT: frozenset({Kind.TIME}),
    FieldType.DATE: frozenset({Kind.STRING}),
    FieldType.DURATION: frozenset({Kind.DURATION}),
}


@lru_cache(maxsize=1_024)
def declared_fields(declared: Declared) -> dict[str, Type]:
    """Return the type of every field; one that need not be there may be missing."""
    return {name: _TYPES[each.type].or_missing(not each.required) for name, each in declared.fields.items()}
