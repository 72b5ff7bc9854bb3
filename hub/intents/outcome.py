"""What became of an intent, as the engine is told: the body of an input of kind OUTCOME."""

from typing import Any

import msgspec

from hub.events.bounded import bounded

MAX_OUTCOME_BYTES = 64 * 1024


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """`state` is the intent's State; `before` and `after` are the fields that were read, as the backend names them.

    `unverified`: it was applied, and what had to hold afterwards does not. `again`: a request that came to nothing may be
    made again without doing anything twice. `stopped`: the workflow's breaker refused it before it was ever sent. `sends` and `looks` say how often it was really sent and looked for; `incident` is why a person should hear of it.
    """

    intent: str
    verb: str
    state: str
    ticket: int | None = None
    reason: str = ""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    sends: int = 0
    looks: int = 0
    incident: str = ""
    unverified: str = ""
    again: bool = False
    stopped: bool = False


_encode = msgspec.json.Encoder().encode
decode_outcome = bounded(Outcome, "an outcome", MAX_OUTCOME_BYTES)


def encode_outcome(outcome: Outcome) -> bytes:
    return _encode(outcome)
