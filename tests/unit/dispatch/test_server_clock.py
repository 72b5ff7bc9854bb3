from datetime import UTC, datetime

import pytest

from hub.clock import to_us
from hub.dispatch.channels.server_clock import parse_zone, server_seconds
from hub.errors import ConfigError


@pytest.mark.parametrize(
    ("zone", "moment", "shown"),
    [
        ("Etc/UTC", "2026-06-23T09:00", "2026-06-23T09:00"),
        ("+03:00", "2026-06-23T09:00", "2026-06-23T12:00"),
        ("-05:30", "2026-06-23T09:00", "2026-06-23T03:30"),
        ("Europe/Nicosia", "2026-01-23T09:00", "2026-01-23T11:00"),
        ("Europe/Nicosia", "2026-10-25T00:30", "2026-10-25T03:30"),
        ("Europe/Nicosia", "2026-10-25T01:30", "2026-10-25T03:30"),
    ],
)
def test_the_servers_clock_reads_as_its_zone_says(zone, moment, shown):
    at = to_us(datetime.fromisoformat(moment).replace(tzinfo=UTC))

    assert (
        server_seconds(at, parse_zone(zone)) == datetime.fromisoformat(shown).replace(tzinfo=UTC).timestamp()
    )


@pytest.mark.parametrize("zone", ["", "Mars/Base", "+3", "+99:00", "../etc/passwd", "EET+2"])
def test_a_zone_that_is_none_is_a_configuration_error(zone):
    with pytest.raises(ConfigError):
        parse_zone(zone)
