"""The log as feeds read it: what was committed after a place, and how a place is told to whoever resumes there.

A log has axes. The embedded one counts all its rows together: one axis, and a place is one number. Past one machine
every partition counts its own rows, whoever owns it: a place is a number for each. Along an axis nothing is ever
committed before what is there already, so a place passes nothing over, and what stands behind it never changes.
"""

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from hub.bus.log import Input
from hub.errors import HubError

LONGEST: Final = 900  # characters of a place
_RANK, _SOME, _ALL = 1, 2, 3
_MOST_AXES: Final = 64
_LARGEST: Final = 2**62


class BadPlace(HubError):
    """A place this log never gave, or gave for other accounts."""


class TooOld(HubError):
    """A place whose next rows outlived their retention."""

    def __init__(self) -> None:
        super().__init__(
            "what followed that place is not kept any more: begin anew, and read what is missing elsewhere"
        )


@dataclass(frozen=True, slots=True)
class Stretch:
    """Events behind a place, in order along each axis, and the place behind all that was looked at for them.

    `done`: there was nothing behind that when the log was read.
    """

    rows: Sequence[Input]
    place: list[int]
    done: bool


class FeedLog(Protocol):
    """`axes` is how many there are."""

    axes: int

    def axis(self, row: Input) -> int: ...

    def number(self, row: Input) -> int:
        """Return where on its axis a row stands."""

    def axes_of(self, accounts: Collection[str] | None) -> Sequence[int]:
        """Return the axes on which events of these accounts ("server:login") are; None means of any."""

    async def end(self) -> list[int]:
        """Return the place behind everything that is committed by now."""

    async def at(self, moment: int) -> list[int]:
        """Return the place behind everything that was learned before a moment (µs) or is not kept any more."""

    async def translated(self, rank: int) -> list[int]:
        """Return the place that an embedded log gave as a rank, before the hub was moved. Raises BadPlace."""

    async def after(
        self, place: Sequence[int], axes: Sequence[int], accounts: Collection[str] | None, limit: int
    ) -> Stretch:
        """Return some of the events behind a place: of these axes, and of these accounts alone unless None.

        Raises TooOld.
        """


Numbers = Mapping[int, int]  # axis to number


def encode(axes: int, numbers: Numbers) -> str:
    """Return a place as text."""
    if axes == 1:
        data = bytes((_RANK,)) + _varint(numbers[0])
    elif len(numbers) == axes:
        data = bytes((_ALL,)) + b"".join([_varint(numbers[axis]) for axis in range(axes)])
    else:
        parts = [bytes((_SOME,))]
        for axis, number in numbers.items():
            parts += (bytes((axis,)), _varint(number))
        data = b"".join(parts)
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


async def decode(text: str, log: FeedLog, axes: Sequence[int]) -> list[int]:
    """Return the place a text tells, which has to cover these axes. Raises BadPlace."""
    numbers = _numbers(text)
    rank = numbers.pop(-1, None)
    if rank is not None:
        return [rank] if log.axes == 1 else await log.translated(rank)
    if log.axes == 1:
        raise bad_place()
    if not numbers.keys() >= set(axes):
        raise BadPlace(
            "that place was given to a stream of fewer accounts: ask for the same ones, or begin anew"
        )
    place = [0] * log.axes
    for axis in axes:
        place[axis] = numbers[axis]
    return place


def bad_place() -> BadPlace:
    return BadPlace("that place is not one of this hub's: begin anew without it")


def _numbers(text: str) -> dict[int, int]:
    """Return number by axis; what an embedded log gave stands under -1."""
    if not text.isascii() or len(text) > LONGEST:
        raise bad_place()
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise bad_place() from None
    kind, position = data[0] if data else 0, 1
    found: dict[int, int] = {}
    while position < len(data):
        axis = len(found)
        if kind == _RANK:
            axis = -1
        elif kind == _SOME:
            axis, position = data[position], position + 1
        number, position = _read_varint(data, position)
        if axis in found or axis >= _MOST_AXES:
            raise bad_place()
        found[axis] = number
    if not found or kind not in {_RANK, _SOME, _ALL}:
        raise bad_place()
    return found


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while position < len(data) and shift < 63:
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            if number > _LARGEST:
                break
            return number, position
    raise bad_place()
