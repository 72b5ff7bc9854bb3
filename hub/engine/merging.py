"""Contributions that are too many to keep one by one: the oldest become one for each minute, hour or day."""

from collections.abc import Callable, Iterable, Sequence

from hub.engine.series import Op, Part, Series, merged

MERGED_AT_ONCE = 2_000
GRAINS = (60_000_000, 3_600_000_000, 86_400_000_000)


def merge(series: Series, skip: int, period_of: Callable[[int], int]) -> list[Op]:
    """Merge the oldest contributions minute by minute; by the hour or day where that gains too little.

    Those of two periods stay apart, and the first few are skipped: they leave anyway.
    """
    oldest = series.head(skip + MERGED_AT_ONCE)[skip:]
    groups: list[list[Part]] = []
    for grain in GRAINS:
        groups = _grouped(oldest, [(part.at // grain, period_of(part.at)) for part in oldest])
        if len(groups) <= len(oldest) * 3 // 4:
            break
    ops: list[Op] = []
    for group in groups:
        if len(group) > 1:
            ops += [Op(part.at, part.ref, None, None) for part in group]
            one = merged(group)
            ops.append(Op(one.at, one.ref, one.text, one))
    return ops


def _grouped(parts: Sequence[Part], keys: Iterable[object]) -> list[list[Part]]:
    groups: list[list[Part]] = []
    last: object = None
    for part, key in zip(parts, keys, strict=True):
        if not groups or key != last:
            groups.append([])
            last = key
        groups[-1].append(part)
    return groups
