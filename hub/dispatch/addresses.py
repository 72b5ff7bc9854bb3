"""Which network addresses a delivery may reach: the public ones, looked at through every form that hides another.

A table of our own, because ``is_global`` of the standard library says yes to addresses that lead inside.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Networks = Sequence[Network]

_DENIED_V4 = tuple(
    (IPv4Network(block), why)
    for block, why in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud metadata"),
        ("169.254.0.0/16", "link-local and cloud metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved and broadcast"),
    )
)
# Global unicast is the only part of IPv6 a receiver can live in; the exceptions within it follow.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_TEREDO = IPv6Network("2001::/32")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_DENIED_V6 = tuple(
    (IPv6Network(block), why)
    for block, why in (
        ("2001::/23", "protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("2620:4f:8000::/48", "AS112"),
        ("3ffe::/16", "6bone, given back"),
        ("3fff::/20", "documentation"),
    )
)
_LOOPBACK_V4 = IPv4Network("127.0.0.0/8")
_LOOPBACK_V6 = IPv6Address("::1")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
# What an operator may open for receivers of his own. Nothing else is ever his own.
IN_HOUSE: tuple[Network, ...] = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("fc00::/7"),
)
# Whoever reaches one of these gets the machine's own credentials: they stay closed in a network that is opened, too.
_METADATA: frozenset[Address] = frozenset(
    ip_address(text)
    for text in (
        "100.100.100.200",
        "168.63.129.16",
        "169.254.169.254",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)


def denied(address: Address, *, allow_loopback: bool = False, networks: Networks = ()) -> str | None:
    """Return why nothing may be sent to this address, or None when it may. `networks` are in-house ones that are open."""
    if allow_loopback and _is_loopback(address):
        return None
    if isinstance(address, IPv4Address):
        why = next((why for block, why in _DENIED_V4 if address in block), None)
        return None if why is None or _opened(address, networks) else why
    if address.scope_id:
        return "scoped to an interface"
    for form, inner in _hidden(address):
        why = denied(inner)
        if why:
            return f"{form} of {inner} ({why})"
        if form not in {"NAT64", "ISATAP"}:
            return f"{form} address"  # no receiver is reached this way today; whoever uses it hides something
    if address in _NAT64:
        return None
    if _opened(address, networks):
        return None
    if address not in _GLOBAL_UNICAST:
        return "not a public IPv6 address"
    return next((why for block, why in _DENIED_V6 if address in block), None)


def denied_text(text: str, *, allow_loopback: bool = False, networks: Networks = ()) -> str | None:
    """Return why nothing may be sent to this address as the resolver wrote it; what is no address is denied."""
    try:
        return denied(ip_address(text), allow_loopback=allow_loopback, networks=networks)
    except ValueError:
        return "not an IP address"


def is_loopback_host(host: str) -> bool:
    """Say whether a URL's host is this machine."""
    name = host.lower().rstrip(".")
    try:
        return _is_loopback(ip_address(name))
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def in_house(value: object) -> Network:
    """Return a network deliveries may be let into. Raises ValueError with what to write instead."""
    try:
        network = ip_network(str(value))
    except ValueError as problem:
        raise ValueError(f"{str(value)[:64]!r} is no network ({problem}): write 10.20.0.0/16") from None
    if not any(
        network.version == house.version and network.subnet_of(house)  # type: ignore[arg-type]  # of one version by then
        for house in IN_HOUSE
    ):
        raise ValueError(
            f"{network} is no network to open: only parts of {', '.join(map(str, IN_HOUSE))} can be in-house, "
            "and public addresses are open as it is"
        )
    return network


def _opened(address: Address, networks: Networks) -> bool:
    return any(address in network for network in networks) and address not in _METADATA


def _is_loopback(address: Address) -> bool:
    return address in _LOOPBACK_V4 if isinstance(address, IPv4Address) else address == _LOOPBACK_V6


def _hidden(address: IPv6Address) -> Iterator[tuple[str, IPv4Address]]:
    """Yield every IPv4 address this one stands for, with the name of the form."""
    value = int(address)
    low = IPv4Address(value & 0xFFFF_FFFF)
    if value >> 32 == 0xFFFF:
        yield "IPv4-mapped", low
    elif value >> 32 in {0, 0xFFFF_0000}:
        yield "IPv4-compatible", low
    elif address in _NAT64:
        yield "NAT64", low
    elif address in _SIX_TO_FOUR:
        yield "6to4", IPv4Address((value >> 80) & 0xFFFF_FFFF)
    elif address in _TEREDO:
        yield "Teredo", IPv4Address(~value & 0xFFFF_FFFF)
    elif (value >> 32) & 0xFFFF_FFFF in _ISATAP:
        yield "ISATAP", low
