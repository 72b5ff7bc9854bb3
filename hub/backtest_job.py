"""What a hub and the process it starts for a backtest say to one another: one line of JSON each."""

from typing import Final

import msgspec

LONGEST_LINE: Final = 32 * 1024 * 1024


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is to be told to which workflow. `address` None: the store is the file in the folder `data`.

    `text` "": the live version of that id. The bounds are of the process: events, bytes of memory, seconds of CPU.
    """

    data: str
    address: str | None
    workflow: str
    text: str = ""
    since: str = ""
    until: str = ""
    warm_up: str = ""
    assume: str = ""
    most_events: int = 0
    most_memory: int = 0
    most_seconds: int = 0
    most_told: int = 0  # actions one by one


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """`share` from 0 to 1 of the time that is read, so many events in."""

    share: float
    events: int


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """`result` is the report as `hub backtest --json` prints it, `page` as `--html` writes it."""

    result: msgspec.Raw
    page: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Why there is no report, in words for whoever asked."""

    reason: str


Line = Progress | Finished | Refused
encode_line = msgspec.json.Encoder().encode
decode_line = msgspec.json.Decoder(Line).decode
encode_order = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(Order).decode
