"""Every setting: `hub.yaml`, then HUB_SECTION__NAME in the environment, then a flag; the last one wins.

One tree, read once. Each component is handed its own section.
"""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from hub.bus.kafka.settings import KafkaSettings
from hub.config_sources import from_environment, from_file, merge, worded
from hub.dispatch.addresses import in_house
from hub.dispatch.channels.chat_settings import TeamSettings
from hub.dispatch.channels.crm.object_settings import ProfileName
from hub.dispatch.channels.crm.settings import CrmSettings
from hub.dispatch.channels.email_settings import EmailSettings
from hub.dispatch.channels.kafka_endpoint_settings import KafkaEndpointSettings
from hub.dispatch.channels.kafka_stream_settings import KafkaStreamSettings
from hub.dispatch.channels.mt_remote_client import MtRemoteSettings as ManagerSettings
from hub.dispatch.channels.push_settings import PushSettings
from hub.dispatch.channels.sms_twilio import SmsSettings
from hub.dispatch.contacts import ContactLimit
from hub.dispatch.public_links import PublicSettings
from hub.dispatch.schedule import MAX_WAITS, Wait
from hub.durations import span
from hub.errors import ConfigError
from hub.events.base import Currency, Name
from hub.ingest.contracts import Contract
from hub.ingest.rates import RateSetting
from hub.ingest.settings import Mt5RestSettings, MtRemoteSettings
from hub.intents.contact import Category
from hub.intents.http_request import SecretName
from hub.passwords import read_password
from hub.sealing import SealRing

Port = Annotated[int, Field(ge=0, le=65_535)]
Duration = Annotated[timedelta, BeforeValidator(span)]
# Scheme and host exactly as a browser says them: no path, no wildcard, no slash at the end.
Origin = Annotated[
    str, StringConstraints(pattern=r"^https?://[a-z0-9]([a-z0-9.-]{0,252}[a-z0-9])?(:[0-9]{1,5})?$")
]
SourceKind = Annotated[MtRemoteSettings | Mt5RestSettings, Field(discriminator="kind")]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Listen(Section):
    """Where the hub's own API answers. Anything but loopback is a decision somebody has to write down."""

    host: str = "127.0.0.1"
    port: Port = 8800
    allow_remote: bool = False

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


class Api(Section):
    """`cors_origins`: pages of other hosts that may read accounts and streams, with a client's token, in a browser.

    `streams` is how many may be open at once, here and by one key.
    """

    cors_origins: Annotated[tuple[Origin, ...], Field(max_length=64)] = ()
    streams: Annotated[int, Field(ge=1, le=100_000)] = 4_000
    streams_per_key: Annotated[int, Field(ge=1, le=100_000)] = 2_500


class Actions(Section):
    """How long a manager action whose answer was lost is left alone before anybody looks, by the damage a double does."""

    money_quiesce: Duration = timedelta(seconds=60)
    state_quiesce: Duration = timedelta(seconds=5)
    between_looks: Duration = timedelta(seconds=10)


InHouse = Annotated[IPv4Network | IPv6Network, BeforeValidator(in_house)]


class Delivering(Section):
    """`schedule` holds the waits before each attempt, in seconds; `concurrency` is per endpoint.

    `at_once` is for all endpoints of a process; left out, it follows from how many files the process may have open.

    `origin` is who the hub says it is when it asks a receiver whether it wants to be called.

    `longest_pause` is how far a receiver's Retry-After is listened to; `disable_after` how long an endpoint may fail,
    and nothing disables one where it is 0.

    `allow_networks` are in-house ones deliveries may reach beside public addresses.
    """

    timeout: Duration = timedelta(seconds=15)
    concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    at_once: Annotated[int, Field(ge=4, le=1_000_000)] | None = None
    schedule: Annotated[tuple[Wait, ...], Field(max_length=MAX_WAITS)] | None = None
    longest_pause: Annotated[Duration, Field(gt=timedelta(), le=timedelta(days=7))] = timedelta(days=1)
    disable_after: Annotated[Duration, Field(ge=timedelta(), le=timedelta(days=90))] = timedelta(days=5)
    allow_loopback_endpoints: bool = False
    origin: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$")] = "hub"
    kafka: KafkaEndpointSettings | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        """Return the topics endpoints may be made for."""
        return () if self.kafka is None else self.kafka.topics

    allow_networks: Annotated[tuple[InHouse, ...], Field(max_length=64)] = ()


