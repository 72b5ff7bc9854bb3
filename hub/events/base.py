"""The field types every event is made of, and the envelope around them.

Units: money in the account's currency, lots and prices are finite decimals written as strings; percentages are percent
numbers (5 is 5 %); times are UTC; logins, deals and tickets are integers that never pass through a float.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError, core_schema

from hub.events.decimals import DIGITS_AFTER, DIGITS_BEFORE, DecimalText

Amount = Annotated[Decimal, DecimalText(signed=True)]
Money = Amount
Lots = Annotated[Decimal, DecimalText(signed=False)]
Price = Annotated[Decimal, DecimalText(signed=False)]
Percent = Amount
Number = Annotated[int, Field(strict=True, ge=0, lt=2**64)]
Login = Annotated[int, Field(strict=True, gt=0, lt=2**63)]
# No control characters anywhere: these strings reach comments, mail subjects, logs and spreadsheets.
Text = Annotated[str, StringConstraints(strict=True, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
Name = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")
]
ServerName = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Currency = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z0-9]{3,8}$")]
Flag = Annotated[bool, Field(strict=True)]
Side = Literal["buy", "sell"]


class _SaidAsOne:
    """Has a value that fits no branch of a union refused once, with what it may be; not once for every branch."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        schema = handler(source)
        # Of a value that may be null as well, the union stands inside.
        inner: Any = schema["schema"] if schema["type"] == "nullable" else schema
        assert inner["type"] == "union"
        inner["custom_error_type"], inner["custom_error_message"] = "scalar", self._message
        return schema


# Left to right, text before amounts: a phone number "007" must not become the amount 7.
Scalar = Annotated[
    Flag | Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)] | Text | Amount | None,
    Field(union_mode="left_to_right"),
    _SaidAsOne(
        "Input should be true or false, a whole number below 2**63, a text of at most 256 printable signs, or a decimal such as "
        f'"1.25" with at most {DIGITS_BEFORE} digits before the point and {DIGITS_AFTER} after it'
    ),
]


def _in_utc(value: object, parse: ValidatorFunctionWrapHandler) -> datetime:
    """Return an aware moment in UTC, so that one moment has one spelling."""
    # pydantic alone takes 1750000000, and the string of it, for seconds or milliseconds, whichever seems likelier.
    spelled = type(value) is str and value[4:5] == "-"
    if not spelled and not isinstance(value, datetime):
        raise PydanticCustomError("moment_type", 'Input should be a moment such as "2026-06-23T09:00:00Z"')
    moment: datetime = parse(value)
    offset = moment.utcoffset()
    if offset is None:
        raise PydanticCustomError(
            "moment_zone", 'Input should say its time zone: end it with "Z" or "+02:00"'
        )
    if not 1970 <= moment.year < 2200:
        raise PydanticCustomError("moment_range", "Input should lie between 1970 and 2199")
    return moment.astimezone(UTC) if offset else moment


Moment = Annotated[datetime, WrapValidator(_in_utc)]


class Data(BaseModel):
    """What one type of event says, beside its envelope."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AccountRef(BaseModel):
    """An account is (server, login), everywhere and in every key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: ServerName
    login: Login
    group: Text | None = None
    currency: Currency | None = None


class Flags(BaseModel):
    """`replayed`: learned after the fact; `degraded`: the source could not say everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    replayed: Flag = False
    degraded: Flag = False


class Change(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    before: Scalar = None
    after: Scalar = None


Changed = Annotated[dict[Name, Change], Field(max_length=64)]
