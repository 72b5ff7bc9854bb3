"""Query parameters of mt5rest, read as its framework does: names in any case, values by type."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from hub.sim.model import ZERO, Refused
from hub.sim.wire import is_plausible
from hub.sim.zone import ServerZone

LONGEST_VALUE = 512


class Query:
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name.lower(): value for name, value in values.items()}

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name.lower(), default)
        if value is None or len(value) > LONGEST_VALUE:
            problem = "is required" if value is None else "is too long"
            raise Refused(f"The {name} field {problem}.", "INVALID_PARAMETERS")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        text = self.text(name, None if default is None else str(default))
        if not text.lstrip("-").isdecimal() or not text.isascii() or len(text) > 20:
            raise Refused(f"The value '{text[:32]}' is not valid for {name}.", "INVALID_PARAMETERS")
        return int(text)

    def decimal(self, name: str, default: Decimal = ZERO) -> Decimal:
        text = self.text(name, str(default))
        try:
            value = Decimal(text)
        except InvalidOperation:
            value = Decimal("NaN")
        if not is_plausible(value):
            raise Refused(f"The value '{text[:32]}' is not valid for {name}.", "INVALID_PARAMETERS")
        return value

    def optional(self, name: str) -> Decimal | None:
        return self.decimal(name) if name.lower() in self._values else None

    def server_seconds(self, name: str) -> int:
        """Return a server-clock moment as the false Unix time it reads like."""
        text = self.text(name)
        try:
            return ServerZone.read_text(text)
        except ValueError:
            raise Refused(f"The value '{text[:32]}' is not valid for {name}.", "INVALID_PARAMETERS") from None
