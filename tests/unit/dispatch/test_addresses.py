from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.dispatch.addresses import denied, denied_text
from hub.dispatch.endpoint_url import EndpointUrlInvalid, parse_endpoint_url

DENIED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "233.252.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::10.0.0.1",
    "::ffff:0:8.8.8.8",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::192.168.1.1",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1::10.0.0.1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:0:0:0:0:0:0:1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:1::1",
    "2001:2::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:a9fe:a9fe::",
    "2002:808:808::",
    "2620:4f:8000::1",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",
    "8000::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "feb0::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "fe80::5efe:10.0.0.1",
    "2a00:1450::5efe:10.0.0.1",
    "2a00:1450::200:5efe:127.0.0.1",
    "2a00:1450::5efe:169.254.169.254",
    "2606:4700::1%lo",
    "not-an-address",
    "127.1",
    "0x7f.0.0.1",
]
ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "126.255.255.255",
    "128.0.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.167.255.255",
    "192.169.0.1",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "2001:200::1",
    "2001:4860:4860::8888",
    "64:ff9b::8.8.8.8",
    "2a00:1450::5efe:8.8.8.8",
]


def test_the_corpus_is_as_large_as_it_is_meant_to_be():
    assert len(set(DENIED)) >= 80


@pytest.mark.parametrize("text", DENIED)
def test_nothing_is_sent_inside_in_any_disguise(text):
    assert denied_text(text)


@pytest.mark.parametrize("text", ALLOWED)
def test_public_addresses_are_reached(text):
    assert denied_text(text) is None


def test_trying_out_allows_loopback_and_nothing_else_inside():
    allowed = [text for text in DENIED if denied_text(text, allow_loopback=True) is None]

    assert set(allowed) == {"127.0.0.1", "127.1.2.3", "127.255.255.255", "::1"}


@given(st.integers(0, 2**32 - 1))
def test_what_is_denied_plainly_is_denied_in_every_form_that_hides_it(number):
    plain = denied(IPv4Address(number))
    forms = {
        "mapped": 0xFFFF << 32 | number,
        "compatible": number,
        "nat64": 0x64_FF9B << 96 | number,
        "6to4": 0x2002 << 112 | number << 80,
        "teredo": 0x2001_0000 << 96 | (number ^ 0xFFFF_FFFF),
        "isatap": 0x2A00_1450 << 96 | 0x5EFE << 32 | number,
    }

    open_forms = {name for name, value in forms.items() if denied(IPv6Address(value)) is None}

    assert open_forms == (set() if plain else {"nat64", "isatap"})


@given(st.integers(0, 2**32 - 1))
def test_what_the_standard_library_calls_not_global_is_denied(number):
    address = ip_address(number)

    if not address.is_global:
        assert denied(address) is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "http://example.com:8080/a?b=c",
        "https://xn--bcher-kva.example/",
        "https://1.1.1.1/x",
        "https://[2606:4700:4700::1111]:8443/",
        "https://my_host.example.com./x",
    ],
)
def test_ordinary_urls_are_accepted(url):
    assert str(parse_endpoint_url(url)).startswith("http")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "/relative",
        "ftp://example.com",
        "file:///etc/passwd",
        "gopher://example.com",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:pw@example.com/",
        "https://:pw@example.com/",
        "https://example.com@evil.example/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:port/",
        "https://example.com/#fragment",
        "https://exa mple.com/",
        "https://example.com\\@evil.example/",
        "https://example.com/\r\nHost: x",
        "https://bücher.example/",
        "https://example.com/" + "a" * 2048,
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://db.cluster.local/",
        "https://-bad.example/",
        "https://a..b/",
        "https://%31%32%37.0.0.1/",
        "https://[fe80::1%25eth0]/",
        "https://①②⑦.⓪.⓪.①/",
        "0://[]@",
    ],
)
def test_urls_that_lead_elsewhere_are_refused_with_a_reason(url):
    with pytest.raises(EndpointUrlInvalid) as refusal:
        parse_endpoint_url(url)

    assert len(str(refusal.value)) > 10


@given(st.text(max_size=60) | st.text("htps:/.@[]%#0127x", max_size=40).map(lambda tail: "https://" + tail))
def test_no_text_breaks_the_check_of_urls(text):
    try:
        url = parse_endpoint_url(text)
    except EndpointUrlInvalid:
        return
    assert url.scheme in {"http", "https"}
    assert url.raw_host
