"""What an operator says about Kafka: where it is, how to sign in, and how the hub's topics are made."""

import re
import ssl
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypedDict

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
from hub.errors import ConfigError
from hub.passwords import read_password

RETENTION: Final = timedelta(days=7)
_SERVER: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}")


class Security(StrEnum):
    PLAINTEXT = "plaintext"
    SSL = "ssl"
    SASL_PLAINTEXT = "sasl_plaintext"
    SASL_SSL = "sasl_ssl"

    @property
    def encrypts(self) -> bool:
        return self in {Security.SSL, Security.SASL_SSL}

    @property
    def signs_in(self) -> bool:
        return self in {Security.SASL_PLAINTEXT, Security.SASL_SSL}


class Connecting(TypedDict):
    """The options every kind of client takes."""

    bootstrap_servers: list[str]
    client_id: str
    security_protocol: str
    ssl_context: ssl.SSLContext | None
    sasl_mechanism: str
    sasl_plain_username: str | None
    sasl_plain_password: str | None


def _listed(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


class KafkaSettings(BaseModel):
    """`replication` and `retention` count when the hub makes its topics; of topics that are there they are checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    servers: Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1, max_length=64)]
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "hub"
    security: Security = Security.PLAINTEXT
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    replication: Annotated[int, Field(ge=1, le=32)] = 3
    retention: Annotated[timedelta, BeforeValidator(span)] = RETENTION

    @property
    def live(self) -> str:
        return f"{self.prefix}.live"

    @property
    def bulk(self) -> str:
        return f"{self.prefix}.bulk"

    @property
    def samples(self) -> str:
        return f"{self.prefix}.samples"

    @field_validator("servers")
    @classmethod
    def _are_servers(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for server in servers:
            if not _SERVER.fullmatch(server) or not 1 <= int(server.rpartition(":")[2]) <= 65_535:
                raise ValueError(f"{server[:300]!r} is no server: write host:port, as in kafka-1:9092")
        return servers

    @field_validator("retention")
    @classmethod
    def _outlasts_an_outage(cls, retention: timedelta) -> timedelta:
        if retention < RETENTION:
            raise ValueError(
                f"what waits for the hub has to outlast a long outage: keep it {RETENTION.days}d or longer"
            )
        return retention

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.security.encrypts and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError(
                "certificates are for security ssl or sasl_ssl: set one of them, or leave the files out"
            )
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError(
                "a certificate and its key go together: give both cert_file and key_file, or neither"
            )
        secrets = [secret for secret in (self.password, self.password_file) if secret is not None]
        if self.security.signs_in and (self.username is None or len(secrets) != 1):
            raise ValueError(
                f"security {self.security} signs in: give username, and either password or password_file"
            )
        if not self.security.signs_in and (self.username is not None or secrets):
            raise ValueError(
                "a username and a password are for security sasl_ssl or sasl_plaintext: set one of them, or leave them out"
            )
        return self

    def connecting(self) -> Connecting:
        """Return the options for a client; raises ConfigError when a file cannot be used."""
        return Connecting(
            bootstrap_servers=list(self.servers),
            client_id=f"{self.prefix}-hub",
            security_protocol=self.security.name,
            ssl_context=self._tls() if self.security.encrypts else None,
            sasl_mechanism=self.mechanism if self.security.signs_in else "PLAIN",
            sasl_plain_username=self.username,
            sasl_plain_password=self._secret(),
        )

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"bus.kafka.ca_file {self.ca_file} cannot be used ({error}): name a readable PEM file of the brokers' CA"
            ) from error
        if self.cert_file and self.key_file:
            try:
                # An empty password: a locked key is an error here, and not a question on the terminal.
                context.load_cert_chain(self.cert_file, self.key_file, password="")
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(
                    f"bus.kafka.cert_file {self.cert_file} and bus.kafka.key_file {self.key_file} cannot be used ({error}): "
                    "name readable PEM files, a key that is not locked, and the two of one pair"
                ) from error
        return context

    def _secret(self) -> str | None:
        if self.password is not None:
            return self.password.get_secret_value()
        return read_password(self.password_file, "bus.kafka.password_file") if self.password_file else None
