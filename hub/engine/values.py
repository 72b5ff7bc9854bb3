"""Every kind of row the state of a key is made of, and how each is written and read."""

from enum import IntEnum
from typing import Any

import msgspec

from hub.engine.account_rows import AccountRow, ClientRow
from hub.engine.branches import Branched, Late
from hub.engine.held import Followed, GroupRow, PositionRow, SymbolRow, ThingRow, Told
from hub.engine.ledger import Ledger, PeriodEnds
from hub.engine.manifest import Manifest
from hub.engine.quotes import Board, Wanted
from hub.engine.run_rows import Approval, OpenRun, Queue
from hub.engine.totals import Alarm, Total
from hub.engine.trigger_rows import Absence, Anchor, Edge, Fires, Hold, Level, Remembered, Scheduled


class Kind(IntEnum):
    """Written into the store: never renumbered."""

    ACCOUNT = 1
    CLIENT = 2
    TOTAL = 3
    EDGE = 4
    FIRES = 5
    LEVEL = 6
    RUN = 7
    ALARM = 8
    PROGRAM = 9
    HOLD = 10
    ABSENCE = 11
    ANCHOR = 12
    GRANT = 13
    PERIOD = 14
    SCHEDULE = 15
    QUEUE = 16
    FORK = 18
    APPROVAL = 19
    POSITION = 20
    TOLD = 21
    SYMBOL = 22
    GROUP = 23
    LATE = 24
    FOLLOWED = 25
    RATES = 30
    RATE_WANTED = 31
    REMEMBERED = 32


Value = (
    AccountRow
    | ClientRow
    | Total
    | Edge
    | Fires
    | Level
    | Alarm
    | Hold
    | Absence
    | Approval
    | Anchor
    | Scheduled
    | Queue
    | OpenRun
    | Manifest
    | Ledger
    | PeriodEnds
    | PositionRow
    | Told
    | ThingRow
    | Branched
    | Late
    | Followed
    | Board
    | Wanted
    | Remembered
)
Slot = tuple[int, str]

ACCOUNT: Slot = (Kind.ACCOUNT.value, "")  # plain numbers: an enum hashes more slowly
CLIENT: Slot = (Kind.CLIENT.value, "")

_decoders: dict[int, msgspec.json.Decoder[Any]] = {
    Kind.ACCOUNT: msgspec.json.Decoder(AccountRow),
    Kind.CLIENT: msgspec.json.Decoder(ClientRow),
    Kind.TOTAL: msgspec.json.Decoder(Total),
    Kind.EDGE: msgspec.json.Decoder(Edge),
    Kind.FIRES: msgspec.json.Decoder(Fires),
    Kind.LEVEL: msgspec.json.Decoder(Level),
    Kind.RUN: msgspec.json.Decoder(OpenRun),
    Kind.ALARM: msgspec.json.Decoder(Alarm),
    Kind.PROGRAM: msgspec.json.Decoder(Manifest),
    Kind.HOLD: msgspec.json.Decoder(Hold),
    Kind.ABSENCE: msgspec.json.Decoder(Absence),
    Kind.GRANT: msgspec.json.Decoder(Ledger),
    Kind.PERIOD: msgspec.json.Decoder(PeriodEnds),
    Kind.APPROVAL: msgspec.json.Decoder(Approval),
    Kind.POSITION: msgspec.json.Decoder(PositionRow),
    Kind.TOLD: msgspec.json.Decoder(Told),
    Kind.SYMBOL: msgspec.json.Decoder(SymbolRow),
    Kind.GROUP: msgspec.json.Decoder(GroupRow),
    Kind.FORK: msgspec.json.Decoder(Branched),
    Kind.LATE: msgspec.json.Decoder(Late),
    Kind.ANCHOR: msgspec.json.Decoder(Anchor),
    Kind.SCHEDULE: msgspec.json.Decoder(Scheduled),
    Kind.QUEUE: msgspec.json.Decoder(Queue),
    Kind.FOLLOWED: msgspec.json.Decoder(Followed),
    Kind.RATES: msgspec.json.Decoder(Board),
    Kind.RATE_WANTED: msgspec.json.Decoder(Wanted),
    Kind.REMEMBERED: msgspec.json.Decoder(Remembered),
}
encode_value = msgspec.json.Encoder(decimal_format="string").encode


def is_known(kind: int) -> bool:
    return kind in _decoders


def decode_value(kind: int, value: bytes) -> Value:
    decoded: Value = _decoders[kind].decode(value)
    return decoded
