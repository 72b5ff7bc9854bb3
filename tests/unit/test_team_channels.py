"""A hub whose team cannot be reached says so when it starts, without a word of the address."""

from typing import Any

import pytest

from hub.clock import SystemClock
from hub.config import load
from hub.errors import ConfigError
from hub.team_channels import team_channels


def channels(address: str | None, section: str = "chat", **more: Any) -> Any:
    secrets = {} if address is None else {"risk_chat": address}
    flags = {section: {"teams": {"risk": "risk_chat"}} | more, "secrets": secrets}
    return team_channels(load(None, flags), SystemClock())


@pytest.mark.parametrize(("section", "verb"), [("chat", "notify.chat"), ("page", "notify.page")])
def test_each_section_offers_its_verb(section: str, verb: str) -> None:
    (channel,) = channels(" tgram://123456789:abcdefg_hijklmnop/12315544/\n", section)

    assert channel.offers == {verb}
    assert channel.sends_once


def test_an_address_that_is_not_there_is_named_with_where_to_put_it() -> None:
    with pytest.raises(ConfigError, match=r"chat\.teams\.risk: .* HUB_SECRETS__RISK_CHAT"):
        channels(None)


@pytest.mark.parametrize("address", ["T0kenOnly", "slack://T0ken/a b", "slack://T0ken\n\x00/x"])
def test_what_is_no_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ConfigError, match="no address as Apprise writes them") as found:
        channels(address)

    assert "T0ken" not in str(found.value).replace("slack://TokenA", "")


@pytest.mark.parametrize("more", [{"teams": {}}, {"processes": 0}, {"timeout_s": 61}, {"url": "x"}])
def test_a_section_has_bounds(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        channels("json://127.0.0.1", **more)
