"""Contributions to one aggregate of one key, in order of time: their running sum, or the words they are told apart by."""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from decimal import Context, Decimal
from typing import NamedTuple

import msgspec

# Sums must not depend on the order they were added in, so they are never rounded: 26 digits a value, any number of them.
EXACT = Context(prec=80)
ZERO = Decimal(0)
_plus, _minus = EXACT.add, EXACT.subtract  # each look-up of a method makes another object
_part = (
    tuple.__new__
)  # every contribution is made one, and a named tuple's own constructor takes twice as long
WITHDRAWN = "-"  # the text of a contribution that was taken back before it arrived
WORD = "="  # begins the text of a contribution that is a word; a number never does
SEPARATOR = "\x1f"  # no text from outside contains a control character


Moment = tuple[int, str]  # when, and under which ref


class Part(NamedTuple):
    """One contribution, or several merged into one; in order of (at, ref). One that is a `word` adds nothing up."""

    at: int
    ref: str
    sum: Decimal
    counted: int
    low: Decimal
    high: Decimal
    word: str | None = None

    @property
    def text(self) -> str:
        if self.word is not None:
            return WORD + self.word
        if self.counted == 1:
            return format(self.sum, "f")
        return "|".join(
            [format(self.sum, "f"), str(self.counted), format(self.low, "f"), format(self.high, "f")]
        )


def single(at: int, ref: str, value: Decimal) -> Part:
    return _part(Part, (at, ref, value, 1, value, value, None))


def worded(at: int, ref: str, word: str) -> Part:
    return Part(at, ref, ZERO, 1, ZERO, ZERO, word)


def merged(parts: Sequence[Part]) -> Part:
    """Return several contributions as one that stays as long as the latest of them would."""
    last = parts[-1]
    total = ZERO
    for part in parts:
        total = EXACT.add(total, part.sum)
    return Part(
        last.at,
        last.ref,
        total,
        sum(part.counted for part in parts),
        min(part.low for part in parts),
        max(part.high for part in parts),
    )


class Op(msgspec.Struct, frozen=True, gc=False):
    """One change of a stored contribution: `part` comes in, or with `text` None what stood at (at, ref) goes."""

    at: int
    ref: str
    text: str | None
    part: Part | None


