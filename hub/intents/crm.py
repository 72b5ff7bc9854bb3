"""What a step writes into a CRM: the id of the record, and values a CRM can keep."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

MOST_FIELDS: Final = 200
MOST_VALUES: Final = 100
LONGEST_VALUE: Final = 32_768
LONGEST_ID: Final = 128
FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,127}$")]


def _unfit(why: str) -> PydanticCustomError:
    return PydanticCustomError("crm", "{why}", {"why": why})


def _an_id(value: object) -> str:
    """Take a login as well, and an id that was computed."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _unfit("a record's id is a text or a whole number")
    text = str(value)
    if not 0 < len(text) <= LONGEST_ID or not text.isprintable() or text in {".", ".."}:
        raise _unfit(f"a record's id is 1 to {LONGEST_ID} printable characters")
    return text


def _keepable(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if isinstance(value, list):
            if len(value) > MOST_VALUES:
                raise _unfit(f"{name} has {len(value)} values: at most {MOST_VALUES} are written")
            if any(not isinstance(item, str) or ";" in item for item in value):
                raise _unfit(
                    f"{name}: a list holds texts without a semicolon, which is what a CRM parts them by"
                )
        elif value is not None and not isinstance(value, str | bool | int | Decimal | datetime):
            raise _unfit(f"{name}: a CRM keeps texts, numbers, truth values, times and lists of texts")
        if isinstance(value, str) and len(value) > LONGEST_VALUE:
            raise _unfit(f"{name} has {len(value)} characters: at most {LONGEST_VALUE} are written")
    return values


RecordId = Annotated[str | int | Decimal, BeforeValidator(_an_id)]
Record = Annotated[dict[FieldName, Any], Field(max_length=MOST_FIELDS), AfterValidator(_keepable)]
