"""The one list of verbs: their parameters, their risk, what reverses them, and how they are carried out.

`money`, `account`, `trading` and `configuration` verbs are manager actions: written down before sending and applied
once. `notify` and `integration` verbs are at-least-once with a stable id, but for what goes once: mails, text
messages, and notes, activities and tasks in a CRM.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator

from hub.events.base import Lots, Money, Name, Number, Price, Text
from hub.intents.contact import Category
from hub.intents.crm import Record, RecordId
from hub.intents.expiry import Expiry

Positive = Annotated[Money, Field(gt=0)]
Words = Annotated[str, Field(max_length=16_384)]
MessageVersion = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
Language = Annotated[str, Field(min_length=1, max_length=64)]
Address = Annotated[
    str, Field(min_length=3, max_length=320, pattern=r"^[^\s\x00-\x1f\x7f<>,;]+@[^\s\x00-\x1f\x7f<>,;]+$")
]


class Risk(StrEnum):
    MONEY = "money"
    ACCOUNT = "account"
    TRADING = "trading"
    CONFIGURATION = "configuration"
    NOTIFY = "notify"
    INTEGRATION = "integration"


class Params(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Nothing(Params):
    comment: Text | None = None


class MoveMoney(Params):
    """`amount` is positive, in the account's currency; the verb says the direction."""

    amount: Positive
    comment: Text | None = None


class CorrectMoney(Params):
    amount: Money
    comment: Text | None = None


class MoveCredit(Params):
    amount: Positive
    comment: Text | None = None
    expires_at: AwareDatetime | None = None


class TransferMoney(Params):
    source: Name = Field(alias="from")
    target: Name = Field(alias="to")
    amount: Positive
    comment: Text | None = None


class CreateAccount(Params):
    group: Name
    name: Name
    email: Address | None = None
    leverage: Number
    login: Number | None = None
    login_range: tuple[Number, Number] | None = None
    country: Text | None = None
    client: Name | None = None


class UpdateAccount(Params):
    """Personal fields only; rights and money have verbs of their own."""

    name: Name | None = None
    email: Address | None = None
    phone: Text | None = None
    country: Text | None = None
    city: Text | None = None
    address: Text | None = None
    comment: Text | None = None


class SetGroup(Params):
    """`expect_group` refuses the move when someone else moved the account meanwhile."""

    group: Name
    expect_group: Name | None = None


class SetLeverage(Params):
    leverage: Annotated[int, Field(ge=1, le=10_000)]


class Password(Params):
    """`secret` names a configured secret; a password is never written in a workflow."""

    kind: Literal["main", "investor", "api"] = "main"
    secret: Name


class ClosePosition(Params):
    position: Number
    lots: Lots | None = None


class CloseAll(Params):
    symbol: Name | None = None
    side: Literal["buy", "sell"] | None = None


class ModifyPosition(Params):
    """A missing price keeps what is there, 0 removes it."""

    position: Number
    sl: Price | None = None
    tp: Price | None = None


class CancelOrder(Params):
    order: Number


class CancelAll(Params):
    symbol: Name | None = None


class CreateTrade(Params):
    symbol: Name
    side: Literal["buy", "sell"]
    lots: Lots
    price: Price | None = None
    comment: Text | None = None


class CorrectTrade(Params):
    deal: Number
    profit: Money | None = None
    comment: Text | None = None


class Configure(Params):
    name: Name
    settings: dict[Name, JsonValue] = {}


class PublishEvent(Params):
    type: Name
    data: dict[Name, Any] = {}
    endpoints: list[Name] | None = None


class ToClient(Params):
    """`category` says what kind of message it is: consent, and the contact policy of hub.yaml, go by it; service if left out.

    `client` is whose contact it is; the client the run is about if left out. `expires` is until when it is worth sending:
    a time, or how long after the step asked for it; later it is dropped and recorded. `template` names a message that says
    the rest, with `vars` for the values it reads, in the client's language or the `language` given; the hub writes down
    which version it said (`template_version`).
    """

    category: Category | None = None
    client: Name | None = None
    expires: Expiry | None = None


