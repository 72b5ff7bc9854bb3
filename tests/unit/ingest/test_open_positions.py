"""Positions in samples: read from every source, compared as accounts are, and nothing kept of those nobody watches."""

import contextlib
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from unit.ingest.test_watcher import Bench, a_level, a_sample, life, oracle

from hub.bus.log import Input, InputKind
from hub.engine.rows import LevelRow
from hub.errors import StoreUnavailable
from hub.events.records import decode_data, decode_envelope
from hub.events.watched import RELAYED, Rule, decode_relayed, encode_rule
from hub.ids import partition_of
from hub.ingest.fields import Fields
from hub.ingest.mt5rest_samples import read_sample as read_frame
from hub.ingest.offers import decode_observed
from hub.ingest.posted_samples import read_sample
from hub.ingest.refusals import FieldError
from hub.ingest.samples import MOST_POSITIONS, PositionSample, Sample, in_parts

KAFKA_TAKES = 64 * 1024
POSTED = {"account": {"server": "live-1", "login": 7001}, "equity": "1000", "at": "2026-06-23T09:00:00Z"}


def a_position_level(name: str, ticket: int, *, login: int = 7001, **row: Any) -> LevelRow:
    level = a_level(name, login=login, field="profit", **row)
    return level._replace(key=f"position=live-1:{ticket}", rule=encode_rule(Rule(login=login)))


LEVELS = [
    a_position_level(f"{ticket}{side}{state}", ticket, side=side, at="900", rearm=rearm, state=state)
    for ticket in (7001, 7002)
    for side, rearm in (("below", "950"), ("above", "880"))
    for state in ("new", "armed", "crossed")
]


class PositionBench(Bench):
    """Two positions of one account; what is told of them comes to the account."""

    async def see_profits(self, *profits: tuple[int, str]) -> None:
        await self.watcher.samples(
            [
                replace(a_sample(), positions=(PositionSample(ticket, Decimal(profit)),))
                for ticket, profit in profits
            ]
        )

    def answer(self) -> None:
        rows = self.log.rows()[self.answered :]
        self.answered += len(rows)
        for row in rows:
            for name, generation, edge in told_by(row):
                level = self.levels[name]
                before = {"crossed": "armed", "recovered": "crossed"}.get(edge, "new")
                if level.generation == generation and level.state == before:
                    after = "crossed" if edge in {"crossed", "beyond"} else "armed"
                    self.levels[name] = level._replace(generation=generation + 1, state=after)
                    self.watcher.changed([self.levels[name]])

    def told(self) -> list[tuple[str, int, str]]:
        return [told for row in self.log.rows() for told in told_by(row)]


def told_by(row: Input) -> list[tuple[str, int, str]]:
    assert row.key == "live-1:7001"
    assert row.partition == partition_of("live-1", 7001)
    if row.kind == InputKind.COMMAND:
        assert row.ref == RELAYED
        told = decode_relayed(row.body)
        assert told.key.startswith("position=live-1:")
        return [
            (item.level_id, item.generation, "beyond" if item.beyond else "within")
            for item in decode_observed(bytes(told.body))
        ]
    data = decode_data(decode_envelope(row.body))
    return [(data.level_id, data.generation, data.edge)]


@given(life())
async def test_each_level_of_a_position_tells_what_an_oracle_tells(story: list[tuple[str, Any]]) -> None:
    bench = PositionBench()
    bench.watch(*LEVELS)
    seen: dict[int, list[Decimal]] = {7001: [], 7002: []}

    for what, profits in story:
        if what == "see":
            for ticket, profit in profits:
                seen[ticket].append(Decimal(profit))
            with contextlib.suppress(StoreUnavailable):
                await bench.see_profits(*profits)
        elif what == "answer":
            bench.answer()
        else:
            bench.log.fails = [what]
    bench.log.fails = []
    await bench.settle()

    told = bench.told()
    for level in LEVELS:
        ticket = int(level.key.rpartition(":")[2])
        assert [item for item in told if item[0] == level.level_id] == oracle(level, seen[ticket])


async def test_of_positions_nobody_watches_nothing_is_kept() -> None:
    bench = PositionBench()
    bench.watch(a_position_level("l", 1))
    await bench.see_profits((1, "1000"), (2, "1000"))

    assert bench.watcher.last_seen("position=live-1:1") is not None
    assert bench.watcher.last_seen("position=live-1:2") is None
    assert bench.watcher.follows_positions()

    bench.watch(bench.levels["l"]._replace(state="gone", generation=2))

    assert bench.watcher.last_seen("position=live-1:1") is None
    assert not bench.watcher.follows_positions()


