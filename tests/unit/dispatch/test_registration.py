import socket

import pytest
from aiohttp.abc import AbstractResolver

from hub.dispatch.addresses import IN_HOUSE
from hub.dispatch.endpoint_url import EndpointUrlInvalid, parse_endpoint_url
from hub.dispatch.registration import check_endpoint_url

URL = "https://hooks.example.com/x"


class Names(AbstractResolver):
    def __init__(self, *addresses):
        self.addresses = addresses
        self.asked = []

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked.append((host, port))
        if not self.addresses:
            raise OSError("no such name")
        return [
            {"hostname": host, "host": each, "port": port, "family": family, "proto": 0, "flags": 0}
            for each in self.addresses
        ]

    async def close(self):
        pass


async def test_a_name_that_leads_to_public_addresses_is_accepted_without_a_word():
    names = Names("8.8.8.8", "2606:4700:4700::1111")

    assert await check_endpoint_url(URL, names) == ()
    assert names.asked == [("hooks.example.com", 443)]


@pytest.mark.parametrize(
    "addresses",
    [("10.0.0.1",), ("8.8.8.8", "169.254.169.254"), ("64:ff9b::a00:1",), ("127.0.0.1",), ("rubbish",)],
)
async def test_a_name_that_leads_inside_is_refused_and_not_told_where(addresses):
    with pytest.raises(EndpointUrlInvalid, match="does not deliver") as refused:
        await check_endpoint_url(URL, Names(*addresses))

    assert addresses[-1] not in str(refused.value)


async def test_a_name_that_cannot_be_resolved_is_a_warning():
    (warning,) = await check_endpoint_url(URL, Names())

    assert "hooks.example.com cannot be resolved now" in warning


async def test_what_is_opened_is_accepted():
    assert await check_endpoint_url(URL, Names("127.0.0.1"), allow_loopback=True) == ()
    assert await check_endpoint_url(URL, Names("10.9.8.7"), networks=IN_HOUSE) == ()


async def test_the_form_is_checked_before_any_name_is_asked():
    names = Names("8.8.8.8")

    with pytest.raises(EndpointUrlInvalid):
        await check_endpoint_url("https://10.0.0.1/", names)

    assert names.asked == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/", "http://[::1]/", "http://localhost/"])
def test_who_tries_things_out_on_his_machine_is_told_how(url: str) -> None:
    with pytest.raises(EndpointUrlInvalid, match="--allow-loopback-endpoints"):
        parse_endpoint_url(url)

    assert parse_endpoint_url(url, allow_loopback=True).scheme == "http"