class Backtesting(Section):
    """How much a backtest that is asked for over HTTP may take; `hub backtest` has no such bound."""

    longest: Duration = timedelta(minutes=10)
    events: Annotated[int, Field(ge=1, le=1_000_000_000)] = 5_000_000

    @field_validator("longest")
    @classmethod
    def _some_time(cls, value: timedelta) -> timedelta:
        if not timedelta(seconds=1) <= value <= timedelta(hours=6):
            raise ValueError("a backtest may take between 1s and 6h")
        return value


class Keep(Section):
    """How long rows stay; numbered keys, money and audit stay for ever."""

    input: Duration = timedelta(days=400)
    hashed_keys: Duration = timedelta(days=35)
    attempts: Duration = timedelta(days=30)
    traces: Duration = timedelta(days=30)

    @field_validator("hashed_keys")
    @classmethod
    def _not_too_short(cls, value: timedelta) -> timedelta:
        if value < timedelta(days=35):
            raise ValueError(
                "posted events are recognised as duplicates for 35 days: keep hashed keys at least as long"
            )
        return value


class Store(Section):
    """`postgres` is the address of the store past one machine. Its password is better in a file of its own."""

    postgres: SecretStr | None = None
    password_file: Path | None = None
    connections: Annotated[int, Field(ge=2, le=100)] = 8

    def address(self) -> str:
        """Return the address with its password; raises ConfigError when the file it is in cannot be used."""
        assert self.postgres is not None
        address = self.postgres.get_secret_value()
        if self.password_file is None:
            return address
        password = read_password(self.password_file, "store.password_file")
        try:
            parts = urlsplit(address)
        except ValueError:
            return address  # whoever connects says what is wrong with it
        user, at, host = parts.netloc.rpartition("@")
        if ":" in user:
            raise ConfigError(
                "store.postgres holds a password and store.password_file is set: keep one of them"
            )
        if not user:
            raise ConfigError(
                "store.password_file needs a user in store.postgres: write postgresql://user@host:5432/name"
            )
        return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}{at}{host}"))


class Bus(Section):
    """`kafka` is the inbox past one machine: where facts wait for the process that owns their partition."""

    kafka: KafkaSettings | None = None


class Leasing(Section):
    """How long what a process owns stays with it when it is no longer heard of, and how long before that it stops by itself."""

    duration: Duration = timedelta(seconds=10)
    margin: Duration = timedelta(seconds=2)

    @model_validator(mode="after")
    def _leaves_time_to_work(self) -> Self:
        if not timedelta(seconds=0.5) <= self.duration <= timedelta(minutes=10):
            raise ValueError("a lease is held between 500ms and 10m: 10s suits most")
        if not timedelta() < self.margin <= self.duration / 4:
            raise ValueError("the margin must be more than nothing and at most a quarter of the duration")
        return self


class SecretFile(Section):
    """A secret in a file of its own, which only the hub can read."""

    file: Path


class Sealing(Section):
    """What signing keys and secret headers of endpoints are sealed with in the store.

    A key, or a file with one on each line: the first seals, all of them open.
    """

    key: SecretStr | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _is_in_one_place(self) -> Self:
        if self.key is not None and self.key_file is not None:
            raise ValueError("the key stands in one place: keep key or key_file")
        return self

    def ring(self) -> SealRing | None:
        """Return the keys, None where there are none; raises ConfigError for what is no key."""
        if self.key_file is not None:
            return SealRing.of_file(self.key_file)
        return None if self.key is None else SealRing(self.key.get_secret_value().split(","))


DEFAULT_SYMBOLS = {
    "XAU*": "metals", "XAG*": "metals", "XPT*": "metals", "XPD*": "metals",
    "BTC*": "crypto", "ETH*": "crypto", "XRP*": "crypto", "LTC*": "crypto",
    "US30*": "indices", "US500*": "indices", "NAS100*": "indices", "GER40*": "indices", "UK100*": "indices", "JP225*": "indices",
    "XTI*": "energies", "XBR*": "energies", "XNG*": "energies",
    "EUR???*": "fx", "GBP???*": "fx", "USD???*": "fx", "AUD???*": "fx", "NZD???*": "fx", "CAD???*": "fx", "CHF???*": "fx",
}  # fmt: skip


