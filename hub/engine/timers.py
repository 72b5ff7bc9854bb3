"""What the engine's timers carry, and how they are named."""

from hashlib import sha256

import msgspec

from hub.engine.rows import TimerRow


class WindowTimer(msgspec.Struct, frozen=True):
    """Wakes a key when its aggregate lets a contribution go."""

    aggregate: str
    due: int
    kind: str = "window"

    def encoded(self) -> bytes:
        return msgspec.json.encode(self)


decode_window = msgspec.json.Decoder(WindowTimer).decode


class WaitTimer(msgspec.Struct, frozen=True):
    """Wakes a key when a run has waited long enough."""

    run: str
    due: int
    kind: str = "wait"

    def encoded(self) -> bytes:
        return msgspec.json.encode(self)


class TriggerTimer(msgspec.Struct, frozen=True):
    """Wakes a key when a condition has held, or an event has been absent, long enough."""

    trigger: str
    due: int
    kind: str

    def encoded(self) -> bytes:
        return msgspec.json.encode(self)


def timer_id(key: str, what: str, due: int) -> str:
    """Return the id of one expiry, of an aggregate or of a run's wait; the due time is part of it, so a moved timer is another timer.

    It only has to tell apart timers of one and the same microsecond: 80 bits do.
    """
    return "tmr_" + sha256(f"{key}\0{what}\0{due}".encode()).hexdigest()[:20]


def window_timer(partition: int, key: str, aggregate: str, due: int) -> TimerRow:
    """Return the timer that wakes a key when its aggregate lets something go."""
    name = timer_id(key, aggregate, due)
    return TimerRow(partition, due, name, key, "window", WindowTimer(aggregate, due).encoded())


def wait_timer(partition: int, key: str, run: str, position: int, due: int) -> TimerRow:
    """Return the timer that ends what a run waits for at a step."""
    name = timer_id(key, f"{run}@{position}", due)
    return TimerRow(partition, due, name, key, "wait", WaitTimer(run, due).encoded())
