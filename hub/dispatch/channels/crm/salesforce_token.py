"""Access to Salesforce for a connected app: asked for with its secret or its key, kept until it is refused."""

import asyncio
import json
from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Any, Final, Protocol, final
from urllib.parse import urlencode

import yarl
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typing_extensions import override

from hub.clock import SECOND_US, Clock
from hub.dispatch.channels.crm.answers import NotNow
from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.channels.one_exchange import Lost, NotSent, Reply, exchange
from hub.dispatch.channels.rest import Rest
from hub.dispatch.endpoint_url import EndpointUrlInvalid, parse_endpoint_url
from hub.dispatch.schedule import parse_retry_after
from hub.errors import ConfigError

_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_S: Final = 180  # as long as Salesforce takes an assertion
_AFTER_A_NO_US: Final = 60 * SECOND_US
_SHORTEST_KEY: Final = 2_048
_LONGEST_CODE: Final = 60


class Grant(Protocol):
    def form(self, now_us: int) -> dict[str, str]:
        """Return what is sent for a token."""


@final
class SecretGrant(Grant):
    """The client credentials flow: the app acts for the user it was set up with."""

    def __init__(self, client_id: str, secret: str) -> None:
        self._form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}

    @override
    def form(self, now_us: int) -> dict[str, str]:
        return self._form


@final
class KeyGrant(Grant):
    """The JWT bearer flow: the app says, signed, whom it acts for."""

    def __init__(self, name: str, client_id: str, user: str, audience: str, key: str) -> None:
        """Make it ready; raises ConfigError for what is no private key."""
        try:
            found = load_pem_private_key(key.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"{name}: the private key cannot be used ({type(error).__name__}): give the PEM text of an RSA key that "
                "takes no password"
            ) from None
        if not isinstance(found, rsa.RSAPrivateKey) or found.key_size < _SHORTEST_KEY:
            raise ConfigError(f"{name}: the private key is no RSA key of at least {_SHORTEST_KEY} bits")
        self._key = found
        self._claims = {"iss": client_id, "sub": user, "aud": audience}

    @override
    def form(self, now_us: int) -> dict[str, str]:
        claims = {**self._claims, "exp": now_us // SECOND_US + _LIFE_S}
        signed = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), SHA256())
        return {"grant_type": _GRANT, "assertion": f"{signed}.{_plain64(signature)}"}


@final
class Access:
    """One token at a time; `base` is where the company's data answers, as Salesforce says when it gives a token."""

    def __init__(
        self,
        login_url: str,
        grant: Grant,
        way_out: WayOut,
        clock: Clock,
        within: timedelta,
        *,
        allow_loopback: bool = False,
    ) -> None:
        self._url = yarl.URL(f"{login_url}/services/oauth2/token")
        self._grant = grant
        self._way_out = way_out
        self._clock = clock
        self._within = within
        self._allow_loopback = allow_loopback
        self._token = ""
        self._base = ""
        self._no: NotNow | None = None
        self._rest = Rest(clock)  # after a no
        self._asking = asyncio.Lock()

    async def token(self, *, instead_of: str = "") -> tuple[str, str] | NotNow:
        """Return a token and its base: another token than `instead_of`, which was refused."""
        async with self._asking:  # of many who need one, the first asks
            if self._token and self._token != instead_of:
                return self._token, self._base
            left = self._rest.left_us()
            if self._no is not None and left:
                return NotNow(
                    self._no.reason, left
                )  # who cannot sign in does not try again with every record
            self._token = ""
            no = await self._ask()
            if no is not None:
                self._no = no
                self._rest.begin(max(no.after_us, _AFTER_A_NO_US))
                return no
            return self._token, self._base

    async def _ask(self) -> NotNow | None:
        form = urlencode(self._grant.form(self._clock.now_us())).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        found = await exchange(self._way_out, "POST", self._url, headers, form, self._within)
        if isinstance(found, NotSent | Lost):
            return NotNow(f"no access token: {found.reason}")
        said = found.json()
        token, base = said.get("access_token"), said.get("instance_url")
        if not 200 <= found.status < 300:
            return _refused(found, self._clock.now_us())
        if (
            not isinstance(token, str)
            or not token.isascii()
            or not token.isprintable()
            or not 0 < len(token) < 4_096
        ):
            return NotNow("no access token: the answer holds none")
        why = self._unfit(base)
        if why:
            return NotNow(f"no access token: instance_url {why}", ours=True)
        self._token, self._base = token, str(base).rstrip("/")
        return None

    def _unfit(self, base: object) -> str:
        """Return why records are not sent to where the answer says; the token goes there too."""
        if not isinstance(base, str):
            return "is missing"
        try:
            url = parse_endpoint_url(base, allow_loopback=self._allow_loopback)
        except EndpointUrlInvalid as error:
            return f"is no address: {error}"
        if url.scheme != "https" and not self._allow_loopback:
            return "does not begin with https://"
        return "" if url.raw_path in {"", "/"} and not url.raw_query_string else "holds more than a host"


def _refused(reply: Reply, now_us: int) -> NotNow:
    code = reply.json().get("error")
    named = (
        f", {code}" if isinstance(code, str) and code.replace("_", "").isalnum() and code.isascii() else ""
    )
    reason = f"no access token: answered {reply.status}{named[:_LONGEST_CODE]}"
    wait = parse_retry_after(reply.retry_after, now_us) or 0
    ours = 400 <= reply.status < 500 and reply.status not in {408, 429}
    return NotNow(f"{reason}: look at the connected app" if ours else reason, wait, ours=ours)


def _part(value: dict[str, Any]) -> str:
    return _plain64(json.dumps(value, separators=(",", ":")).encode())


def _plain64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
