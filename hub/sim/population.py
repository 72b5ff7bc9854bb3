"""The people a simulated broker starts with."""

import hashlib
import random
from collections.abc import Iterator
from decimal import Decimal

from hub.sim.model import Account, Group, Platform

GROUPS = (
    Group("real/std"),
    Group("real/vip", default_leverage=200, margin_call=80, margin_stopout=30, commission_per_lot=Decimal(4)),
    Group("demo", margin_stopout=20, commission_per_lot=Decimal(0)),
)
FIRST_LOGIN = {Platform.MT4: 1001, Platform.MT5: 5001}
COUNTRIES = ("Cyprus", "Germany", "Poland", "Spain", "Brazil", "Vietnam", "Kenya", "Italy")
FIRST_NAMES = (
    "Anna",
    "Ben",
    "Chloe",
    "David",
    "Eva",
    "Felix",
    "Grace",
    "Hugo",
    "Iris",
    "Jonas",
    "Kira",
    "Leo",
)
LAST_NAMES = (
    "Adler",
    "Brandt",
    "Costa",
    "Duarte",
    "Engel",
    "Fischer",
    "Greco",
    "Hansen",
    "Ionescu",
    "Jensen",
)
DEPOSITS = (1_000, 2_500, 5_000, 10_000, 25_000)


def password_of(seed: int, login: int) -> str:
    """Return the password of a login: another for every seed, and never one anybody chose."""
    return hashlib.sha256(f"sim:{seed}:{login}".encode()).hexdigest()[:12]


def population(seed: int, *, mt4: int, mt5: int, at: int) -> Iterator[tuple[Account, Decimal]]:
    """Yield each account, still empty, with what it first deposits."""
    dice = random.Random(f"population:{seed}")  # noqa: S311 - repeatable on purpose, guards nothing
    for platform, count in ((Platform.MT4, mt4), (Platform.MT5, mt5)):
        for index in range(count):
            login = FIRST_LOGIN[platform] + index
            group = _group_of(index, count)
            account = Account(
                login=login,
                platform=platform,
                group=group,
                name=f"{dice.choice(FIRST_NAMES)} {dice.choice(LAST_NAMES)}",
                password=password_of(seed, login),
                password_investor=password_of(seed, -login),
                email=f"trader{login}@example.com",
                phone=f"+3579900{login:06d}",
                country=dice.choice(COUNTRIES),
                leverage=dice.choice((50, 100, 200)) if group != "real/vip" else 200,
                registered_at=at,
                changed_at=at,
            )
            deposit = Decimal(dice.choice(DEPOSITS) * (5 if group == "real/vip" else 1))
            yield account, deposit


def _group_of(index: int, count: int) -> str:
    if index == count - 1 and count > 2:
        return "demo"
    return "real/vip" if index % 4 == 3 else "real/std"
