"""The special-purpose address registries of IANA, written out, and a judge that knows nothing of the hub's own table.

Addresses are whole numbers here and blocks are compared bit by bit, so that a mistake in the hub's code, or in the
library it uses, is not made twice.
"""

import random
import socket
from collections.abc import Iterator

# https://www.iana.org/assignments/iana-ipv4-special-registry, with multicast, 6to4 relays and the class E beside it.
SPECIAL_V4 = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
]
# https://www.iana.org/assignments/iana-ipv6-special-registry, and the whole of what is not global unicast.
SPECIAL_V6 = [
    "::/128",
    "::1/128",
    "::/96",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3ffe::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "0000::/8",
    "0100::/8",
    "0200::/7",
    "0400::/6",
    "0800::/5",
    "1000::/4",
    "4000::/3",
    "6000::/3",
    "8000::/3",
    "a000::/3",
    "c000::/3",
    "e000::/4",
    "f000::/5",
    "f800::/6",
    "fe00::/9",
]
METADATA_V4 = ["169.254.169.254", "168.63.129.16", "169.254.170.2", "100.100.100.200", "192.0.0.192"]
METADATA_V6 = ["fd00:ec2::254", "fd20:ce::254"]
_NAT64 = 0x64_FF9B << 96


def number(text: str) -> int:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return int.from_bytes(socket.inet_pton(family, text), "big")


def text_v4(value: int) -> str:
    return socket.inet_ntop(socket.AF_INET, value.to_bytes(4, "big"))


def text_v6(value: int) -> str:
    return socket.inet_ntop(socket.AF_INET6, value.to_bytes(16, "big"))


def _blocks(texts: list[str], bits: int) -> list[tuple[int, int]]:
    found = []
    for text in texts:
        base, _, length = text.partition("/")
        found.append((number(base), bits - int(length)))
    return found


BLOCKS_V4 = _blocks(SPECIAL_V4, 32)
BLOCKS_V6 = _blocks(SPECIAL_V6, 128)
_METADATA_V4 = {number(text) for text in METADATA_V4}


def public_v4(value: int) -> bool:
    return value not in _METADATA_V4 and all(value >> free != base >> free for base, free in BLOCKS_V4)


def public_v6(value: int) -> bool:
    """Say whether a receiver may live there: in global unicast, or behind NAT64 at a public IPv4 address."""
    low = value & 0xFFFF_FFFF
    if value >> 32 == _NAT64 >> 32:
        return public_v4(low)
    isatap = (value >> 32) & 0xFDFF_FFFF == 0x5EFE
    return all(value >> free != base >> free for base, free in BLOCKS_V6) and not (
        isatap and not public_v4(low)
    )


def generated(count: int, seed: int = 20_261_121) -> Iterator[tuple[str, bool]]:
    """Yield addresses and whether they are public: the edges of all blocks, what hides in what, and plain chance."""
    chance = random.Random(seed)
    v4 = _edges(BLOCKS_V4, 32) + [number(text) for text in METADATA_V4]
    v6 = _edges(BLOCKS_V6, 128) + [number(text) for text in METADATA_V6]
    made = 0
    for value in v4:
        yield text_v4(value), public_v4(value)
    for value in v6:
        yield text_v6(value), public_v6(value)
    made = len(v4) + len(v6)
    while made < count:
        made += 1
        inner = chance.choice(v4) if chance.random() < 0.6 else chance.getrandbits(32)
        kind = chance.randrange(10)
        if kind == 0:
            yield text_v4(inner), public_v4(inner)
            continue
        prefix = 0x2A00_1450 << 96 | chance.getrandbits(32) << 64
        value = (
            0xFFFF << 32 | inner,
            inner,
            0xFFFF << 48 | inner,
            _NAT64 | inner,
            0x64_FF9B_0001 << 80 | chance.getrandbits(48) << 32 | inner,
            0x2002 << 112 | inner << 80 | chance.getrandbits(80),
            0x2001_0000 << 96 | chance.getrandbits(64) << 32 | (inner ^ 0xFFFF_FFFF),
            prefix | chance.choice((0x5EFE, 0x0200_5EFE)) << 32 | inner,
            _within(chance, BLOCKS_V6) if chance.random() < 0.7 else chance.getrandbits(128),
        )[kind - 1]
        yield text_v6(value), public_v6(value)


def _edges(blocks: list[tuple[int, int]], bits: int) -> list[int]:
    """Return the first and the last address of each block, and their neighbours outside."""
    found = []
    for base, free in blocks:
        last = base + (1 << free) - 1
        found += [base - 1, base, base + 1, last - 1, last, last + 1]
    return [value for value in found if 0 <= value < 1 << bits]


def _within(chance: random.Random, blocks: list[tuple[int, int]]) -> int:
    base, free = chance.choice(blocks)
    return base | chance.getrandbits(free) if free else base


def spellings_v4(value: int) -> list[str]:
    """Return ways to write an IPv4 address that one resolver or another understands."""
    a, b, c, d = value.to_bytes(4, "big")
    low16, low24 = value & 0xFFFF, value & 0xFF_FFFF
    return [
        f"{a}.{b}.{c}.{d}",
        f"{a}.{b}.{c}.{d}.",
        str(value),
        f"{value:#x}",
        f"{value:#X}",
        f"0{value:o}",
        f"{a}.{low24}",
        f"{a}.{b}.{low16}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a:#x}.{low24}",
        f"0{a:o}.{b}.{low16:#x}",
        f"{a:03}.{b:03}.{c:03}.{d:03}",
        f"{a}.{b}.{c}.0x{d:x}",
        f"{a}\u3002{b}\u3002{c}\u3002{d}",
        f"{a}\uff0e{b}\uff0e{c}\uff0e{d}",
        f"{a}\uff61{b}\uff61{c}\uff61{d}",
        "".join(chr(0xFF10 + int(digit)) if digit.isdigit() else digit for digit in f"{a}.{b}.{c}.{d}"),
        f"{a}%2e{b}%2e{c}%2e{d}",
        "".join(f"%{ord(letter):02x}" for letter in f"{a}.{b}.{c}.{d}"),
        f"[::ffff:{a}.{b}.{c}.{d}]",
        f"[::{a}.{b}.{c}.{d}]",
        f"[64:ff9b::{a}.{b}.{c}.{d}]",
        f"[::ffff:{a}.{b}.{c}.{d}%25eth0]",
        f"user@{a}.{b}.{c}.{d}",
        f"example.com@{a}.{b}.{c}.{d}",
        f"{a}.{b}.{c}.{d}\\@example.com",
        f"{a}.{b}.{c}.{d} ",
        f"{a}.{b}.{c}.{d}\t",
        f"[{a}.{b}.{c}.{d}]",
    ]
