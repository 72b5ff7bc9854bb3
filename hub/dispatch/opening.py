"""How a connection came about, for whoever asked for it: which steps its making took, and which address was tried."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Opening:
    """When each step of a connection's making was reached, on the monotonic clock; None for one that never was."""

    began: float
    resolved: float | None = None
    handshake: float | None = None
    ended: float | None = None
    tried: str = ""  # the address a socket was last made for

    def shaking_hands(self) -> bool:
        """Say whether it came as far as the TLS handshake, and not past it."""
        return self.handshake is not None and self.ended is None

    def dns_us(self) -> int | None:
        return _between(self.began, self.resolved)

    def connect_us(self) -> int | None:
        return _between(self.resolved, self.handshake or self.ended)

    def tls_us(self) -> int | None:
        return _between(self.handshake, self.ended)


def _between(began: float | None, ended: float | None) -> int | None:
    return None if began is None or ended is None else max(int((ended - began) * 1e6), 0)


class Making:
    """What a request in want of a connection hears of its making; stays None when a kept one is taken."""

    opening: Opening | None = None


# One variable for a request and for whatever is started on its behalf: lookups and rival connects run in tasks of their own.
making: ContextVar[Making] = ContextVar("making")
