"""What holds, absences, periods and schedules have in common: how lateness is told."""

import pytest

from hub.engine.timed_rows import late_by


@pytest.mark.parametrize(
    ("late", "told"),
    [
        (-1, ""),
        (0, ""),
        (999_999, ""),
        (1_000_000, "; late_by 1s"),
        (1_999_999, "; late_by 1s"),
        (61_500_000, "; late_by 61s"),
    ],
)
def test_lateness_is_told_in_whole_seconds_that_have_passed(late: int, told: str) -> None:
    assert late_by(late) == told
