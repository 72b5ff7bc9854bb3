"""Everyone works out the same plan, nobody gets more than a share, and a change moves little."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hub.bus.members import share

NAMES = [str(partition) for partition in range(64)]
MEMBERS = st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=9)


@given(st.sets(st.text(max_size=5), max_size=40), MEMBERS)
def test_every_name_has_one_member_and_nobody_has_more_than_a_share(
    names: set[str], members: set[str]
) -> None:
    plan = share(names, members)

    assert plan.keys() == names
    assert set(plan.values()) <= members
    assert max(Counter(plan.values()).values(), default=0) <= -(-len(names) // len(members))


@given(MEMBERS)
def test_the_order_in_which_members_are_known_changes_nothing(members: set[str]) -> None:
    ordered = sorted(members)

    assert share(NAMES, ordered) == share(NAMES[::-1], ordered[::-1])


def test_nobody_there_means_nothing_planned() -> None:
    assert share(NAMES, []) == {}
    assert share([], ["ann"]) == {}


def test_a_newcomer_takes_little_more_than_its_share_out_of_other_hands() -> None:
    moves = []
    for round_ in range(50):
        members = [f"{round_}-{n}" for n in range(4)]
        before, after = share(NAMES, members[:3]), share(NAMES, members)
        moves.append(sum(before[name] != after[name] for name in NAMES))

    assert max(moves) <= 16 + 10  # 16 is its share, the rest makes room for it
    assert sum(moves) / len(moves) <= 16 + 5


def test_who_leaves_moves_little_more_than_what_it_had() -> None:
    moves = []
    for round_ in range(50):
        members = [f"{round_}-{n}" for n in range(4)]
        before, after = share(NAMES, members), share(NAMES, members[:3])
        moves.append(sum(before[name] != after[name] for name in NAMES if before[name] != members[3]))

    assert max(moves) <= 10
