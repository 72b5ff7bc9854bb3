"""Access tokens of a Google service account: asked for with a signed grant, kept until shortly before they end."""

import asyncio
import json
from datetime import timedelta
from typing import Any, Final, final
from urllib.parse import urlencode

import yarl
from google.auth import crypt, jwt
from pydantic import SecretStr

from hub.clock import SECOND_US, Clock
from hub.dispatch.addresses import Networks
from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.channels.one_exchange import Lost, NotSent, exchange
from hub.dispatch.endpoint_url import EndpointUrlInvalid, parse_endpoint_url
from hub.errors import ConfigError

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_S: Final = 3_600
_EARLY_US: Final = 300 * SECOND_US  # a token that ends on its way is of no use
_WITHIN: Final = timedelta(seconds=15)


class NoToken(Exception):
    """No token could be had; the text says why, for a person, and holds no secret."""


@final
class ServiceAccount:
    """`account` is the file Google hands out, as JSON. One process asks for one token at a time."""

    def __init__(
        self,
        account: SecretStr,
        clock: Clock,
        way_out: WayOut,
        *,
        allow_loopback: bool = False,
        networks: Networks = (),
    ) -> None:
        """Make it ready; raises ConfigError for what is no service account."""
        try:
            info: Any = json.loads(account.get_secret_value())
            self.project = str(info["project_id"])
            self._email = str(info["client_email"])
            self._url = str(info["token_uri"])
            self._signer = crypt.RSASigner.from_service_account_info(info)  # type: ignore[no-untyped-call]  # as below
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"push: the service account cannot be used ({type(error).__name__}): give the JSON file of its key as it was"
                " downloaded"
            ) from None
        try:
            parse_endpoint_url(self._url, allow_loopback=allow_loopback, networks=networks)
        except EndpointUrlInvalid as error:
            raise ConfigError(f"push: token_uri of the service account: {error}") from None
        if not self._url.startswith("https://") and not allow_loopback:
            raise ConfigError("push: token_uri of the service account begins with https://")
        self._clock = clock
        self._way_out = way_out
        self._token = ""
        self._until = 0
        self._asking = asyncio.Lock()

    async def token(self, *, instead_of: str = "") -> str:
        """Return a token, another one than `instead_of`, which was refused. Raises NoToken."""
        async with self._asking:  # of many who need one, the first asks
            fresh = self._clock.now_us() < self._until - _EARLY_US
            if not self._token or not fresh or self._token == instead_of:
                await self._ask()
            return self._token

    async def _ask(self) -> None:
        now_us = self._clock.now_us()
        now = now_us // SECOND_US
        claims = {
            "iss": self._email,
            "scope": SCOPE,
            "aud": self._url,
            "iat": now,
            "exp": now + _LIFE_S,
        }
        assertion: bytes = jwt.encode(self._signer, claims)  # type: ignore[no-untyped-call]  # the library tells no types
        found = await exchange(
            self._way_out,
            "POST",
            yarl.URL(self._url),
            {"Content-Type": "application/x-www-form-urlencoded"},
            urlencode({"grant_type": _GRANT, "assertion": assertion.decode()}).encode(),
            _WITHIN,
        )
        if isinstance(found, NotSent | Lost):
            raise NoToken(f"no access token: {found.reason}")
        status, said = found.status, found.json()
        token, life = said.get("access_token"), said.get("expires_in")
        if (
            not 200 <= status < 300
            or not isinstance(token, str)
            or not token.isascii()
            or not token.isprintable()
        ):
            why = said.get("error")
            raise NoToken(
                f"no access token: answered {status}" + (f", {why[:60]}" if isinstance(why, str) else "")
            )
        seconds = life if isinstance(life, int) and 0 < life <= _LIFE_S else _LIFE_S
        self._token, self._until = token, now_us + seconds * SECOND_US
