from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from hub.clock import SystemClock
from hub.config import Settings, load
from hub.errors import ConfigError
from hub.sending import notifiers


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


def test_a_provider_in_a_network_that_is_opened_can_be_named() -> None:
    sms = {"account_sid": "AC1", "auth_token": "x", "sender": "+1", "url": "https://sms.corp.internal"}
    nobody: Any = None  # text messages need to know no recipients

    with pytest.raises(ConfigError, match=r"sms\.url: .* inner network"):
        notifiers(load(None, {"sms": sms}), nobody, SystemClock())
    opened = {"sms": sms, "delivering": {"allow_networks": ["10.20.0.0/16"]}}
    (channel,) = notifiers(load(None, opened), nobody, SystemClock())

    assert channel.offers == {"notify.sms"}
