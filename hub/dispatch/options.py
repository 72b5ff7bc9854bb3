"""What an endpoint may ask for beside its address and its event types; most ask for nothing."""

from typing import Literal

import msgspec

Kind = Literal["http", "kafka"]
Format = Literal["standard", "cloudevents", "raw"]
Scheme = Literal["standard", "stripe", "github"]
Order = Literal["none", "account"]
Stuck = Literal["block", "park", "skip"]


class EndpointOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an endpoint is spoken to: stored as JSON, so that a field more needs no migration.

    `where` is an expression on the event's content, `transform` a template of the body, `content_type` that of a raw
    one. `rate` is in deliveries a
    second with `burst` at once, `timeout_s` and `stuck_s` in seconds. `headers` are sent with every delivery; the names
    in `secret_headers` are never shown again.
    """

    kind: Kind = "http"
    topic: str = ""
    where: str = ""
    channels: tuple[str, ...] = ()
    owner: str = ""
    format: Format = "standard"
    transform: str = ""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    secret_headers: tuple[str, ...] = ()
    scheme: Scheme = "standard"
    timeout_s: float | None = None
    rate: float | None = None
    burst: int | None = None
    concurrency: int | None = None
    order: Order = "none"
    stuck: Stuck = "block"
    stuck_s: float | None = None
    challenge: bool = False
    allowed_rate: float | None = None

    @property
    def pace(self) -> float | None:
        """Return how many deliveries a second may go: what the owner asks for, and no more than the receiver allows."""
        asked = [rate for rate in (self.rate, self.allowed_rate) if rate is not None]
        return min(asked, default=None)


NO_OPTIONS = EndpointOptions()
_decoder = msgspec.json.Decoder(EndpointOptions)


def options_text(options: EndpointOptions) -> str:
    return "" if options == NO_OPTIONS else msgspec.json.encode(options).decode()


def options_of(text: str) -> EndpointOptions:
    """Return what was stored; a field of a newer version is passed over, so that an older hub still reads it."""
    return _decoder.decode(text) if text else NO_OPTIONS