class Series:
    """Kept sorted; the oldest leave from the front without moving the rest."""

    __slots__ = ("_gone", "_parts", "_refs", "_words", "count", "newest", "oldest", "sum", "withdrawn")

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._gone = 0  # how many at the front have left; the list is cut when they are half of it
        self._refs: dict[str, list[tuple[int, str]]] | None = None  # made when somebody first asks by ref
        self._words: dict[str, list[Moment]] | None = None  # by word, in order; made when somebody first asks
        self.withdrawn: dict[str, int] = {}
        self.sum = ZERO
        self.count = 0
        self.oldest: int | None = None  # when the first of them happened
        self.newest: int | None = None  # and the last

    def __len__(self) -> int:
        return len(self._parts) - self._gone

    def __iter__(self) -> Iterator[Part]:
        parts = self._parts
        for index in range(self._gone, len(parts)):
            yield parts[index]

    def backwards(self, end: int) -> Iterator[Part]:
        """Return the parts before a moment, the latest first."""
        parts = self._parts
        for index in range(bisect_left(parts, end, lo=self._gone, key=_at) - 1, self._gone - 1, -1):
            yield parts[index]

    def until(self, at: int) -> list[Part]:
        """Return the parts at or before a moment: those a window that starts after it has let go."""
        parts = self._parts
        first = last = self._gone
        # One by one: nearly always it is none or one, and as many as are found are returned anyway.
        while last < len(parts) and parts[last][0] <= at:
            last += 1
        return parts[first:last]

    def between(self, start: int, end: int) -> list[Part]:
        """Return the parts with start <= at < end."""
        first = bisect_left(self._parts, start, lo=self._gone, key=_at)
        last = bisect_left(self._parts, end, lo=first, key=_at)
        return self._parts[first:last]

    def head(self, count: int) -> list[Part]:
        return self._parts[self._gone : self._gone + count]

    def oldest_after(self, count: int) -> int | None:
        """Return when the first of them happened but for so many."""
        parts, index = self._parts, self._gone + count
        return parts[index][0] if index < len(parts) else None

    def of_ref(self, ref: str) -> list[Part]:
        """Return what stands under a ref, its later tellings included."""
        if self._refs is None:
            self._refs = {}
            for part in self:
                self._refs.setdefault(_base(part.ref), []).append((part.at, part.ref))
        found = []
        for at, full in self._refs.get(ref, ()):
            index = self._find(at, full)
            if index is not None:
                found.append(self._parts[index])
        return found

    @property
    def words(self) -> Mapping[str, Sequence[Moment]]:
        """Return where each word stands, in order."""
        if self._words is None:
            self._words = {}
            for part in self:
                if part.word is not None:
                    self._words.setdefault(part.word, []).append((part.at, part.ref))
        return self._words

    def at(self, at: int, ref: str) -> Part | None:
        """Return what stands at a moment under just this ref."""
        index = self._find(at, ref)
        return self._parts[index] if index is not None else None

    def numbered_ref(self, at: int, ref: str) -> str:
        """Return the ref, numbered so that those of one moment stay in the order they were told."""
        parts = self._parts
        first = bisect_left(parts, at, lo=self._gone, key=_at)
        last = bisect_left(parts, at + 1, lo=first, key=_at)
        if first == last:
            return ref
        number = 1 + max(number_of(part.ref) for part in parts[first:last])
        return f"{ref}{SEPARATOR}{number}"

    def free_ref(self, at: int, ref: str) -> str:
        """Return the ref, numbered where the same moment already has one of that name."""
        free, number = ref, 1
        while self._find(at, free) is not None:
            number += 1
            free = f"{ref}{SEPARATOR}{number}"
        return free

    def load(self, at: int, ref: str, text: str) -> None:
        if text == WITHDRAWN:
            self.withdrawn[ref] = at
        elif text.startswith(WORD):
            self._insert(worded(at, ref, text[len(WORD) :]))
        elif "|" in text:
            total, count, low, high = text.split("|")
            self._insert(Part(at, ref, Decimal(total), int(count), Decimal(low), Decimal(high)))
        else:
            self._insert(single(at, ref, Decimal(text)))

    def apply(self, op: Op) -> None:
        if op.part is not None:
            self._insert(op.part)
        elif op.text == WITHDRAWN:
            self.withdrawn[op.ref] = op.at
        else:
            self._remove(op.at, op.ref)

    def _insert(self, part: Part) -> None:
        at, ref, total, counted, _, _, word = part
        parts, newest = self._parts, self.newest
        if newest is None or at > newest:
            parts.append(part)
            self.newest = at
        elif part < parts[-1]:
            insort(parts, part, lo=self._gone)
        else:
            parts.append(part)
        if self.oldest is None or at < self.oldest:
            self.oldest = at
        if self._refs is not None:
            self._refs.setdefault(_base(ref), []).append((at, ref))
        if word is not None and self._words is not None:
            insort(self._words.setdefault(word, []), (at, ref))
        if total is not ZERO:  # what counts, or is a word, adds nothing
            self.sum = _plus(self.sum, total)
        self.count += counted

    def _remove(self, at: int, ref: str) -> None:
        index = self._find(at, ref)
        if index is None:
            if self.withdrawn.get(ref) == at:
                del self.withdrawn[ref]
            return
        part = self._parts[index]
        if index == self._gone:
            self._gone += 1
            if self._gone * 2 > len(self._parts):
                del self._parts[: self._gone]
                self._gone = 0
        else:
            del self._parts[index]
        is_left = len(self._parts) > self._gone
        self.oldest = self._parts[self._gone].at if is_left else None
        self.newest = self._parts[-1].at if is_left else None
        if self._refs is not None:
            base = _base(ref)
            left = self._refs[base]
            left.remove((at, ref))
            if not left:
                del self._refs[base]
        if part.word is not None and self._words is not None:
            places = self._words[part.word]
            del places[bisect_left(places, (at, ref))]
            if not places:
                del self._words[part.word]
        if part.sum is not ZERO:
            self.sum = _minus(self.sum, part.sum)
        self.count -= part.counted

    def _find(self, at: int, ref: str) -> int | None:
        parts, index = self._parts, self._gone
        if index < len(parts) and parts[index][0] == at and parts[index][1] == ref:
            return index  # nearly always it is the oldest that leaves
        index = bisect_left(parts, (at, ref), lo=index)
        if index < len(parts) and parts[index].at == at and parts[index].ref == ref:
            return index
        return None


def _at(part: Part) -> int:
    return part.at


def number_of(ref: str) -> int:
    """Return which telling of its moment a ref is: 1 for the first."""
    number = ref.partition(SEPARATOR)[2]
    return int(number) if number else 1


def _base(ref: str) -> str:
    return ref.partition(SEPARATOR)[0]
