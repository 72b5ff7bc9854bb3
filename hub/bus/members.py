"""Who of several members should have what: each works it out alone and all come to the same, and a change moves little."""

import hashlib
from collections.abc import Collection


def share(names: Collection[str], members: Collection[str]) -> dict[str, str]:
    """Return which member should have each name; nobody gets more than his share, rounded up.

    Each name goes to the member that scores highest for it among those with room, and the highest score of all is
    served first. So who joins takes a little from everybody, and who leaves leaves a little to everybody.
    """
    room = dict.fromkeys(members, -(-len(names) // max(len(members), 1)))
    bids = sorted(((_score(member, name), name, member) for name in names for member in room), reverse=True)
    plan: dict[str, str] = {}
    for _, name, member in bids:
        if name not in plan and room[member]:
            plan[name] = member
            room[member] -= 1
    return plan


def _score(member: str, name: str) -> bytes:
    return hashlib.sha256(f"{member}|{name}".encode()).digest()
