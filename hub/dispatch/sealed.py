"""Endpoints whose signing keys and secret headers are sealed in the store, and readable to everybody above it."""

from collections.abc import Callable
from typing import Final, final

import msgspec
import structlog
import yarl
from typing_extensions import override

from hub.bus.pages import Page
from hub.dispatch.addresses import is_loopback_host
from hub.dispatch.headers import is_secret
from hub.dispatch.outbox import Endpoint, Endpoints, is_still
from hub.errors import ConfigError
from hub.sealing import SealBroken, SealRing, is_sealed

# Stands for keys that do not open: nothing can be signed with it, and the endpoint waits until they do.
UNOPENED: Final = ""

log = structlog.get_logger(__name__)


class SealMissing(ConfigError):
    """Something secret would have to be stored, and there is no key to seal it with."""


def is_real(endpoint: Endpoint) -> bool:
    """Say whether an endpoint leads off this machine, so that its secrets are worth something."""
    return endpoint.options.kind != "http" or not is_loopback_host(yarl.URL(endpoint.url).host or "")


@final
class SealedEndpoints(Endpoints):
    """Without a ring everything is stored as it is, which is for endpoints on this machine alone."""

    def __init__(self, inner: Endpoints, ring: SealRing | None) -> None:
        self._inner = inner
        self._ring = ring

    @override
    async def create(self, endpoint: Endpoint) -> None:
        self._insist(endpoint)
        sealed = self._with_headers(endpoint, self._seal)
        secret = self._seal(endpoint.secret, _keys(endpoint.id))
        await self._inner.create(sealed._replace(secret=secret))

    @override
    async def get(self, endpoint_id: str) -> Endpoint | None:
        found = await self._inner.get(endpoint_id)
        return None if found is None else self._opened(found)

    @override
    async def all(self) -> list[Endpoint]:
        return [self._opened(endpoint) for endpoint in await self._inner.all()]

    @override
    async def page(self, *, after: str, limit: int) -> Page[Endpoint]:
        page = await self._inner.page(after=after, limit=limit)
        return Page([self._opened(endpoint) for endpoint in page.items], page.next)

    @override
    async def replace(self, before: Endpoint, after: Endpoint) -> bool:
        self._insist(after)
        stored = await self._inner.get(before.id)
        if stored is None or not is_still(self._opened(stored), before):
            return False
        return await self._inner.replace(stored, self._with_headers(after, self._seal))

    @override
    async def replace_secret(self, endpoint_id: str, before: str, after: str) -> bool:
        stored = await self._inner.get(endpoint_id)
        if stored is None or self._open(stored.secret, _keys(endpoint_id)) != before:
            return False
        return await self._inner.replace_secret(
            endpoint_id, stored.secret, self._seal(after, _keys(endpoint_id))
        )

    @override
    async def delete(self, endpoint_id: str) -> bool:
        return await self._inner.delete(endpoint_id)

    async def seal_everything(self) -> int:
        """Seal what is not sealed under the key that seals now; return how many endpoints that concerned.

        Raises SealMissing where there is no key and an endpoint leads off this machine, SealBroken where the keys are
        not those its secrets were sealed under.
        """
        changed = 0
        for stored in await self._inner.all():
            if self._ring is None:
                self._insist(stored)
                if is_sealed(stored.secret):
                    raise SealMissing(f"{stored.id} was sealed under a key this hub was not given: {_FIX}")
                continue
            changed += await self._seal_one(stored, self._ring)
        return changed

    async def _seal_one(self, stored: Endpoint, ring: SealRing) -> bool:
        done = False
        if not ring.is_current(stored.secret):
            anew = self._seal(ring.open(stored.secret, _keys(stored.id)), _keys(stored.id))
            done = await self._inner.replace_secret(stored.id, stored.secret, anew)
        opened = self._with_headers(stored, ring.open)
        secret = [value for name, value in stored.options.headers if _is_secret(stored, name)]
        if any(not ring.is_current(value) for value in secret):
            done = await self._inner.replace(stored, self._with_headers(opened, self._seal)) or done
        return done

    def _insist(self, endpoint: Endpoint) -> None:
        if self._ring is None and is_real(endpoint):
            raise SealMissing(f"the secrets of endpoints off this machine are stored sealed: {_FIX}")

    def _opened(self, stored: Endpoint) -> Endpoint:
        try:
            secret = self._open(stored.secret, _keys(stored.id))
            return self._with_headers(stored, self._open)._replace(secret=secret)
        except SealBroken as problem:
            # One that does not open must not take the others with it.
            log.warning("endpoint.sealed", endpoint=stored.id, reason=str(problem))
            return stored._replace(secret=UNOPENED)

    def _seal(self, text: str, purpose: str) -> str:
        # What did not open stays as it was stored.
        return text if self._ring is None or is_sealed(text) else self._ring.seal(text, purpose)

    def _open(self, text: str, purpose: str) -> str:
        if self._ring is not None:
            return self._ring.open(text, purpose)
        if is_sealed(text):
            raise SealBroken("sealed, and this hub has no sealing key")
        return text

    def _with_headers(self, endpoint: Endpoint, change: Callable[[str, str], str]) -> Endpoint:
        options = endpoint.options
        if not options.headers:
            return endpoint
        headers = tuple(
            (name, change(value, f"endpoint/{endpoint.id}/header/{name.lower()}"))
            if _is_secret(endpoint, name)
            else (name, value)
            for name, value in options.headers
        )
        return endpoint._replace(options=msgspec.structs.replace(options, headers=headers))


_FIX: Final = "make a key with `hub sealing new --file PATH`, and name it with sealing.key_file in hub.yaml"


def _keys(endpoint_id: str) -> str:
    return f"endpoint/{endpoint_id}/keys"


def _is_secret(endpoint: Endpoint, name: str) -> bool:
    return is_secret(name, endpoint.options.secret_headers)
