"""Times as somebody types them: a day, a time, or how long ago."""

import pytest

from hub.clock import ManualClock, iso
from hub.commands.moments import moment_or_age
from hub.errors import ConfigError
from hub.testing import MORNING


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2h", "2026-06-23T07:00:00.000Z"),
        ("90m", "2026-06-23T07:30:00.000Z"),
        ("2026-03-01", "2026-03-01T00:00:00.000Z"),
        ("2026-03-01T12:00+02:00", "2026-03-01T10:00:00.000Z"),
    ],
)
def test_a_time_or_how_long_ago_may_be_typed(text: str, at: str) -> None:
    found = moment_or_age(text, "--since", ManualClock(MORNING))

    assert found is not None
    assert iso(found) == at


@pytest.mark.parametrize(
    "text", ["yesterday", "2x", "2", "99999d", "-1h", "0001-01-01T00:00+14:00", "9999-12-31T23:59-10:00"]
)
def test_what_is_neither_is_refused_with_both_ways_to_write_it(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--since .* is no time: write 2026-03-01 .* such as 2h"):
        moment_or_age(text, "--since", ManualClock(MORNING))


def test_nothing_typed_is_no_time() -> None:
    assert moment_or_age("", "--since", ManualClock(MORNING)) is None
