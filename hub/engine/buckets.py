"""The running values of an aggregate's periods: found, replaced, and forgotten when nobody looks at them any more."""

from hub.engine.totals import Bucket, Total


def find(total: Total | None, start: int) -> Bucket | None:
    if total is None:
        return None
    buckets = total.buckets
    if buckets and buckets[-1].start == start:  # the present period, nearly always
        return buckets[-1]
    return next((bucket for bucket in buckets if bucket.start == start), None)


def replaced(total: Total, old: Bucket, new: Bucket) -> Total:
    buckets = total.buckets
    if len(buckets) == 1:
        return Total((new,))
    if buckets[-1] is old:
        return Total((*buckets[:-1], new))
    return Total(tuple(new if bucket is old else bucket for bucket in buckets))


def with_bucket(total: Total | None, new: Bucket, oldest: int) -> Total:
    if total is None:
        return Total((new,))
    kept = [bucket for bucket in total.buckets if bucket.start >= oldest and bucket.start != new.start]
    return Total(tuple(sorted([*kept, new], key=_start)))


def _start(bucket: Bucket) -> int:
    return bucket.start
