"""Server-sent events as they arrive: bounded, and read as the standard says, whatever they are cut into."""

from collections.abc import Iterator
from typing import Final, NamedTuple, final

from hub.errors import RecordMalformed

LONGEST: Final = 4 << 20  # bytes of one line, or of one event


class Event(NamedTuple):
    """`name` is "message" where the stream names none; `place` is where to resume behind it."""

    name: str
    data: str
    place: str


@final
class Reader:
    """Feed it bytes. `place` is the last one told, also by what is no event."""

    def __init__(self, place: str = "") -> None:
        self.place = place
        self._next = place  # what was told of the event that is not complete yet
        self._rest = b""
        self._data: list[str] = []
        self._size = 0
        self._name = ""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Return the events that are complete now. Raises RecordMalformed for what no hub sends."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LONGEST:
            raise RecordMalformed("the stream sent a line longer than any event is")
        for line in lines:
            event = self._line(line.removesuffix(b"\r").decode(errors="replace"))
            if event is not None:
                yield event

    def _line(self, line: str) -> Event | None:
        if not line:
            self.place = self._next
            found = Event(self._name or "message", "\n".join(self._data), self.place) if self._data else None
            self._data, self._size, self._name = [], 0, ""
            return found
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "data":
                self._size += len(value)
                if self._size > LONGEST:
                    raise RecordMalformed("the stream sent an event longer than any is")
                self._data.append(value)
            case "id" if "\0" not in value:
                self._next = value
            case "event":
                self._name = value
            case _:
                pass  # comments, and how soon to come again
        return None
