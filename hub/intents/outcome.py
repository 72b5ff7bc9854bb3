"""What became of an intent, as the engine is told: the body of an input of kind OUTCOME."""

from typing import Any

import msgspec

from hub.errors import RecordMalformed

MAX_OUTCOME_BYTES = 64 * 1024


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """`state` is the intent's State; `before` and `after` are the fields that were read, as the backend names them.

    `unverified`: it was applied, and what had to hold afterwards does not. `again`: a request that came to nothing may be
    made again without doing anything twice. `sends` and `looks` say how often it was really sent and looked for; `incident` is why a person should hear of it.
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


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Outcome).decode


def encode_outcome(outcome: Outcome) -> bytes:
    return _encode(outcome)


def decode_outcome(body: bytes) -> Outcome:
    if len(body) > MAX_OUTCOME_BYTES:
        raise RecordMalformed(f"an outcome of {len(body)} bytes: at most {MAX_OUTCOME_BYTES} are read")
    try:
        return _decode(body)
    except msgspec.DecodeError as problem:
        raise RecordMalformed(f"not an outcome: {problem}") from problem
