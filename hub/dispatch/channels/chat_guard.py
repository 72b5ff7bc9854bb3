"""What a library may do on its way out, in a process of its own: HTTP to addresses that are open, bounded, and nothing else.

The library brings over a hundred services, each with its own manner of asking. So it is held at the places all of them
pass: the interpreter's own events for connecting and for starting programs, and the one way every HTTP request goes.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, final

import requests
import urllib3
from requests.adapters import HTTPAdapter
from typing_extensions import override

from hub.dispatch.addresses import Network, denied_text
from hub.dispatch.channels.chat_wire import Answer, Trouble

LARGEST_ANSWER: Final = 64 * 1024
MOST_REQUESTS: Final = 32  # for one message: signing in, every target, every part of a long text
LONGEST_RETRY_AFTER: Final = 64
CONNECT_SECONDS: Final = 5.0
_PROGRAMS: Final = frozenset(
    {"os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"}
)
_CONNECTIONS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class _Held(OSError):
    """The library wanted what it may not."""


@final
class Guard:
    """Holds one message at a time; what became of its requests stands in `answers` and `troubles`."""

    def __init__(self, begun: Callable[[], None]) -> None:
        self._begun = begun
        self._in_request = threading.local()
        self._seconds = 0.0
        self._allow_loopback = False
        self._networks: Sequence[Network] = ()
        self._requests = 0
        self._first = True
        self.answers: list[Answer] = []
        self.troubles: list[Trouble] = []

    def install(self) -> None:
        """Hold this process from now on; it cannot be undone."""
        sys.addaudithook(self._look)
        requests.Session.__init__ = _session_of(self)  # type: ignore[method-assign,assignment]  # the one place all services share

    def begin(self, seconds: float, *, allow_loopback: bool, networks: Sequence[Network]) -> None:
        self._seconds, self._allow_loopback, self._networks = seconds, allow_loopback, networks
        self._requests, self._first = 0, True
        self.answers, self.troubles = [], []

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _PROGRAMS:
            raise _Held("no programs are started here")
        if event in _CONNECTIONS:
            self._look_at(arguments[1])

    def _look_at(self, address: object) -> None:
        if not getattr(self._in_request, "now", False) or not isinstance(address, tuple):
            self.troubles.append(Trouble.NOT_HTTP)
            raise _Held("only HTTP leaves this process")
        if denied_text(str(address[0]), allow_loopback=self._allow_loopback, networks=self._networks):
            self.troubles.append(Trouble.INSIDE)
            raise _Held("the address is not open")

    def send(
        self, adapter: HTTPAdapter, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        """Make one request within the bounds, and keep what became of it."""
        if self._requests >= MOST_REQUESTS:
            self.troubles.append(Trouble.LOST)
            raise requests.ConnectionError("too many requests for one message", request=request)
        if not (request.url or "").lower().startswith("https://") and not self._allow_loopback:
            self.troubles.append(Trouble.NOT_SECURE)
            raise requests.ConnectionError("the token is sent over https only", request=request)
        self._requests += 1
        if self._first:
            self._begun()
            self._first = False
        request.headers["Accept-Encoding"] = "identity"
        options |= {"stream": True, "timeout": (CONNECT_SECONDS, self._seconds), "proxies": {}}
        held = len(self.troubles)
        self._in_request.now = True
        try:
            response = HTTPAdapter.send(adapter, request, **options)
        except requests.RequestException as problem:
            if len(self.troubles) == held:
                self.troubles.append(Trouble.UNREACHED if _never_left(problem) else Trouble.LOST)
            raise
        finally:
            self._in_request.now = False
        wait = response.headers.get("Retry-After")
        self.answers.append(Answer(response.status_code, wait[:LONGEST_RETRY_AFTER] if wait else None))
        _read(response)
        return response


@final
class _Adapter(HTTPAdapter):
    def __init__(self, guard: Guard) -> None:
        super().__init__(max_retries=0)
        self._guard = guard

    @override
    def send(self, request: requests.PreparedRequest, *positional: Any, **options: Any) -> requests.Response:
        return self._guard.send(self, request, **options)


def _session_of(guard: Guard) -> Callable[[requests.Session], None]:
    original = requests.Session.__init__

    def made(session: requests.Session) -> None:
        original(session)
        session.trust_env = False  # no proxies, no .netrc
        session.max_redirects = 0
        session.mount("https://", _Adapter(guard))
        session.mount("http://", _Adapter(guard))

    return made


def _read(response: requests.Response) -> None:
    """Take the body as it is on the wire, up to the bound; of a longer one nothing is read, and the status stands."""
    content = b""
    try:
        while len(content) <= LARGEST_ANSWER:
            part = response.raw.read(LARGEST_ANSWER + 1 - len(content), decode_content=False)
            if not part:
                break
            content += part
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        content = b""
    response.raw.close()
    response._content = content if len(content) <= LARGEST_ANSWER else b""  # noqa: SLF001 - it offers no other way
    response._content_consumed = True  # noqa: SLF001 - as above


def _never_left(problem: requests.RequestException) -> bool:
    """Return whether no connection came about, so that nothing can have been taken."""
    if isinstance(problem, requests.ConnectTimeout):
        return True
    cause = problem.args[0] if problem.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
        return True
    return isinstance(problem, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(reason)
