"""Query parameters, read strictly: an unknown or malformed one is an error, never ignored."""

from datetime import datetime

from aiohttp import web

from hub.api.problems import Problem
from hub.clock import every_zone_shows, to_us
from hub.ingest.refusals import FieldError, nearest, shown

DEFAULT_LIMIT = 100
MAX_LIMIT = 500
_LONGEST = 512


class Query:
    """The parameters of one request; `known` are all it may have."""

    def __init__(self, request: web.Request, *known: str) -> None:
        self._values: dict[str, str] = {}
        for name, value in request.query.items():
            if name not in known:
                raise _invalid(shown(name), "unknown parameter", nearest(name, known))
            if name in self._values:
                raise _invalid(name, "is there twice")
            if len(value) > _LONGEST or not value.isprintable():
                raise _invalid(name, f"is longer than {_LONGEST} characters or not printable")
            self._values[name] = value

    def text(self, name: str) -> str:
        return self._values.get(name, "")

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word for word in self.text(name).split(",") if word)

    def limit(self) -> int:
        text = self._values.get("limit")
        if text is None:
            return DEFAULT_LIMIT
        if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MAX_LIMIT):
            raise _invalid("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
        return int(text)

    def moment(self, name: str) -> int | None:
        """Return a time in µs, None where there is none."""
        text = self._values.get(name, "")
        if not text:
            return None
        try:
            # A plus sign stands for a blank in a query, and is often sent as it is.
            told = datetime.fromisoformat(text.replace(" ", "+") if text.count(" ") == 1 else text)
        except ValueError:
            told = None
        if told is None or told.tzinfo is None or not every_zone_shows(told):
            raise _invalid(name, "must be a time with its offset, such as 2026-03-02T10:00:00Z")
        return to_us(told)

    def choice(self, name: str, *allowed: str) -> str:
        value = self.text(name)
        if value and value not in allowed:
            raise _invalid(name, f"must be one of {', '.join(allowed)}", nearest(value, allowed))
        return value

    def account(self, name: str = "account") -> str:
        value = self.text(name)
        if value:
            server, _, login = value.rpartition(":")
            if not server or not (login.isascii() and login.isdigit()):
                raise _invalid(name, 'must be "server:login"')
        return value


def _invalid(name: str, reason: str, fix: str = "") -> Problem:
    return Problem(400, "bad-query", f"{name}: {reason}", errors=[FieldError(name, reason, fix)])
