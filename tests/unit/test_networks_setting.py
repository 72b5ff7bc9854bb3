from ipaddress import ip_network
from pathlib import Path

import pytest

from hub.config import Settings, load
from hub.errors import ConfigError


def settings(tmp_path: Path, networks: str) -> Settings:
    file = tmp_path / "hub.yaml"
    file.write_text(f"delivering: {{allow_networks: {networks}}}\n")
    return load(file)


def test_networks_of_ones_own_are_named_in_the_file(tmp_path: Path) -> None:
    read = settings(tmp_path, '[10.20.0.0/16, "fd12:3456:789a::/48"]')

    assert read.delivering.allow_networks == (ip_network("10.20.0.0/16"), ip_network("fd12:3456:789a::/48"))
    assert Settings().delivering.allow_networks == ()


@pytest.mark.parametrize(
    ("networks", "says"),
    [
        ("[0.0.0.0/0]", "in-house"),
        ("[127.0.0.0/8]", "in-house"),
        ("[169.254.169.254/32]", "in-house"),
        ('["::/0"]', "in-house"),
        ("[10.20.0.1/16]", "host bits"),
        ("[office]", "is no network"),
    ],
)
def test_what_is_no_network_of_ones_own_is_refused_with_its_place(
    tmp_path: Path, networks: str, says: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(tmp_path, networks)

    assert "allow_networks" in str(refused.value)
    assert says in str(refused.value)