async def test_a_position_of_one_account_is_not_told_by_the_sample_of_another() -> None:
    bench = PositionBench()
    bench.watch(a_position_level("l", 1), a_position_level("m", 2, login=7002))
    stranger = replace(a_sample(login=7002), positions=(PositionSample(1, Decimal(1)),))

    await bench.watcher.samples([stranger])

    assert bench.told() == []


async def test_money_that_moves_the_account_says_nothing_against_its_positions() -> None:
    bench = PositionBench()
    bench.watch(a_position_level("l", 1))
    await bench.see_profits((1, "1000"))
    paid_in = replace(a_sample("1500", balance="1500", at=1), positions=(PositionSample(1, Decimal(5)),))

    receipt = await bench.watcher.samples([paid_in])

    assert receipt.waiting == 1
    assert [edge for _, _, edge in bench.told()] == ["crossed"]


# What sources tell


def test_a_posted_sample_may_tell_positions() -> None:
    positions = [{"position": 77, "profit": "120.5", "price": "1.0962"}, {"position": 78}]

    sample = read_sample(POSTED | {"positions": positions}, None)

    assert isinstance(sample, Sample)
    assert sample.positions == (
        PositionSample(77, Decimal("120.5"), Decimal("1.0962")),
        PositionSample(78, None, None),
    )


@pytest.mark.parametrize(
    "positions",
    [
        [{"position": 0, "profit": "1"}],
        [{"position": "77", "profit": "1"}],
        [{"profit": "1"}],
        [{"position": 77, "profit": "NaN"}],
        [{"position": 77, "price": "-1"}],
        [{"position": 77, "profitt": "1"}],
        [{"position": 77}, {"position": 77}],
        [{"position": number} for number in range(1, MOST_POSITIONS + 2)],
        "77",
        {"77": "1"},
        None,
    ],
)
def test_positions_that_cannot_be_are_refused_with_their_sample(positions: object) -> None:
    refused = read_sample(POSTED | {"positions": positions}, None)

    assert isinstance(refused, list)
    assert isinstance(refused[0], FieldError)
    assert refused[0].field.startswith("positions")


def frame(*orders: object) -> Fields:
    return Fields(
        {"balance": 1000, "credit": 0, "equity": 1010, "profit": 10, "margin": 500, "orders": list(orders)},
        "frame",
    )


def test_a_frame_tells_its_positions_where_they_are_wanted() -> None:
    orders = (
        {"ticket": 77, "profit": Decimal("10.50"), "closePrice": Decimal("1.0962")},
        {"Ticket": 78, "Profit": -3},
        {"ticket": "x", "profit": 1},
        {"ticket": 79},
        7,
    )

    wanted = read_frame(frame(*orders), server="live-1", login=1, at=5, positions=True)
    unwanted = read_frame(frame(*orders), server="live-1", login=1, at=5)

    assert wanted.positions == (
        PositionSample(77, Decimal("10.5"), Decimal("1.0962")),
        PositionSample(78, Decimal(-3), None),
    )
    assert unwanted.positions == ()


def test_a_sample_between_processes_is_told_in_parts_and_each_fits() -> None:
    longest = Decimal("-1234567890123456.1234567890")
    positions = tuple(PositionSample(2**63 + n, longest, -longest) for n in range(MOST_POSITIONS * 2 + 1))
    sample = replace(a_sample(), positions=positions)

    parts = list(in_parts([a_sample(), sample]))

    assert [len(part.positions) for part in parts] == [0, MOST_POSITIONS, MOST_POSITIONS, 1]
    assert tuple(each for part in parts for each in part.positions) == positions
    packed = [msgspec.msgpack.encode(part) for part in parts]
    assert max(map(len, packed)) < KAFKA_TAKES
    assert [msgspec.msgpack.decode(each, type=Sample) for each in packed] == parts


def test_a_sample_of_an_older_process_has_no_positions() -> None:
    packed = msgspec.msgpack.decode(msgspec.msgpack.encode(a_sample()))
    del packed["positions"]

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(packed), type=Sample) == a_sample()