class SendMail(ToClient):
    to: Address
    subject: Annotated[str, Field(min_length=1, max_length=200)]
    text: Words | None = None
    html: Annotated[str, Field(max_length=49_152)] | None = None
    template: Name | None = None
    vars: dict[Name, Any] | None = None
    template_version: MessageVersion | None = None
    language: Language | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.text is None and self.html is None:
            raise ValueError("a mail needs `text`, `html` or both")
        return self


class SendMessage(ToClient):
    """`to` is a telephone number for text messages, and the client for push messages; `team` is whom chat and pages go to.

    `title` is for push messages and teams.
    """

    to: Text | None = None
    title: Annotated[str, Field(max_length=200)] | None = None
    template: Name | None = None
    text: Words | None = None
    team: Name | None = None
    vars: dict[Name, Any] = {}
    template_version: MessageVersion | None = None
    language: Language | None = None


class PlatformMail(ToClient):
    subject: Annotated[str, Field(min_length=1, max_length=128)]
    text: Words
    template: Name | None = None
    vars: dict[Name, Any] | None = None
    template_version: MessageVersion | None = None
    language: Language | None = None


class HttpRequest(Params):
    """Its parts are looked at together, by `Call`: an expression may stand in any of them."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: dict[Name, Any]
    headers: dict[Name, Any] = {}
    auth: dict[Name, Any] = {}
    body: Any = None
    expect: dict[Name, Any] = {}
    sample: Any = None
    idempotent: bool = False


class ToCrm(Params):
    """`profile` names the CRM in hub.yaml, and may be left out where there is one; `object` is what it calls a kind of record.

    `id` is the hub's own for the record, such as the client's: the CRM finds or makes the record by it.
    """

    profile: Name | None = None
    object: Name | None = None
    id: RecordId


class WriteRecord(ToCrm):
    record: Record


class WriteNote(ToCrm):
    text: Words


class LogActivity(ToCrm):
    """What took place already; `minutes` is how long it took. `record` is what else the CRM is to know of it."""

    kind: Literal["call", "email", "meeting"]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    text: Words | None = None
    minutes: Annotated[int, Field(ge=1, le=1_440)] | None = None
    record: Record = {}


class OpenTask(ToCrm):
    """What somebody is to do. `due` is a time, or how long after the step asked for it.

    `record` is what else the CRM is to know of it, such as whose it is.
    """

    title: Annotated[str, Field(min_length=1, max_length=200)]
    text: Words | None = None
    due: Expiry | None = None
    priority: Literal["low", "normal", "high"] | None = None
    record: Record = {}


@dataclass(frozen=True, slots=True)
class Verb:
    name: str
    params: type[Params]
    risk: Risk
    reversed_by: str | None = None
    desired_state: bool = False  # read, compare, send, read back: safe to send again
    approval: bool = False  # always needs a person

    @property
    def answers(self) -> bool:
        """Whether its outcome carries what somebody answered, for later steps to read."""
        return self.name == "http.request"

    @property
    def is_manager(self) -> bool:
        return self.risk not in {Risk.NOTIFY, Risk.INTEGRATION}


_VERBS = (
    Verb("balance.deposit", MoveMoney, Risk.MONEY, "balance.withdraw"),
    Verb("balance.withdraw", MoveMoney, Risk.MONEY, "balance.deposit"),
    Verb("balance.correct", CorrectMoney, Risk.MONEY, "balance.correct", approval=True),
    Verb("balance.charge", CorrectMoney, Risk.MONEY, "balance.charge", approval=True),
    Verb("credit.grant", MoveCredit, Risk.MONEY, "credit.remove"),
    Verb("credit.remove", MoveCredit, Risk.MONEY, "credit.grant"),
    Verb("bonus.grant", MoveCredit, Risk.MONEY, "bonus.remove"),
    Verb("bonus.remove", MoveCredit, Risk.MONEY, "bonus.grant"),
    Verb("money.transfer", TransferMoney, Risk.MONEY, "money.transfer"),
    Verb("account.create", CreateAccount, Risk.ACCOUNT, "account.disable"),
    Verb("account.update", UpdateAccount, Risk.ACCOUNT, "account.update", desired_state=True),
    Verb("account.set_group", SetGroup, Risk.ACCOUNT, "account.set_group", desired_state=True),
    Verb("account.set_leverage", SetLeverage, Risk.ACCOUNT, "account.set_leverage", desired_state=True),
    Verb("account.enable", Nothing, Risk.ACCOUNT, "account.disable", desired_state=True),
    Verb("account.disable", Nothing, Risk.ACCOUNT, "account.enable", desired_state=True),
    Verb("account.enable_trading", Nothing, Risk.ACCOUNT, "account.disable_trading", desired_state=True),
    Verb("account.disable_trading", Nothing, Risk.ACCOUNT, "account.enable_trading", desired_state=True),
    Verb("account.set_password", Password, Risk.ACCOUNT),
    Verb("account.check_password", Password, Risk.ACCOUNT, desired_state=True),
    Verb("account.verify_password", Password, Risk.ACCOUNT, desired_state=True),
    Verb("account.archive", Nothing, Risk.ACCOUNT, desired_state=True),
    Verb("account.disconnect", Nothing, Risk.ACCOUNT, desired_state=True),
    Verb("position.close", ClosePosition, Risk.TRADING),
    Verb("position.close_all", CloseAll, Risk.TRADING, desired_state=True),
    Verb("position.modify", ModifyPosition, Risk.TRADING, "position.modify", desired_state=True),
    Verb("order.cancel", CancelOrder, Risk.TRADING, desired_state=True),
    Verb("order.cancel_all", CancelAll, Risk.TRADING, desired_state=True),
    Verb("trade.create", CreateTrade, Risk.TRADING, approval=True),
    Verb("trade.correct", CorrectTrade, Risk.TRADING, approval=True),
    Verb("group.create", Configure, Risk.CONFIGURATION, "group.disable", approval=True),
    Verb("group.update", Configure, Risk.CONFIGURATION, "group.update", desired_state=True, approval=True),
    Verb("group.enable", Configure, Risk.CONFIGURATION, "group.disable", desired_state=True, approval=True),
    Verb("group.disable", Configure, Risk.CONFIGURATION, "group.enable", desired_state=True, approval=True),
    Verb(
        "group.set_symbols",
        Configure,
        Risk.CONFIGURATION,
        "group.set_symbols",
        desired_state=True,
        approval=True,
    ),
    Verb("symbol.update", Configure, Risk.CONFIGURATION, "symbol.update", desired_state=True, approval=True),
    Verb(
        "symbol.set_swap", Configure, Risk.CONFIGURATION, "symbol.set_swap", desired_state=True, approval=True
    ),
    Verb(
        "symbol.set_sessions",
        Configure,
        Risk.CONFIGURATION,
        "symbol.set_sessions",
        desired_state=True,
        approval=True,
    ),
    Verb("event.publish", PublishEvent, Risk.NOTIFY),
    Verb("notify.email", SendMail, Risk.NOTIFY),
    Verb("notify.sms", SendMessage, Risk.NOTIFY),
    Verb("notify.push", SendMessage, Risk.NOTIFY),
    Verb("notify.chat", SendMessage, Risk.NOTIFY),
    Verb("notify.page", SendMessage, Risk.NOTIFY),
    Verb("message.mail", PlatformMail, Risk.NOTIFY),
    Verb("http.request", HttpRequest, Risk.INTEGRATION),
    Verb("crm.upsert", WriteRecord, Risk.INTEGRATION),
    Verb("crm.note", WriteNote, Risk.INTEGRATION),
    Verb("crm.activity", LogActivity, Risk.INTEGRATION),
    Verb("task.open", OpenTask, Risk.INTEGRATION),
)

PUBLISH = "event.publish"
VERBS = {verb.name: verb for verb in _VERBS}

# Parameters the hub itself writes beside those of a workflow: which version of a message it said.
WRITTEN_BY_HUB = frozenset({"template_version"})

# Parameters a person reads: these are Jinja2 text, every other value is a literal or an expression. In `html` values are escaped.
HUMAN_TEXT = frozenset({"text", "html", "subject", "comment", "url", "title"})
