"""Where mails come back to is an address of one's own, and signed."""

from typing import Any

import pytest

from hub.config import load
from hub.errors import ConfigError
from hub.sending import return_path

PUBLIC = {"url": "https://hub.example.com", "link_secret": "s" * 40}


def settings(address: str | None, **more: Any) -> Any:
    mail = {"host": "smtp.example.com", "sender": "hub@broker.example", "return_path": address}
    return load(None, {"mail": mail} | more)


def test_it_is_signed_with_what_signs_links() -> None:
    path = return_path(settings("bounces@broker.example", public=PUBLIC))

    assert path is not None
    assert path.of("msg_" + "0" * 32).startswith("bounces+" + "0" * 32)
    assert return_path(settings(None, public=PUBLIC)) is None


@pytest.mark.parametrize("public", [{}, {"public": {"url": "https://hub.example.com"}}])
def test_without_a_secret_it_is_refused(public: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"set public\.link_secret"):
        return_path(settings("bounces@broker.example", **public))


@pytest.mark.parametrize(
    "address", ["bounces+x@broker.example", "b" * 15 + "@broker.example", "ü@broker.example"]
)
def test_what_could_not_be_told_apart_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="return_path"):
        settings(address)
