"""What is checked of a URL when an endpoint is registered: its form, and where its name leads today.

Where it leads tomorrow is checked at every connect. This only tells people early, while they are looking.
"""

import yarl
from aiohttp.abc import AbstractResolver

from hub.dispatch.addresses import Networks, denied_text
from hub.dispatch.endpoint_url import EndpointUrlInvalid, parse_endpoint_url


async def check_endpoint_url(
    text: str,
    names: AbstractResolver | None,
    *,
    allow_loopback: bool = False,
    networks: Networks = (),
) -> tuple[str, ...]:
    """Return warnings. Raises EndpointUrlInvalid for a URL nothing is delivered to, and for a name that leads inside.

    `names` None: where a name leads is not asked.
    """
    url = parse_endpoint_url(text, allow_loopback=allow_loopback, networks=networks)
    return () if names is None else await _where_it_leads(url, names, allow_loopback, networks)


async def _where_it_leads(
    url: yarl.URL, names: AbstractResolver, allow_loopback: bool, networks: Networks
) -> tuple[str, ...]:
    host, port = url.raw_host, url.port
    assert host is not None
    assert port is not None
    try:
        found = await names.resolve(host, port)
    except (OSError, UnicodeError, ValueError):  # TimeoutError is an OSError
        return (
            f"{host} cannot be resolved now: deliveries to it will fail and be tried again until it can be",
        )
    for each in found:
        why = denied_text(each["host"], allow_loopback=allow_loopback, networks=networks)
        if why:
            # Which address it is stays unsaid: whoever asks could map an inner network by its names.
            raise EndpointUrlInvalid(
                f"{host} leads to an address the hub does not deliver to ({why}): "
                "give the receiver a public address, or open its network with delivering.allow_networks in hub.yaml"
            )
    return ()
