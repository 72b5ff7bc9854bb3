"""The short way for the commonest page: an account that was read before, and to which nothing has happened since.

Apps ask for the same pages again and again. What stands at hand is answered without a task and a request of its own:
whose token it is, which accounts that may read, the account itself and its page. As with events, whatever is out of the
ordinary, refused or not at hand goes the framework's way from the start.
"""

import re
from collections import OrderedDict
from typing import Final, NamedTuple, final

from aiohttp import hdrs
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDictProxy

from hub.api.account_page import account_page
from hub.api.gate import Gate
from hub.api.ports import AccountView, ApiDeps
from hub.api.problems import Problem
from hub.control.keys import Scope
from hub.control.tokens import PREFIX
from hub.ids import account_key
from hub.ingest.reading import Reading

_PATH: Final = re.compile(r"/v1/accounts/([A-Za-z0-9._-]{1,64})/([0-9]{1,19})")
_BEARER: Final = "Bearer "
_UNUSUAL: Final = (
    hdrs.EXPECT, hdrs.CONTENT_LENGTH, hdrs.CONTENT_ENCODING, hdrs.TRANSFER_ENCODING, hdrs.UPGRADE, hdrs.ORIGIN, "X-API-Key",
)  # fmt: skip
_MOST: Final = 20_000  # pages


class _Page(NamedTuple):
    view: AccountView
    seen: Reading | None
    body: bytes


@final
class ShortPages:
    """`is_open` where the application shows accounts at all."""

    def __init__(self, deps: ApiDeps, gate: Gate, *, is_open: bool = True) -> None:
        self._at_hand = deps.accounts_at_hand if is_open else None
        self._last_seen = deps.watcher.last_seen
        self._tokens = deps.feeds.tokens
        self._gate = gate
        self._written: OrderedDict[tuple[str, bool], _Page] = OrderedDict()
        self.answered = 0

    def body(self, message: RawRequestMessage) -> bytes | None:
        """Return the page that is asked for, None for whatever has to go the long way."""
        if (
            self._at_hand is None
            or message.method != hdrs.METH_GET
            or message.version != HttpVersion11
            or message.should_close
        ):
            return None
        headers = message.headers
        path = _PATH.fullmatch(message.path)
        if path is None or any(name in headers for name in _UNUSUAL):
            return None
        key = account_key(path[1], int(path[2]))
        is_clients = self._may_read(headers, key)
        view = self._at_hand(key) if is_clients is not None else None
        if view is None or is_clients is None:
            return None
        self.answered += 1
        return self._page(key, view, is_clients=is_clients)

    def _may_read(self, headers: CIMultiDictProxy[str], key: str) -> bool | None:
        """Return whether it is a client who asks, None where anybody has to be looked up, or refused."""
        brought = headers.get(hdrs.AUTHORIZATION, "")
        try:
            self._gate.check_host(headers)
            if not brought.startswith(PREFIX, len(_BEARER)):
                self._gate.principal(headers, Scope.READ)
                return False
        except Problem:
            return None
        if not brought.startswith(_BEARER):
            return None
        token = self._tokens.at_hand(brought[len(_BEARER) :])
        accounts = self._tokens.accounts_at_hand(token) if token is not None else None
        return True if accounts is not None and key in accounts else None

    def _page(self, key: str, view: AccountView, *, is_clients: bool) -> bytes:
        seen = self._last_seen(key)
        written = self._written.get((key, is_clients))
        if written is None or written.view is not view or written.seen is not seen:
            body = account_page(key, view, seen, is_clients=is_clients)
            written = self._written[key, is_clients] = _Page(view, seen, body)
            if len(self._written) > _MOST:
                self._written.popitem(last=False)
        return written.body
