"""What an account contributes to the aggregates over present rows, its own and those of other keys.

With every event that changes a row it is worked out anew, compared with what each key was told, and told where it
differs. So a key hears of every change once, also where the account moves to another client or group, where a workflow
is new, and where one is gone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hub.engine.current import UNKNOWN_PART, Current, part_of, read_part
from hub.engine.held import PositionRow, Told
from hub.engine.keys import KeyedBy, KeyKind, Whose, key_for
from hub.engine.positions import are_known, fold_positions, open_positions
from hub.engine.series import ZERO, Op
from hub.engine.values import Kind
from hub.engine.windows import Change
from hub.events.records import Envelope

if TYPE_CHECKING:  # the index of workflows makes a stock, and whoever takes it knows the index
    from hub.engine.plans import Feed
    from hub.engine.scene import Scene

Parts = dict[
    str, str | None
]  # what an account contributes, by the aggregate's name; None for nothing any more
# A new account contributes, and one that moves to another client or group does so there.
_MOVES: Final = frozenset({"account.login", "account.group", "client.id"})
_NO_ROWS: Final[Sequence[PositionRow | None]] = (None,)


class Stock(NamedTuple):
    """The aggregates over present rows, with the kind of key each is kept by, and what they depend on."""

    feeds: tuple[tuple[KeyedBy, "Feed"], ...]
    reads: frozenset[str]


def stock_of(feeds: Iterable[tuple[KeyedBy, "Feed"]]) -> Stock | None:
    """Return those of the aggregates that are over present rows; None where there are none."""
    found = tuple((kind, feed) for kind, feed in feeds if feed.aggregate.over)
    reads = set(_MOVES)
    for _, feed in found:
        for expression in (feed.gate, feed.value):
            reads |= {".".join(path.split(".")[:2]) for path in (expression.reads if expression else ())}
    return Stock(found, frozenset(reads)) if found else None


def take_stock(scene: "Scene", envelope: Envelope, record: Any, dirty: Sequence[str]) -> list[str]:
    """Take in what an event does to the account's present rows; return which of its own aggregates changed."""
    moved, stock = False, scene.program.stock
    if scene.program.folds_positions:
        what = fold_positions(scene.state, envelope, record)
        scene.decision.puts.update(what.puts)
        moved = bool(what.puts)
        if moved or what.row is not None:
            scene.moved = what
    if stock is None or not (moved or any(name in stock.reads for name in dirty)):
        return []
    return count_again(scene)


def count_again(scene: "Scene") -> list[str]:
    """Bring what every key was told of this account in line with how it stands; return what changed of its own."""
    changed: list[str] = []
    contributed = _contributed(scene)
    own = contributed.pop(scene.state.key, {})
    for kind, feed in scene.program.stock.feeds if scene.program.stock is not None else ():
        if kind is KeyKind.ACCOUNT and contribute(scene, feed, scene.state.key, own.get(feed.name)):
            changed.append(feed.name)
    heard: dict[str, Parts] = {}
    told = {key: value.parts for key, value in scene.state.of_kind(Kind.TOLD) if isinstance(value, Told)}
    for key in sorted(contributed.keys() | told.keys()):
        before, now = told.get(key, {}), contributed.get(key, {})
        if before != now:
            scene.decision.puts[(Kind.TOLD.value, key)] = Told(now) if now else None
            names = sorted(before.keys() | now.keys())
            heard[key] = {name: now.get(name) for name in names if before.get(name) != now.get(name)}
    scene.told = heard
    return changed


def contribute(scene: "Scene", feed: "Feed", account: str, text: str | None) -> bool:
    """Have an account's contribution to an aggregate of this key be what it is now; return whether it was another."""
    assert isinstance(feed.accumulator, Current)
    change = feed.accumulator.put(scene.holding(feed), account, text)
    if change is not None:
        scene.changed(feed, change)
    return change is not None


def _contributed(scene: "Scene") -> dict[str, dict[str, str]]:
    """Return what the account contributes to which key."""
    stock, found = scene.program.stock, dict[str, dict[str, str]]()
    if stock is None:
        return found
    puts = scene.decision.puts
    rows: Sequence[PositionRow | None] = open_positions(scene.state, puts)
    known = are_known(scene.state, puts)
    env = scene.base_for_feeds()
    for kind, feed in stock.feeds:
        values: defaultdict[str, list[Decimal]] = defaultdict(list)
        of_positions = feed.aggregate.over == "positions"
        env["params"] = feed.params
        for row in rows if of_positions else _NO_ROWS:
            key = _key(scene, kind, row)
            if key is None:
                continue
            env["position"] = row
            if feed.gate is not None and not feed.gate.holds(env):
                continue
            value = ZERO if feed.value is None else feed.value.evaluate(env)
            if isinstance(value, int) and not isinstance(value, bool):
                value = Decimal(value)
            if isinstance(value, Decimal):
                values[key].append(value)
        for key, each in values.items():
            text = part_of(each)
            if text is not None:
                found.setdefault(key, {})[feed.name] = text if known or not of_positions else UNKNOWN_PART
    env.pop("position", None)
    return found


def _key(scene: "Scene", kind: KeyedBy, row: PositionRow | None) -> str | None:
    if kind is KeyKind.ACCOUNT:
        return scene.state.key
    account = scene.account
    whose = Whose(account.server, scene.client.id, account.group, row.symbol if row is not None else None)
    return key_for(kind, whose)


def restock(scene: "Scene") -> None:
    """Bring an account in line with another set of workflows.

    What was followed under an earlier set is counted anew over the log; where that reaches less far back, an account
    that has nothing open says so.
    """
    account = scene.state.account
    if account is None:
        return
    if scene.program.folds_positions and account.open_positions == 0:
        for name, _ in scene.state.of_kind(Kind.POSITION):
            scene.decision.puts[(Kind.POSITION.value, name)] = None
    count_again(scene)


def hear_of(scene: "Scene", account: str, parts: Mapping[str, str | None]) -> list[str]:
    """Take in what an account contributes from now on to aggregates of this key; return which of them changed."""
    changed: list[str] = []
    for name, text in parts.items():
        feed = scene.program.feeds.get(name)
        if feed is not None and feed.aggregate.over is not None:
            if contribute(scene, feed, account, text):
                changed.append(name)
            continue
        # Nobody counts it here: any more, or not yet, where the account's partition went over to other workflows first.
        series = scene.state.series.get(name)
        ops = [Op(0, account, None, None)] if series is not None and series.at(0, account) is not None else []
        if text is not None:
            part = read_part(account, text)
            ops.append(Op(0, account, part.text, part))
        if ops:
            scene.decision.changes[name] = Change(None, None, None, ops)
    return changed
