"""Who may come in: is a request meant for this hub, and what may the key it brings do."""

import itertools
import secrets
from collections.abc import Mapping
from typing import final

from aiohttp import hdrs

from hub.api.problems import Problem, forbidden, unauthorized
from hub.control.keys import Keys, Principal, Scope

_KNOWN_HOSTS = 256


@final
class RequestIds:
    """Unique per start and counted: an id costs nothing and finds its line in the log."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def next(self) -> str:
        return f"{self._prefix}-{next(self._numbers):x}"


@final
class Gate:
    """`origins` are those of other hosts' pages that may ask: "https://app.example.com"."""

    def __init__(
        self, keys: Keys, hosts: frozenset[str] | None, origins: frozenset[str] = frozenset()
    ) -> None:
        self._keys = keys
        self._hosts = Hosts(hosts, origins)

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Raise Problem for a request that was meant for another host, or comes from another's page."""
        if not self._hosts.accept(headers.get(hdrs.HOST), headers.get(hdrs.ORIGIN)):
            raise Problem(403, "foreign-host", "this hub does not answer to that Host or Origin")

    def principal(self, headers: Mapping[str, str], scope: Scope) -> Principal:
        """Return who sent a request; raises Problem where that is nobody, or somebody without the scope."""
        principal = self._keys.authenticate(headers.get(hdrs.AUTHORIZATION) or headers.get("X-API-Key"))
        if principal is None:
            raise unauthorized()
        if not principal.may(scope):
            raise forbidden(scope)
        return principal

    def still_knows(self, principal: Principal) -> bool:
        """Return whether the key somebody brought before is still good."""
        return self._keys.still_knows(principal)


class Hosts:
    """Names this hub may be called by: a web page that points its own name at this machine gets no answer."""

    def __init__(self, names: frozenset[str] | None, origins: frozenset[str] = frozenset()) -> None:
        self._names = names
        self._origins = origins
        self._known: set[str] = set()

    def accept(self, host: str | None, origin: str | None) -> bool:
        if self._names is None:
            return True
        if host is None or (host not in self._known and not self._learn(host)):
            return False
        return origin is None or origin in self._origins or name_of(origin.partition("://")[2]) in self._names

    def _learn(self, host: str) -> bool:
        if name_of(host) not in (self._names or ()):
            return False
        if len(self._known) < _KNOWN_HOSTS:
            self._known.add(host)
        return True


def name_of(host: str) -> str:
    """Return a Host header's name without port and brackets, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
