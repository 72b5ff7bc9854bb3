"""`http.request`: one call to another system, with the secrets it names put in at the last moment.

Nothing about a secret leaves this module but the request itself: reasons are sentences of our own, and an address that
is a secret is never repeated. The way out is that of deliveries: no inner address, no redirect, everything bounded.
"""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, final

import aiohttp
import msgspec
import yarl
from pydantic import SecretStr, ValidationError
from typing_extensions import override

from hub.clock import MICROSECOND, Clock
from hub.dispatch.addresses import Networks
from hub.dispatch.channels.bounded_json import read_json
from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.channels.one_exchange import LARGEST_ANSWER, whole
from hub.dispatch.connections import AddressDenied
from hub.dispatch.effects.requests import Answered, Asked, Denied, Requester, Unanswered
from hub.dispatch.endpoint_url import EndpointUrlInvalid, parse_endpoint_url
from hub.dispatch.safe_http import USER_AGENT
from hub.intents.checks import checks_of, without_checks
from hub.intents.http_request import Call, Hidden, SecretRef
from hub.intents.intent import Intent
from hub.intents.shape import Misfit, conform, tellable

DEADLINE: Final = timedelta(seconds=15)
LONGEST_KEY: Final = 255
_TOO_MANY, _TIMED_OUT = 429, 408


class _Missing(Exception):
    """A secret the request names is not configured, or cannot be used where it stands."""


@final
class HttpRequests(Requester):
    def __init__(
        self,
        secrets: Mapping[str, SecretStr],
        clock: Clock,
        *,
        allow_loopback: bool = False,
        networks: Networks = (),
        way_out: WayOut | None = None,
    ) -> None:
        self._secrets = secrets
        self._clock = clock
        self._allow_loopback = allow_loopback
        self._networks = networks
        self._way_out = way_out or WayOut(allow_loopback=allow_loopback, networks=networks)

    @property
    @override
    def offers(self) -> frozenset[str]:
        return frozenset({"http.request"})

    @override
    def repeatable(self, intent: Intent) -> bool:
        try:
            return _call(intent).repeatable
        except ValidationError:
            return True  # nothing of it is ever sent

    @override
    async def ask(self, intent: Intent) -> Asked:
        try:
            call = _call(intent)
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_input=False)[0]
            return Denied(f"the request cannot be read: {first['msg']}")
        left = self._time_left(intent)
        if left <= timedelta():
            return Denied("nobody waits for it any more: it was not sent")
        try:
            url = self._url(call)
            headers = self._headers(call, intent, url)
            body = _body(call)
        except _Missing as problem:
            return Denied(str(problem))
        return await self._send(call, url, headers, body, left)

    async def _send(
        self, call: Call, url: yarl.URL, headers: Mapping[str, str], body: bytes | None, left: timedelta
    ) -> Asked:
        status = None
        try:
            async with (
                asyncio.timeout(left.total_seconds()),
                self._way_out.open(call.method, url, headers, body) as response,
            ):
                status = response.status
                content = await whole(response.content)
        except aiohttp.ClientConnectorError as problem:
            if isinstance(problem.os_error, AddressDenied):
                return Denied("the host leads to an address that is not public")
            return Unanswered("no connection could be made", sent=False)
        except aiohttp.ConnectionTimeoutError:
            return Unanswered("no connection could be made in time", sent=False)
        except TimeoutError:
            return Unanswered(f"no whole answer within {left.total_seconds():g} s", status)
        except (aiohttp.ClientError, OSError, ValueError):
            return Unanswered("the connection broke off, or the answer is not well-formed HTTP", status)
        return _made_of(call, status, content)

    def _time_left(self, intent: Intent) -> timedelta:
        """Return how long the request may take: as long as somebody waits for its answer, and no longer."""
        try:
            checks = checks_of(intent)
        except msgspec.DecodeError:
            return timedelta()
        if checks is None or not checks.within_us:
            return DEADLINE
        return min(DEADLINE, (intent.at + checks.within_us - self._clock.now_us()) * MICROSECOND)

    def _url(self, call: Call) -> yarl.URL:
        hidden = isinstance(call.url.base, SecretRef)
        base = self._shown(call.url.base)
        what = f"the secret {call.url.base.secret}" if isinstance(call.url.base, SecretRef) else "url.base"
        if "?" in base or "#" in base:
            raise _Missing(
                f"{what} holds a ? or a #: it is the beginning of an address, and the step adds the rest"
            )
        try:
            parse_endpoint_url(base, allow_loopback=self._allow_loopback, networks=self._networks)
        except EndpointUrlInvalid as problem:
            told = "" if hidden else f": {problem}"
            raise _Missing(f"{what} is no address the hub calls{told}") from None
        return yarl.URL(call.url.under(base), encoded=True)

    def _headers(self, call: Call, intent: Intent, url: yarl.URL) -> dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"}
        for name, value in call.headers.items():
            headers[name] = self._header(name, value)
        if call.auth is not None and call.auth.bearer is not None:
            headers["Authorization"] = f"Bearer {self._header('auth.bearer', call.auth.bearer)}"
        elif call.auth is not None and call.auth.basic is not None:
            user, password = self._shown(call.auth.basic.user), self._shown(call.auth.basic.password)
            if ":" in user:
                raise _Missing("auth.basic.user: a user's name holds no colon")
            headers["Authorization"] = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
        if call.body is not None:
            headers.setdefault("Content-Type", "application/json")
        headers["Idempotency-Key"] = idempotency_key(intent)
        if url.scheme != "https" and not self._allow_loopback and _names_secret(call):
            raise _Missing("a secret is sent over https only: the address begins with http://")
        return headers

    def _header(self, name: str, value: Hidden) -> str:
        shown = self._shown(value)
        if not shown.isascii() or not shown.isprintable():
            raise _Missing(f"{name}: a header takes printable ASCII in one line")
        return shown

    def _shown(self, value: Hidden) -> str:
        if not isinstance(value, SecretRef):
            return value
        secret = self._secrets.get(value.secret)
        if secret is None or not secret.get_secret_value():
            raise _Missing(
                f"the secret {value.secret} is not set: add it under `secrets` in hub.yaml, "
                f"or set HUB_SECRETS__{value.secret.upper()}"
            )
        return secret.get_secret_value()


