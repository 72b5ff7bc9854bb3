"""What an operator says about a source: where it is, how to sign in, and how often to look."""

from datetime import timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from hub.durations import span
from hub.events.base import Login, Name, ServerName, Text
from hub.ingest.fields import LARGEST_FRAME

# Written 30s, 5m, 2h; a number is seconds.
Span = Annotated[timedelta, BeforeValidator(span)]
Interval = Annotated[Span, Field(gt=timedelta(0), le=timedelta(days=1))]


AccountType = Literal["real", "demo", "contest"]
USUAL_TYPES: dict[str, AccountType] = {"real*": "real", "demo*": "demo", "contest*": "contest"}


class SourceSettings(BaseModel):
    """What every connector needs. `zone` is the trading server's, as in ``Europe/Nicosia``; or give a fixed offset.

    Of several connectors to one server one is `authoritative`: it alone tells what has no number, such as a moved stop
    loss or another group. Deals and tickets are told by all, and stored once.
    `account_types` maps masks of groups to what their accounts are, first match wins; a group no mask names stays unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ServerName
    server: ServerName
    url: Annotated[str, Field(max_length=2048)]
    account_types: dict[Name, AccountType] = USUAL_TYPES
    zone: Name | None = None
    authoritative: bool = True
    utc_offset: Annotated[timedelta, Field(ge=timedelta(hours=-14), le=timedelta(hours=14))] | None = None
    reconcile_open: Interval = timedelta(seconds=60)
    reconcile_history: Interval = timedelta(minutes=15)
    overlap: Interval = timedelta(minutes=5)
    confirm_after: Interval = timedelta(seconds=2)
    answer_within: Interval = timedelta(seconds=30)
    stale_after: Interval = timedelta(seconds=20)
    retry_first: Interval = timedelta(milliseconds=500)
    retry_longest: Interval = timedelta(seconds=60)
    largest_frame: Annotated[int, Field(ge=65_536, le=64 * 1024 * 1024)] = LARGEST_FRAME
    most_waiting: Annotated[int, Field(ge=100, le=1_000_000)] = 50_000
    most_rows: Annotated[int, Field(ge=100, le=1_000_000)] = 200_000

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, zone: str | None) -> str | None:
        try:
            return zone and ZoneInfo(zone).key
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"no time zone is called {zone!r}: use a name such as Europe/Nicosia") from error


class MtRemoteSettings(SourceSettings):
    """An MT4 server behind MT Remote. `equity` polls for equity samples, which this gateway does not send by itself.

    `quotes` names the symbols whose prices it shall send.
    """

    kind: Literal["mt_remote"] = "mt_remote"
    auth: Literal["connect_call", "headers"] = "connect_call"
    mt_server: Text = ""
    login: Login
    password: SecretStr
    reconnect_delay: Interval = timedelta(seconds=1)
    equity: bool = False
    equity_every: Interval = timedelta(seconds=1)
    quotes: Annotated[tuple[Name, ...], Field(max_length=500)] = ()
    history_calls: Annotated[int, Field(ge=1, le=64)] = 8

    @field_validator("url")
    @classmethod
    def _is_a_socket(cls, url: str) -> str:
        if not url.startswith(("ws://", "wss://")):
            raise ValueError("the address of MT Remote starts with wss://, or ws:// inside your own network")
        return url

    @model_validator(mode="after")
    def _has_a_clock(self) -> Self:
        if self.zone is None and self.utc_offset is None:
            raise ValueError(
                "MT Remote does not tell its server's time zone: set zone (such as Europe/Nicosia) or utc_offset"
            )
        return self


class TraderAccount(BaseModel):
    """One account and its password; the investor password is enough, the connector only reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    login: Login
    password: SecretStr
    group: Text | None = None


class Mt5RestSettings(SourceSettings):
    """MT5 accounts behind mt5rest, which signs in as each trader. Its gateway tells the clock; `zone` helps with the past."""

    kind: Literal["mt5rest"] = "mt5rest"
    mt_host: Text = ""
    mt_port: Annotated[int, Field(ge=1, le=65_535)] = 443
    accounts: Annotated[tuple[TraderAccount, ...], Field(min_length=1, max_length=10_000)]
    equity: bool = True
    equity_every: Interval = timedelta(milliseconds=500)
    connects_at_once: Annotated[int, Field(ge=1, le=64)] = 4

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError(
                "the address of mt5rest starts with https://, or http:// inside your own network"
            )
        return url.rstrip("/")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        logins = [account.login for account in self.accounts]
        if len(set(logins)) != len(logins):
            raise ValueError("an account is listed twice: give each login once")
        return self
