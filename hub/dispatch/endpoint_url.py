"""Which URLs may be registered as endpoints: plain http or https, no user information, nowhere inside."""

import ipaddress
import re

import yarl

from hub.dispatch.addresses import Networks, denied
from hub.errors import ConfigError

MAX_URL = 2048
_HOST = re.compile(
    r"(?=.{1,253}\.?$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.?"
)
_HERE = "; `hub run --allow-loopback-endpoints` delivers to this machine, for trying things out"
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_INSIDE = (
    ".local",
    ".internal",
    ".intranet",
    ".lan",
    ".home.arpa",
    ".localdomain",
    ".cluster.local",
    ".onion",
)


class EndpointUrlInvalid(ConfigError):
    """A URL nothing is delivered to."""


def parse_endpoint_url(text: str, *, allow_loopback: bool = False, networks: Networks = ()) -> yarl.URL:
    """Return the URL ready for sending. Raises EndpointUrlInvalid.

    A name is only checked for its form: where it leads is checked at every connect, because names change.
    """
    if len(text) > MAX_URL:
        raise EndpointUrlInvalid(f"the URL has {len(text)} characters: at most {MAX_URL} are allowed")
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise EndpointUrlInvalid(
            "the URL holds a space, a backslash or a character outside ASCII: percent-encode it, and write the host in punycode"
        )
    try:
        url = yarl.URL(text)
        port, host = url.port, url.raw_host
    except (ValueError, IndexError) as problem:  # the library stumbles over an empty [] before an @
        raise EndpointUrlInvalid(f"not a URL: {problem}") from None
    if url.scheme not in {"http", "https"}:
        raise EndpointUrlInvalid("the URL must begin with https:// or http://")
    if url.raw_user is not None or url.raw_password is not None or "@" in url.raw_authority:
        raise EndpointUrlInvalid(
            "the URL holds a user name or password: remove them, receivers check the signature"
        )
    if not host:
        raise EndpointUrlInvalid("the URL names no host")
    if port is None or not 1 <= port <= 65535:
        raise EndpointUrlInvalid("the port must lie between 1 and 65535")
    if url.raw_fragment:
        raise EndpointUrlInvalid("the URL holds a fragment (#…), which is never sent: remove it")
    _check_host(host.lower(), allow_loopback, networks)
    return url


def _check_host(host: str, allow_loopback: bool, networks: Networks) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        _check_name(host.rstrip("."), allow_loopback, inside=bool(networks))
        return
    why = denied(address, allow_loopback=allow_loopback, networks=networks)
    if why:
        raise EndpointUrlInvalid(
            f"{host} is no address the hub delivers to: {why}{_HERE if address.is_loopback else ''}"
        )


def _check_name(name: str, allow_loopback: bool, *, inside: bool) -> None:
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        if allow_loopback:
            return
        raise EndpointUrlInvalid(f"{name} is this machine{_HERE}")
    if not _HOST.fullmatch(name):
        raise EndpointUrlInvalid(f"{name[:80]!r} is not a host name")
    # 2130706433, 0x7f.1 and 017700000001 are addresses to some resolvers: a name's last label is never a number.
    last = name.rsplit(".", 1)[-1]
    if last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last):
        raise EndpointUrlInvalid(
            f"{name[:80]!r} is an address in a form the hub does not accept: write a.b.c.d"
        )
    # Where in-house networks are open, the address such a name leads to decides.
    if name.endswith(_INSIDE) and not inside:
        raise EndpointUrlInvalid(
            f"{name} is a name of an inner network: the hub delivers to public addresses only"
        )
