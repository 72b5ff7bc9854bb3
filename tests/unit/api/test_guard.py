"""Names this hub may be called by, and what is hidden in what it shows."""

import pytest

from hub.api.gate import Hosts, name_of
from hub.api.stored import redacted, stored_json

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("LocalHost:8800", "localhost"),
        ("[::1]:8800", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1", "::1"),
        ("", ""),
    ],
)
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert name_of(host) == name


@pytest.mark.parametrize(
    ("host", "origin", "accepted"),
    [
        ("localhost:8800", None, True),
        ("localhost.evil.example", None, False),
        ("evil.example", None, False),
        (None, None, False),
        ("localhost", "http://localhost:3000", True),
        ("localhost", "https://evil.example", False),
        ("localhost", "null", False),
    ],
)
def test_only_its_own_names_are_answered(host: str | None, origin: str | None, accepted: bool) -> None:
    hosts = Hosts(LOCAL)

    assert hosts.accept(host, origin) is accepted
    assert hosts.accept(host, origin) is accepted


def test_behind_a_proxy_every_name_is_answered() -> None:
    assert Hosts(None).accept("hub.example.com", "https://console.example.com")


def test_spellings_of_a_host_cannot_fill_the_memory() -> None:
    hosts = Hosts(LOCAL)

    for port in range(1000):
        assert hosts.accept(f"localhost:{port}", None)

    assert len(hosts._known) <= 256


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "new_password",
        "passwd",
        "pwd",
        "api_key",
        "apiKey",
        "token",
        "Authorization",
        "client_secret",
    ],
)
def test_secrets_are_hidden_wherever_they_stand(name: str) -> None:
    assert redacted({"a": [{name: "x", "b": 1}]}) == {"a": [{name: "•••", "b": 1}]}


def test_nothing_else_is_hidden() -> None:
    shown = {"amount": "5", "compass": 1, "password": None}

    assert redacted(shown) == shown
    assert stored_json(b"\xff") is None
    assert stored_json(b"{") is None
    assert stored_json(b'{"a":1}') == {"a": 1}
