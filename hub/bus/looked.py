"""A row several streams look at: each thing that is made of it is made once."""

from typing import Any, final

from hub.bus.log import Input
from hub.events.records import Envelope, decode_data, decode_envelope, encode, wire


@final
class Looked:
    __slots__ = ("_envelope", "_own", "_record", "_wire", "row")

    def __init__(self, row: Input) -> None:
        self.row = row
        self._envelope: Envelope | None = None
        self._record: Any = None
        self._own: bytes | None = None
        self._wire: bytes | None = None

    @property
    def envelope(self) -> Envelope:
        if self._envelope is None:
            self._envelope = decode_envelope(self.row.body)
        return self._envelope

    @property
    def record(self) -> Any:
        """Return the event's data as expressions read it."""
        if self._record is None:
            self._record = decode_data(self.envelope)
        return self._record

    @property
    def own(self) -> bytes:
        """Return the event as the hub's own users read it, on one line."""
        if self._own is None:
            self._own = _on_one_line(
                self.row.body.rstrip()[:-1] + b',"sequence":' + encode(self.row.sequence) + b"}"
            )
        return self._own

    @property
    def wire(self) -> bytes:
        """Return the event as a receiver of webhooks gets it: without what concerns the hub alone."""
        if self._wire is None:
            self._wire = _on_one_line(wire(self.row.body, self.row.sequence))
        return self._wire


def _on_one_line(text: bytes) -> bytes:
    # Inside of JSON's texts line breaks are escaped: these stand between values.
    if b"\n" in text or b"\r" in text:
        return text.replace(b"\r", b" ").replace(b"\n", b" ")
    return text
