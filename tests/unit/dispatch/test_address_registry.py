"""The hub's table of addresses against the registries, judged by code that shares nothing with it."""

import random
import socket
from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest
from unit.dispatch import address_registry as registry

from hub.dispatch.addresses import IN_HOUSE, denied_text, in_house
from hub.dispatch.endpoint_url import EndpointUrlInvalid, parse_endpoint_url

MANY = 10_000
INSIDE = [registry.number(text) for text in ("127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.7.9")]


def test_ten_thousand_addresses_are_judged_as_the_registries_judge_them():
    judged = [(text, public, denied_text(text)) for text, public in registry.generated(MANY)]

    assert len(judged) >= MANY
    assert sum(public for _, public, _ in judged) > 500  # both verdicts are asked for
    assert [(text, why) for text, public, why in judged if public is not (why is None)] == []


def test_every_block_is_denied_at_its_edges_and_everywhere_in_it():
    chance = random.Random(7)
    for blocks, text in ((registry.BLOCKS_V4, registry.text_v4), (registry.BLOCKS_V6, registry.text_v6)):
        for base, free in blocks:
            inside = [
                base,
                base + (1 << free) - 1,
                *(base + chance.getrandbits(free + 1) // 2 for _ in range(20)),
            ]
            assert all(denied_text(text(value)) for value in inside), text(base)


@pytest.mark.parametrize("text", registry.METADATA_V4 + registry.METADATA_V6)
def test_metadata_stays_closed_in_a_network_that_is_open(text):
    assert denied_text(text)
    assert denied_text(text, networks=IN_HOUSE)
    assert denied_text(text, networks=IN_HOUSE, allow_loopback=True)


@pytest.mark.parametrize("value", INSIDE)
def test_no_spelling_of_an_inner_address_can_be_registered(value):
    for spelling in registry.spellings_v4(value):
        with pytest.raises(EndpointUrlInvalid):
            parse_endpoint_url(f"http://{spelling}/hook")
        with pytest.raises(EndpointUrlInvalid):
            parse_endpoint_url(f"https://{spelling}:8443/hook")


def test_whatever_url_is_accepted_leads_to_a_public_address_or_to_a_name():
    """Any resolver reads the host of an accepted URL as a name, or as an address that is public."""
    chance = random.Random(11)
    accepted = 0
    for _ in range(3_000):
        value = chance.choice((chance.getrandbits(32), chance.choice(INSIDE)))
        spelling = chance.choice(registry.spellings_v4(value))
        try:
            url = parse_endpoint_url(f"http://{spelling}/")
        except EndpointUrlInvalid:
            continue
        accepted += 1
        host = url.raw_host
        assert urlsplit(str(url)).hostname == host
        try:
            packed = socket.inet_aton(host)  # reads every historical form
        except OSError:
            assert registry.public_v6(registry.number(host)), host
        else:
            assert registry.public_v4(int.from_bytes(packed, "big")), host
    assert accepted > 50


def test_what_is_opened_is_open_and_nothing_beside_it():
    networks = [ip_network("10.20.0.0/16"), ip_network("fd12:3456::/32")]

    assert denied_text("10.20.30.40", networks=networks) is None
    assert denied_text("fd12:3456::7", networks=networks) is None
    for text in (
        "10.21.0.1",
        "192.168.0.1",
        "127.0.0.1",
        "fd12:3457::1",
        "::ffff:10.20.30.40",
        "64:ff9b::10.20.30.40",
    ):
        assert denied_text(text, networks=networks), text
    assert denied_text("fd12:3456::5efe:127.0.0.1", networks=networks)
    assert denied_text("fd12:3456::7%eth0", networks=networks)


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0/0",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "8.8.8.0/24",
        "::/0",
        "fe80::/10",
        "::1/128",
        "10.0.0.0/7",
    ],
)
def test_only_in_house_networks_can_be_opened(text):
    with pytest.raises(ValueError, match="in-house"):
        in_house(text)


def test_names_of_inner_networks_are_accepted_where_networks_are_open():
    networks = [ip_network("10.20.0.0/16")]

    assert parse_endpoint_url("https://crm.corp.internal/hook", networks=networks)
    with pytest.raises(EndpointUrlInvalid, match="inner network"):
        parse_endpoint_url("https://crm.corp.internal/hook")
