"""Samples somebody posts: what accounts are worth, their open positions, and what symbols cost."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from hub.events.base import Login, Moment, Money, Name, Percent, Price, ServerName
from hub.events.facts import us_of
from hub.ingest.refusals import FieldError, field_errors
from hub.ingest.samples import MOST_POSITIONS, PositionSample, Quote, Sample
from hub.ingest.strict import Item, Unreadable


class SampledAccount(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    server: ServerName
    login: Login


class PostedPosition(BaseModel):
    """`profit` is the position's own, in the account's currency and without swap and commission; `price` the present one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    position: Annotated[int, Field(strict=True, gt=0, lt=2**64)]
    profit: Money | None = None
    price: Price | None = None


def _each_once(positions: list[PostedPosition]) -> list[PostedPosition]:
    if len({each.position for each in positions}) < len(positions):
        raise PydanticCustomError("each_once", "A position is told once in a sample")
    return positions


_NONE: Final[list[PostedPosition]] = []


class PostedSample(BaseModel):
    """`balance` belongs beside an equity of 0, which is taken for a glitch without it; `margin_level` is in percent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: SampledAccount
    equity: Money
    balance: Money | None = None
    credit: Money | None = None
    margin: Money | None = None
    free_margin: Money | None = None
    margin_level: Percent | None = None
    floating: Money | None = None
    positions: Annotated[
        list[PostedPosition],
        Field(
            max_length=MOST_POSITIONS, description="Open positions of the account; one left out is not seen."
        ),
        AfterValidator(_each_once),
    ] = _NONE
    at: Moment


class PostedQuote(BaseModel):
    """What a symbol is sold (`bid`) and bought (`ask`) for. A price of 0, or an ask below the bid, is taken for a glitch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: ServerName
    symbol: Name
    bid: Price
    ask: Price
    at: Moment


_validate = PostedSample.__pydantic_validator__.validate_python
_validate_quote = PostedQuote.__pydantic_validator__.validate_python


def read_posted(item: Item, servers: frozenset[str] | None) -> Sample | Quote | list[FieldError]:
    """Return the sample of an account or the quote of a symbol, or why it is refused."""
    if not isinstance(item, Unreadable) and "symbol" in item and "account" not in item:
        return _read_quote(item, servers)
    return read_sample(item, servers)


def _read_quote(item: dict[str, Any], servers: frozenset[str] | None) -> Quote | list[FieldError]:
    try:
        posted: PostedQuote = _validate_quote(item)
    except ValidationError as error:
        return field_errors(error, PostedQuote)
    if servers is not None and posted.server not in servers:
        return [FieldError("server", "this key may not tell of this server")]
    return Quote(posted.server, posted.symbol, posted.bid, posted.ask, us_of(posted.at))


def read_sample(item: Item, servers: frozenset[str] | None) -> Sample | list[FieldError]:
    """Return the sample, or why it is refused; `servers` None means any."""
    if isinstance(item, Unreadable):
        return [FieldError("body", item.reason, item.fix)]
    try:
        posted: PostedSample = _validate(item)
    except ValidationError as error:
        return field_errors(error, PostedSample)
    if servers is not None and posted.account.server not in servers:
        return [FieldError("account.server", "this key may not tell of this server")]
    return Sample(
        server=posted.account.server,
        login=posted.account.login,
        equity=posted.equity,
        balance=posted.balance,
        credit=posted.credit,
        margin=posted.margin,
        free_margin=posted.free_margin,
        margin_level=posted.margin_level,
        floating=posted.floating,
        at=us_of(posted.at),
        positions=tuple(PositionSample(each.position, each.profit, each.price) for each in posted.positions),
    )
