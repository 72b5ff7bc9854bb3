"""How large batches are: plain integers that the metrics page reads. A hub that works too hard shows it in small ones."""

from bisect import bisect_left
from dataclasses import dataclass, field

BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(slots=True)
class Sizes:
    """`counts` has a place for each bound, its own size included, and one for what is larger."""

    total: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, size: int) -> None:
        self.total += size
        self.counts[bisect_left(BOUNDS, size)] += 1