class Settings(BaseSettings):
    """`symbols` maps masks to classes, first match wins; a symbol no mask names has no class, never a guessed one.

    `rates` and the file say what one unit of a currency is worth in the base currency; the file wins.
    `secrets` are what workflows name and never see. `templates` is the folder of messages workflows name, if it is not
    the one of that name beside them. `undeclared_events` says what becomes of a custom event that no file declares.
    """

    model_config = SettingsConfigDict(
        env_prefix="HUB_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    listen: Listen = Listen()
    api: Api = Api()
    data: Path = Path("data")
    store: Store = Store()
    bus: Bus = Bus()
    leases: Leasing = Leasing()
    workflows: tuple[Path, ...] = (Path("workflows"),)
    templates: Path | None = None
    undeclared_events: Literal["accept", "refuse"] = "accept"
    base_currency: Currency = "USD"
    rates: dict[Currency, RateSetting] = {}
    rates_file: Path | None = None
    rates_max_age: Duration = timedelta(days=7)
    contracts: dict[Name, Contract] = {}
    symbols: dict[Name, Name] = DEFAULT_SYMBOLS
    contact_policy: dict[Category, ContactLimit] = {}
    sources: tuple[SourceKind, ...] = ()
    managers: tuple[ManagerSettings, ...] = ()
    actions: Actions = Actions()
    mail: EmailSettings | None = None
    sms: SmsSettings | None = None
    push: PushSettings | None = None
    chat: TeamSettings | None = None
    page: TeamSettings | None = None
    crm: Annotated[dict[ProfileName, CrmSettings], Field(max_length=16)] = {}
    public: PublicSettings | None = None
    delivering: Delivering = Delivering()
    keep: Keep = Keep()
    sealing: Sealing = Sealing()
    backtests: Backtesting = Backtesting()
    stream: KafkaStreamSettings | None = None
    secrets: Annotated[dict[SecretName, SecretFile | SecretStr], Field(max_length=256)] = {}
    arm: bool = False

    @property
    def is_scaled(self) -> bool:
        """Return whether this hub is several processes on Kafka and PostgreSQL."""
        return self.store.postgres is not None

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # What is passed in are the flags merged over the file by `load`; the environment stands between them.
        return (init_settings,)


def load(path: Path | None, flags: dict[str, Any] | None = None) -> Settings:
    """Return the settings; raises ConfigError with every problem, each naming its place and its fix."""
    document = from_file(path) if path else None
    tree: dict[str, Any] = document.data() if document else {}
    merge(tree, from_environment(Settings.model_fields))
    merge(tree, flags or {})
    try:
        settings = Settings(**tree)
    except ValidationError as error:
        raise ConfigError("\n".join(worded(document, problem) for problem in error.errors())) from error
    _refuse_exposure(settings)
    _refuse_half_a_shape(settings)
    return settings


def secrets_of(settings: Settings) -> dict[str, SecretStr]:
    """Return the secrets by name; raises ConfigError where the file of one cannot be used."""
    found: dict[str, SecretStr] = {}
    for name, given in settings.secrets.items():
        if isinstance(given, SecretFile):
            found[name] = SecretStr(read_password(given.file, f"secrets.{name}.file"))
        else:
            found[name] = given
    return found


def _refuse_exposure(settings: Settings) -> None:
    if not settings.listen.is_loopback and not settings.listen.allow_remote:
        raise ConfigError(
            f"listen.host {settings.listen.host} is reachable from other machines: put a TLS proxy in front of the hub and say "
            "listen.allow_remote: true, or listen on 127.0.0.1"
        )


def _refuse_half_a_shape(settings: Settings) -> None:
    if settings.store.password_file is not None and settings.store.postgres is None:
        raise ConfigError(
            "store.password_file is set and store.postgres is not: the password is for that address"
        )
    if (settings.store.postgres is None) != (settings.bus.kafka is None):
        there, missing = (
            ("store.postgres", "bus.kafka") if settings.store.postgres else ("bus.kafka", "store.postgres")
        )
        raise ConfigError(
            f"{there} is set and {missing} is not: past one machine the hub needs both, on one machine neither"
        )
