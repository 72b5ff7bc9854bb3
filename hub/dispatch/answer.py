"""What came of one request: the answer as far as it arrived, and what there is to record of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from hub.dispatch.attempt_record import RawHeaders, Seen, kept_headers
from hub.dispatch.opening import Making

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Peer(Protocol):
    """Who is at a connection's other end."""

    address: str
    tls: str


class Answer(Making, ABC):
    """Filled in as it arrives: of an answer that breaks off the status is known all the same.

    What an answer says of itself stands in the class until it is known: most say little, and one is made per attempt.
    """

    status: int | None = None
    headers: Mapping[str, str] = _NO_HEADERS
    raw: RawHeaders = ()
    kept: bytes = b""  # the first KiB of the body
    peer: Peer | None = None
    sent: float = 0.0
    first_byte: float | None = None

    @abstractmethod
    def over(self, problem: Exception | None, at: float) -> None:
        """Hear that nothing more is to come, and what went wrong if anything did. Called once."""

    def seen(self) -> Seen:
        """Return what there is to record of it."""
        peer, opening = self.peer, self.opening
        headers, left_out = kept_headers(self.raw) if self.raw else ((), 0)
        first_us = None if self.first_byte is None else max(int((self.first_byte - self.sent) * 1e6), 0)
        if opening is None:
            if peer is None:
                return Seen()
            return Seen(peer.address, peer.tls, None, None, None, first_us, headers, left_out, True)
        address, tls = (opening.tried, "") if peer is None else (peer.address, peer.tls)
        steps = opening.dns_us(), opening.connect_us(), opening.tls_us()
        return Seen(address, tls, *steps, first_us, headers, left_out)
