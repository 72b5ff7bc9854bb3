"""The manager backend over MT Remote: money by order.balance with a tag, account fields by reading, comparing, writing.

An ERROR answer is a definite no, except where its words say that the gateway lost its server: then nobody knows.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, final

import msgspec
from pydantic import ValidationError
from typing_extensions import override

from hub.clock import MICROSECOND, to_us
from hub.dispatch.channels.mt_remote_client import MtRemoteClient, MtRemoteSettings
from hub.dispatch.channels.mt_remote_standing import standing
from hub.dispatch.channels.server_clock import parse_zone, server_seconds
from hub.dispatch.effects.backend import (
    Applied,
    Doubtful,
    Executed,
    Fields,
    Found,
    ManagerBackend,
    NotFound,
    NotSent,
    ReadsAccounts,
    Refused,
    Seen,
    Unknown,
    Unreadable,
)
from hub.errors import HubError, ManagerError, ManagerRefused, ManagerUnavailable, OutcomeUnknown
from hub.ids import tag_of
from hub.intents.intent import Intent
from hub.intents.verbs import VERBS, MoveCredit, MoveMoney, Params, SetGroup, SetLeverage

# A tag is unique, so a wide window costs a few rows, and a zone that is set wrongly or changes costs nothing.
LOOK_BACK = timedelta(hours=24)
SKEW = timedelta(minutes=5)
LARGEST_AMOUNT = Decimal(1_000_000_000)
_TOKEN = 19  # characters: H1: and sixteen of base32
_PREFIX = "H1:"
_LINK_WORDS = ("connect", "timeout", "timed out", "no answer", "no reply", "busy")


class _Cash(NamedTuple):
    command: str
    sign: int


_MONEY = {
    "balance.deposit": _Cash("balance", 1),
    "balance.withdraw": _Cash("balance", -1),
    "credit.grant": _Cash("credit", 1),
    "credit.remove": _Cash("credit", -1),
}
_FLAGS: dict[str, tuple[str, bool]] = {
    "account.enable": ("enable", True),
    "account.disable": ("enable", False),
    "account.enable_trading": ("read_only", False),
    "account.disable_trading": ("read_only", True),
}
OFFERS = frozenset({*_MONEY, *_FLAGS, "account.set_group", "account.set_leverage"})


class _User(msgspec.Struct, frozen=True):
    login: int
    group: str
    enable: bool
    read_only: bool
    leverage: int
    balance: Decimal = Decimal(0)
    credit: Decimal = Decimal(0)


class _Row(msgspec.Struct, frozen=True):
    order: int
    login: int
    cmd: str
    profit: Decimal
    open_time: int
    comment: str = ""


class _Order(msgspec.Struct, frozen=True):
    order: int


_decode_users = msgspec.json.Decoder(list[_User]).decode
_decode_rows = msgspec.json.Decoder(list[_Row]).decode
_decode_order = msgspec.json.Decoder(_Order).decode


class _Impossible(HubError):
    """An intent this backend cannot carry out, whoever asks."""


@final
class MtRemoteBackend(ManagerBackend, ReadsAccounts):
    def __init__(self, settings: MtRemoteSettings, client: MtRemoteClient) -> None:
        self._settings = settings
        self._client = client
        self._zone = parse_zone(settings.zone)

    @property
    @override
    def server(self) -> str:
        return self._settings.server

    @property
    @override
    def offers(self) -> frozenset[str]:
        return OFFERS

    @property
    @override
    def simulated(self) -> bool:
        return self._settings.simulated

    @override
    async def execute(self, intent: Intent) -> Executed:
        try:
            params = _params(intent)
            user = await self._user(_login(intent))
        except _Impossible as problem:
            return Refused(str(problem))
        except ManagerRefused as answer:
            # The read was refused, so nothing was written: a link that is down comes back, an unknown login does not.
            reason = str(answer)
            return NotSent(reason) if _speaks_of_the_link(reason) else Refused(reason)
        except ManagerError as problem:
            return NotSent(str(problem))
        if intent.verb in _MONEY:
            return await self._move_money(intent, params, user)
        return await self._set(intent, params, user)

    @override
    async def look(self, intent: Intent) -> Seen:
        try:
            params = _params(intent)
            if intent.verb in _MONEY:
                return await self._look_for_money(intent, params)
            user = await self._user(_login(intent))
        except (_Impossible, ManagerError) as problem:
            return Unreadable(str(problem))
        wanted = _wanted(intent.verb, params)
        now = _fields(user)
        return Found(after=now) if all(now[name] == value for name, value in wanted.items()) else NotFound()

    @override
    async def read(self, account: str) -> Fields | Refused | Unreadable:
        """Return what this gateway tells: no margin."""
        try:
            user = await self._user(_login_of(account))
            result = await self._client.read(
                "trades.get.by_login", {"login": user.login, "group": user.group}
            )
            return standing(
                result,
                group=user.group,
                leverage=user.leverage,
                enabled=user.enable,
                trading_enabled=not user.read_only,
                balance=user.balance,
                credit=user.credit,
            )
        except _Impossible as problem:
            return Refused(str(problem))
        except ManagerError as problem:
            return Unreadable(str(problem))

    # --- money

    async def _move_money(self, intent: Intent, params: Params, user: _User) -> Executed:
        cash = _MONEY[intent.verb]
        amount = _amount(params)
        if amount > LARGEST_AMOUNT:
            return Refused(f"{amount} is more than the platform books in one operation ({LARGEST_AMOUNT})")
        data: dict[str, Any] = {
            "login": user.login,
            "command": cash.command,
            "amount": cash.sign * amount,
            "comment": _tag(intent, params),
        }
        if isinstance(params, MoveCredit) and params.expires_at is not None:
            data["expiration"] = self._whole_hour(params.expires_at)
        before = {"balance": str(user.balance), "credit": str(user.credit)}
        answer = await self._write("order.balance", data)
        if not isinstance(answer, msgspec.Raw):
            return Refused(answer.reason, before) if isinstance(answer, Refused) else answer
        try:
            return Applied(_decode_order(answer).order, before)
        except msgspec.DecodeError:
            return Unknown("the gateway answered OK with something that names no ticket")

    async def _look_for_money(self, intent: Intent, params: Params) -> Seen:
        cash = _MONEY[intent.verb]
        amount = cash.sign * _amount(params)
        sent_at = intent.at if intent.sent_at is None else intent.sent_at
        since = server_seconds(sent_at - LOOK_BACK // MICROSECOND, self._zone)
        rows = await self._history(_login(intent), since)
        token = _tag(intent, params)[:_TOKEN]
        tagged = {row.order: row for row in rows if token in row.comment}
        if tagged:
            wrong = [row for row in tagged.values() if row.cmd != cash.command or row.profit != amount]
            if wrong:
                return Doubtful(
                    f"ticket {wrong[0].order} carries the tag but books {wrong[0].profit}, not {amount}"
                )
            return Found(tuple(sorted(tagged)))
        nearby = server_seconds(sent_at - SKEW // MICROSECOND, self._zone)
        twins = sorted(
            {
                row.order
                for row in rows
                if row.cmd == cash.command
                and row.profit == amount
                and row.open_time >= nearby
                and not _whole_tag(row.comment)
            }
        )
        if twins:
            # Comments can be cut or rewritten by the server's plugins: sending again on top of this could pay twice.
            return Doubtful(
                f"ticket {twins[0]} books the same amount without a tag: it may be this operation",
                tuple(twins),
            )
        return NotFound()

    async def _history(self, login: int, since: int) -> list[_Row]:
        result = await self._client.read("trades.history", {"login": login, "from": since})
        try:
            rows = _decode_rows(result)
        except msgspec.DecodeError as problem:
            raise ManagerUnavailable(f"the history could not be read: {problem}") from problem
        if any(row.login != login for row in rows):
            raise ManagerUnavailable("the history holds rows of another login")
        return rows

    def _whole_hour(self, moment: datetime) -> int:
        """Return the expiry by the server's clock, rounded up: MT4 takes whole hours only."""
        seconds = server_seconds(to_us(moment.astimezone(UTC)), self._zone)
        return -(-seconds // 3600) * 3600

    # --- account fields

    async def _set(self, intent: Intent, params: Params, user: _User) -> Executed:
        """Compare, write only what differs, and read back: doing it again changes nothing."""
        wanted = _wanted(intent.verb, params)
        before = {name: value for name, value in _fields(user).items() if name in wanted}
        if before == wanted:
            return Applied(before=before, after=before)
        if (
            isinstance(params, SetGroup)
            and params.expect_group is not None
            and user.group != params.expect_group
        ):
            return Refused(
                f"the account is in {user.group}, not in the expected {params.expect_group}: somebody moved it",
                before,
            )
        answer = await self._write("user.set", {"login": user.login, **wanted})
        if not isinstance(answer, msgspec.Raw):
            return Refused(answer.reason, before) if isinstance(answer, Refused) else answer
        try:
            now = _fields(await self._user(user.login))
        except ManagerError as problem:
            return Unknown(f"written, but it could not be read back: {problem}")
        after = {name: now[name] for name in wanted}
        if after != wanted:
            return Unknown("written, but reading it back shows something else")
        return Applied(before=before, after=after)

    # --- talking to the gateway

    async def _user(self, login: int) -> _User:
        result = await self._client.read("users.get", {"logins": [login]})
        try:
            users = _decode_users(result)
        except msgspec.DecodeError as problem:
            raise ManagerUnavailable(f"the account could not be read: {problem}") from problem
        found = [user for user in users if user.login == login]
        if not found:
            raise ManagerRefused(f"the server knows no account {login}")
        return found[0]

    async def _write(self, name: str, data: Mapping[str, Any]) -> msgspec.Raw | Refused | Unknown | NotSent:
        """Send once."""
        try:
            return await self._client.call(name, data)
        except ManagerRefused as answer:
            reason = str(answer)
            return Unknown(reason) if _speaks_of_the_link(reason) else Refused(reason)
        except OutcomeUnknown as problem:
            return Unknown(str(problem))
        except ManagerUnavailable as problem:
            return NotSent(str(problem))


def _params(intent: Intent) -> Params:
    try:
        return VERBS[intent.verb].params.model_validate_json(intent.params)
    except (ValidationError, KeyError) as problem:
        raise _Impossible(f"the parameters of {intent.verb} cannot be read: {problem}") from problem


def _login(intent: Intent) -> int:
    return _login_of(intent.account)


def _login_of(account: str) -> int:
    _, _, login = account.rpartition(":")
    if not (login.isascii() and login.isdigit()):
        raise _Impossible(f"{account!r} names no account: it must be server:login")
    return int(login)


def _amount(params: Params) -> Decimal:
    assert isinstance(params, MoveMoney | MoveCredit)
    return params.amount


def _tag(intent: Intent, params: Params) -> str:
    label = (
        params.comment if isinstance(params, MoveMoney | MoveCredit) and params.comment else intent.workflow
    )
    return tag_of(intent.key, label)


def _whole_tag(comment: str) -> bool:
    """Say whether the comment carries some other operation's whole token: then the row is not ours."""
    start = comment.find(_PREFIX)
    return start >= 0 and len(comment) - start >= _TOKEN


def _wanted(verb: str, params: Params) -> dict[str, Any]:
    if verb in _FLAGS:
        name, value = _FLAGS[verb]
        return {name: value}
    if isinstance(params, SetGroup):
        return {"group": params.group}
    assert isinstance(params, SetLeverage)
    return {"leverage": params.leverage}


def _fields(user: _User) -> dict[str, Any]:
    return {
        "group": user.group,
        "enable": user.enable,
        "read_only": user.read_only,
        "leverage": user.leverage,
    }


def _speaks_of_the_link(message: str) -> bool:
    lowered = message.lower()
    return any(word in lowered for word in _LINK_WORDS)