def idempotency_key(intent: Intent) -> str:
    """Return the key a receiver tells a repeated request by: asked for again after a failure it is the same."""
    key = intent.key.partition("#")[0]
    return key if len(key) <= LONGEST_KEY else hashlib.sha256(key.encode()).hexdigest()


def _call(intent: Intent) -> Call:
    return Call.model_validate_json(without_checks(intent).params)


def _names_secret(call: Call) -> bool:
    basic = call.auth.basic if call.auth is not None else None
    hidden: list[Hidden | None] = [*call.headers.values()]
    hidden += [call.auth.bearer if call.auth is not None else None]
    hidden += [basic.user, basic.password] if basic is not None else []
    return any(isinstance(value, SecretRef) for value in hidden)


def _body(call: Call) -> bytes | None:
    return msgspec.json.encode(call.body) if call.body is not None else None


def _made_of(call: Call, status: int, content: bytes | None) -> Asked:
    if not call.expect.takes(status):
        if status == _TOO_MANY:
            return Denied(f"answered {status}: it takes nothing for now", status, later=True)
        if status >= 500 or status == _TIMED_OUT:
            return Unanswered(f"answered {status}", status)
        redirects = " (redirects are not followed)" if 300 <= status < 400 else ""
        return Denied(f"answered {status}{redirects}", status)
    if call.expect.shape is None:
        return Answered(status)
    if content is None:
        return Denied(f"the answer is larger than {LARGEST_ANSWER // 1024} KiB", status)
    try:
        body = read_json(content, exact=True)
        return Answered(status, tellable(conform(call.expect.shape, body)))
    except Misfit as problem:
        return Denied(f"the answer does not fit the schema: {problem}", status)
    except ValueError:
        return Denied("the answer is not JSON", status)
