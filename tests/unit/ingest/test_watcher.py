"""Every crossing is told once: whatever the order of samples, answers, failures and restarts."""

import asyncio
import contextlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.bus.log import Appended, Input, InputKind
from hub.clock import ManualClock, to_us
from hub.engine.memory import MemoryLog
from hub.engine.rows import LevelRow
from hub.errors import StoreUnavailable
from hub.events.records import decode_data, decode_envelope
from hub.ids import partition_of
from hub.ingest.levels import LevelTable
from hub.ingest.offers import decode_observed
from hub.ingest.reading import reading_of
from hub.ingest.samples import Sample
from hub.ingest.watcher import Watcher
from hub.testing import MORNING

NOW = to_us(MORNING)
Told = tuple[str, int, str]  # level, generation, edge


def a_sample(equity: str = "1000", login: int = 7001, at: int = 0, **fields: Any) -> Sample:
    numbers = {
        name: Decimal(value) if value is not None else None
        for name, value in fields.items()
        if name != "degraded"
    }
    known: dict[str, Any] = {
        "balance": Decimal(1000),
        "credit": Decimal(0),
        "margin": Decimal(100),
        "free_margin": None,
        "margin_level": None,
        "floating": None,
    }
    return Sample(
        server="live-1",
        login=login,
        equity=Decimal(equity),
        at=NOW + at,
        degraded=bool(fields.get("degraded")),
        **{**known, **numbers},
    )


def a_level(
    name: str = "l1",
    *,
    login: int = 7001,
    field: str = "equity",
    side: str = "below",
    at: str = "900",
    **row: Any,
) -> LevelRow:
    return LevelRow(
        partition=partition_of("live-1", login),
        level_id=name,
        key=f"live-1:{login}",
        field=field,
        side=side,
        threshold=at,
        rearm=row.get("rearm", at),
        generation=row.get("generation", 1),
        state=row.get("state", "armed"),
    )


class FailingLog:
    """A log in memory that can be told to fail, before or after it stored."""

    def __init__(self, clock: ManualClock) -> None:
        self.real = MemoryLog(clock)
        self.fails: list[str] = []

    async def append(self, facts: Sequence[Any], **more: Any) -> list[Appended]:
        trouble = self.fails.pop(0) if self.fails else ""
        if trouble == "before":
            raise StoreUnavailable("disk full")
        answers = await self.real.append(facts, **more)
        if trouble == "after":
            raise StoreUnavailable("answer lost")
        return answers

    def rows(self) -> list[Input]:
        return self.real.ranked(0, 10_000)


class Bench:
    """A watcher, its log, and an engine that answers when it is told to."""

    def __init__(self) -> None:
        self.clock = ManualClock(MORNING)
        self.log = FailingLog(self.clock)
        self.watcher = self.fresh()
        self.levels: dict[str, LevelRow] = {}
        self.answered = 0

    def fresh(self) -> Watcher:
        return Watcher(self.log, self.clock)  # type: ignore[arg-type]  # of a log it needs append alone

    def watch(self, *levels: LevelRow) -> None:
        for level in levels:
            self.levels[level.level_id] = level
        self.watcher.changed(levels)

    async def see(self, *samples: Sample) -> None:
        await self.watcher.samples(samples)

    def restart(self) -> None:
        self.watcher = self.fresh()
        self.watcher.load(self.levels.values())

    def answer(self) -> None:
        """Do what the engine does with everything in the log that it has not yet read."""
        rows = self.log.rows()[self.answered :]
        self.answered += len(rows)
        for row in rows:
            for name, generation, edge in _told(row):
                level = self.levels[name]
                before = {"crossed": "armed", "recovered": "crossed"}.get(edge, "new")
                if level.generation != generation or level.state != before:
                    continue
                after = "crossed" if edge in {"crossed", "beyond"} else "armed"
                self.levels[name] = level._replace(generation=generation + 1, state=after)
                self.watcher.changed([self.levels[name]])

    async def settle(self) -> None:
        """Let watcher and engine answer each other until neither has more to say."""
        while True:
            await self.watcher.tell()
            if len(self.log.rows()) == self.answered:
                return
            self.answer()

    def told(self) -> list[Told]:
        return [told for row in self.log.rows() for told in _told(row)]


def _told(row: Input) -> list[Told]:
    if row.kind == InputKind.COMMAND:
        assert row.ref == "level.observed"
        return [
            (item.level_id, item.generation, "beyond" if item.beyond else "within")
            for item in decode_observed(row.body)
        ]
    data = decode_data(decode_envelope(row.body))
    return [(data.level_id, data.generation, data.edge)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_crossing_is_on_disk_when_the_samples_are_answered(bench: Bench) -> None:
    bench.watch(a_level())

    receipt = await bench.watcher.samples([a_sample("899.99", at=-1500)])

    row = bench.log.rows()[0]
    envelope = decode_envelope(row.body)
    data = decode_data(envelope)
    assert receipt.told == 1
    assert (envelope.type, envelope.source, row.key) == ("equity.crossed", "watcher", "live-1:7001")
    assert (data.value, data.limit, data.edge, data.side) == (
        Decimal("899.99"),
        Decimal(900),
        "crossed",
        "below",
    )
    assert data.sample_age_ms == 1
    assert envelope.dedupe_key == "watcher:equity.crossed:l1:1:crossed"


@pytest.mark.parametrize(
    ("side", "value", "crosses"),
    [
        ("below", "900.00", False),
        ("below", "899.9999999999", True),
        ("above", "900", False),
        ("above", "900.0000000001", True),
        # As floats these two are the limit itself.
        ("below", "899.99999999999999999", False),
        ("below", "1000", False),
        ("above", "800", False),
    ],
)
async def test_on_the_limit_is_not_past_it(bench: Bench, side: str, value: str, crosses: bool) -> None:
    bench.watch(a_level(side=side))

    await bench.see(a_sample(value))

    assert bool(bench.told()) is crosses


async def test_neighbours_that_are_one_float_are_told_apart_by_their_decimals(bench: Bench) -> None:
    limit = "9007199254740993.5"
    assert float(limit) == float("9007199254740993.4")
    bench.watch(a_level("a", at=limit), a_level("b", at=limit, side="above"))

    await bench.see(a_sample("9007199254740993.4", balance="9007199254740993"))

    assert bench.told() == [("a", 1, "crossed")]


async def test_a_crossing_is_not_told_again_before_and_after_the_engine_answers(bench: Bench) -> None:
    bench.watch(a_level(rearm="950"))

    for equity in ("890", "880", "899"):
        await bench.see(a_sample(equity))
    await bench.settle()
    await bench.see(a_sample("905"), a_sample("870"))
    await bench.settle()

    assert bench.told() == [("l1", 1, "crossed")]


async def test_it_recovers_at_its_rearm_and_can_cross_again(bench: Bench) -> None:
    bench.watch(a_level(rearm="950"))

    for equity in ("890", "949.99", "950", "899"):
        await bench.see(a_sample(equity))
        await bench.settle()

    assert bench.told() == [("l1", 1, "crossed"), ("l1", 2, "recovered"), ("l1", 3, "crossed")]
    recovered = decode_data(decode_envelope(bench.log.rows()[1].body))
    assert (recovered.value, recovered.limit) == (Decimal(950), Decimal(950))


async def test_what_happens_while_the_engine_is_slow_is_told_in_order_later(bench: Bench) -> None:
    bench.watch(a_level(rearm="950"))

    await bench.see(a_sample("890"), a_sample("960"), a_sample("880"), a_sample("1000"))
    assert bench.told() == [("l1", 1, "crossed")]
    await bench.settle()

    assert [edge for _, _, edge in bench.told()] == ["crossed", "recovered", "crossed", "recovered"]


async def test_a_new_level_is_observed_first_and_does_not_cross(bench: Bench) -> None:
    bench.watch(a_level("a", state="new"), a_level("b", state="new", at="1100"))

    await bench.see(a_sample("1000"))
    await bench.settle()

    assert len(bench.log.rows()) == 1
    assert sorted(bench.told()) == [("a", 1, "within"), ("b", 1, "beyond")]
    assert {level.state for level in bench.levels.values()} == {"armed", "crossed"}


async def test_a_new_level_is_compared_with_the_last_sample_at_once(bench: Bench) -> None:
    await bench.see(a_sample("800"))

    bench.watch(a_level(state="new"))
    await bench.settle()

    assert bench.told() == [("l1", 1, "beyond")]


async def test_a_moved_level_is_compared_with_the_last_sample_at_once(bench: Bench) -> None:
    bench.watch(a_level())
    await bench.see(a_sample("1000"))

    bench.watch(a_level(at="1100", generation=2))
    await bench.settle()

    assert bench.told()[0] == ("l1", 2, "crossed")


async def test_what_was_seen_before_a_level_moved_says_nothing_about_where_it_is_now(bench: Bench) -> None:
    bench.watch(a_level(state="crossed", rearm="900"))
    await bench.see(a_sample("950"), a_sample("960"), a_sample("1200"))

    bench.watch(a_level(at="1000", generation=2))
    await bench.settle()

    assert [told for told in bench.told() if told[1] == 2] == []


async def test_an_edge_the_engine_passed_over_is_told_again_under_the_new_generation(bench: Bench) -> None:
    bench.watch(a_level())
    await bench.see(a_sample("890"), a_sample("1000"))

    bench.watch(a_level(generation=2))  # written before the crossing arrived: the same limit, still armed
    await bench.settle()

    assert ("l1", 2, "crossed") in bench.told()


async def test_a_sample_the_engine_doubts_is_not_offered_for_ever(bench: Bench) -> None:
    bench.watch(a_level())
    await bench.see(a_sample("890"))

    for generation in range(2, 20):
        if (
            len(bench.told()) == generation - 1
        ):  # it was told of this generation, and is answered with the next
            bench.watch(a_level(generation=generation))
            await bench.watcher.tell()

    assert [generation for _, generation, _ in bench.told()] == [1, 2]


async def test_a_level_that_is_gone_is_silent(bench: Bench) -> None:
    bench.watch(a_level("a"), a_level("b"))

    bench.watch(a_level("a", generation=2, state="gone"), a_level("never", state="gone"))
    await bench.see(a_sample("890"))

    assert bench.told() == [("b", 1, "crossed")]
    assert len(bench.watcher) == 1


async def test_an_old_row_does_not_undo_a_newer_one(bench: Bench) -> None:
    bench.watch(a_level(generation=3, state="crossed"))

    bench.watcher.changed([a_level(generation=2)])
    await bench.see(a_sample("890"))

    assert bench.told() == []


@pytest.mark.parametrize(
    "glitch",
    [
        a_sample("0"),
        a_sample("0", balance=None),
        a_sample("500", degraded=True),
        a_sample("NaN"),
        a_sample("-Infinity"),
        a_sample("500", margin="NaN"),
        a_sample("1E+30"),
    ],
    ids=[
        "zero with a balance",
        "zero and nothing else",
        "degraded",
        "NaN",
        "infinite",
        "NaN beside it",
        "absurd",
    ],
)
async def test_a_glitch_is_never_a_breach(bench: Bench, glitch: Sample) -> None:
    bench.watch(
        a_level(), a_level("b", field="free_margin", at="900"), a_level("c", field="floating", at="-1")
    )

    receipt = await bench.watcher.samples([glitch])

    assert (receipt.degraded, receipt.judged, bench.told()) == (1, 0, [])
    assert bench.watcher.last_seen("live-1:7001") is None


async def test_an_account_that_has_nothing_has_breached(bench: Bench) -> None:
    bench.watch(a_level())

    await bench.see(a_sample("0", balance="0"))

    assert bench.told() == [("l1", 1, "crossed")]


@pytest.mark.parametrize(
    ("margin", "level", "value"),
    [
        ("0", "0", None),
        ("0", None, None),
        ("0", "500", None),
        (None, "0", None),
        ("100", "0", None),  # a platform's blank: equity stands beside it
        ("100", None, "1000"),
        ("100", "999.5", "999.5"),
        (None, "120", "120"),
        ("300", None, "333.3333333333"),
    ],
)
def test_without_margin_there_is_no_margin_level(
    margin: str | None, level: str | None, value: str | None
) -> None:
    reading = reading_of(a_sample("1000", margin=margin, margin_level=level))

    assert reading is not None
    assert reading.values[3] == (Decimal(value) if value is not None else None)


async def test_each_field_is_compared_with_its_own_levels(bench: Bench) -> None:
    bench.watch(
        a_level("equity", at="901"),
        a_level("floating", field="floating", at="-99"),
        a_level("free", field="free_margin", at="801"),
        a_level("margin", field="margin_level", at="901"),
        a_level("not yet", field="margin_level", at="900"),
    )

    await bench.see(a_sample("900"))

    assert sorted(name for name, _, _ in bench.told()) == ["equity", "floating", "free", "margin"]
    types = {decode_envelope(row.body).type for row in bench.log.rows()}
    assert types == {"equity.crossed", "margin.crossed"}


async def test_a_late_sample_changes_nothing(bench: Bench) -> None:
    bench.watch(a_level())

    receipt = await bench.watcher.samples([a_sample("1000", at=0), a_sample("890", at=-1)])

    assert (receipt.judged, receipt.late, bench.told()) == (1, 1, [])


async def test_a_clock_that_runs_ahead_does_not_shut_out_true_samples(bench: Bench) -> None:
    bench.watch(a_level())

    await bench.see(a_sample("1000", at=3_600_000_000), a_sample("890", at=0))

    assert bench.told() == [("l1", 1, "crossed")]


async def test_a_crossing_the_log_did_not_take_is_offered_again(bench: Bench) -> None:
    bench.watch(a_level())
    bench.log.fails = ["before"]

    with pytest.raises(StoreUnavailable):
        await bench.see(a_sample("890"))
    await bench.see(a_sample("1000"))

    assert bench.told() == [("l1", 1, "crossed")]
    assert decode_data(decode_envelope(bench.log.rows()[0].body)).value == Decimal(890)


async def test_a_crossing_stored_without_an_answer_is_stored_once(bench: Bench) -> None:
    bench.watch(a_level())
    bench.log.fails = ["after"]

    with pytest.raises(StoreUnavailable):
        await bench.see(a_sample("890"))
    await bench.settle()

    assert bench.told() == [("l1", 1, "crossed")]


async def test_the_service_tells_what_changed_levels_brought_about(bench: Bench) -> None:
    stopping = asyncio.Event()
    await bench.see(a_sample("800"))
    bench.log.fails = ["before"]

    async with asyncio.TaskGroup() as group:
        group.create_task(bench.watcher.run(stopping))
        bench.watch(a_level())
        await bench.clock.advance(MORNING - MORNING)
        assert bench.told() == []
        await bench.clock.advance(2 * (MORNING.replace(second=1) - MORNING))
        stopping.set()

    assert bench.told() == [("l1", 1, "crossed")]


async def test_after_a_restart_an_armed_level_that_was_passed_meanwhile_fires(bench: Bench) -> None:
    bench.watch(a_level())
    await bench.see(a_sample("1000"))

    bench.restart()
    await bench.see(a_sample("890"))

    assert bench.told() == [("l1", 1, "crossed")]


def test_a_level_nothing_can_be_compared_with_is_not_watched() -> None:
    table = LevelTable()

    for level in (a_level(at="NaN"), a_level(field="profit"), a_level(at="ten"), a_level(side="beside")):
        assert table.put(level) is None
    assert len(table) == 0


def test_rows_are_used_again() -> None:
    table = LevelTable()

    for login in range(1, 500):
        cells = [table.put(a_level(f"{login}-{number}", login=login)) for number in range(9)]
        for cell in cells:
            assert cell is not None
            table.remove(cell)

    assert len(table) == 0
    assert table._bound.shape[0] == 64


EQUITIES = st.sampled_from(["880", "899.99", "900", "900.01", "949.99", "950", "950.01", "1000"])


@st.composite
def life(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Return what happens to a watcher, in order: samples in batches, answers, restarts and failures of the log."""
    step = st.one_of(
        st.tuples(
            st.just("see"),
            st.lists(st.tuples(st.sampled_from([7001, 7002]), EQUITIES), min_size=1, max_size=4),
        ),
        st.tuples(st.sampled_from(["answer", "before", "after"]), st.none()),
    )
    return draw(st.lists(step, max_size=25))


def oracle(level: LevelRow, equities: Sequence[Decimal]) -> list[Told]:
    """Return what one level must tell of a row of equities, worked out one by one, the engine answering at once."""
    state, generation, told = level.state, level.generation, list[Told]()
    threshold, rearm, below = Decimal(level.threshold), Decimal(level.rearm), level.side == "below"
    for equity in equities:
        past = equity < threshold if below else equity > threshold
        back = equity >= rearm if below else equity <= rearm
        if state == "new":
            edge, after = ("beyond", "crossed") if past else ("within", "armed")
        elif state == "armed" and past:
            edge, after = "crossed", "crossed"
        elif state == "crossed" and back:
            edge, after = "recovered", "armed"
        else:
            continue
        told.append((level.level_id, generation, edge))
        state, generation = after, generation + 1
    return told


LEVELS = [
    a_level(f"{login}{side}{state}", login=login, side=side, at="900", rearm=rearm, state=state)
    for login in (7001, 7002)
    for side, rearm in (("below", "950"), ("above", "880"))
    for state in ("new", "armed", "crossed")
]


@given(life())
async def test_each_level_tells_what_an_oracle_tells(story: list[tuple[str, Any]]) -> None:
    bench = Bench()
    bench.watch(*LEVELS)
    seen: dict[int, list[Decimal]] = {7001: [], 7002: []}

    for what, samples in story:
        if what == "see":
            for login, equity in samples:
                seen[login].append(Decimal(equity))
            with contextlib.suppress(StoreUnavailable):
                await bench.see(*(a_sample(equity, login) for login, equity in samples))
        elif what == "answer":
            bench.answer()
        else:
            bench.log.fails = [what]
    bench.log.fails = []
    await bench.settle()

    told = bench.told()
    for level in LEVELS:
        login = int(level.key.partition(":")[2])
        assert [item for item in told if item[0] == level.level_id] == oracle(level, seen[login])


@given(life(), st.sets(st.integers(0, 25)))
async def test_killed_at_any_point_it_tells_nothing_twice_and_ends_where_it_should(
    story: list[tuple[str, Any]], kills: set[int]
) -> None:
    bench = Bench()
    bench.watch(*LEVELS)
    last: dict[int, str] = {}

    for number, (what, samples) in enumerate(story):
        if what == "see":
            last |= dict(samples)
            with contextlib.suppress(StoreUnavailable):
                await bench.see(*(a_sample(equity, login) for login, equity in samples))
        elif what == "answer":
            bench.answer()
        else:
            bench.log.fails = [what]
        if number in kills:
            bench.restart()
    bench.log.fails = []
    bench.restart()
    await bench.settle()
    for login, equity in last.items():
        await bench.see(a_sample(equity, login))
        await bench.settle()

    told = bench.told()
    assert len(set(told)) == len(told)
    for level in bench.levels.values():
        equity = last.get(int(level.key.partition(":")[2]))
        if equity is not None:
            assert level.state != "new"
            assert oracle(level, [Decimal(equity)]) == []


async def test_a_withdrawal_seen_before_its_event_is_no_breach(bench: Bench) -> None:
    bench.watch(a_level(at="800"))
    await bench.see(a_sample("1000", balance="1000"))

    receipt = await bench.watcher.samples([a_sample("500", balance="500", at=1)])

    assert receipt.waiting == 1
    assert bench.told() == []


async def test_what_stays_below_after_the_money_moved_is_told_with_the_next_sample(bench: Bench) -> None:
    bench.watch(a_level(at="800"))
    await bench.see(a_sample("1000", balance="1000"), a_sample("500", balance="500", at=1))

    await bench.see(a_sample("499", balance="500", at=2))

    assert [edge for _, _, edge in bench.told()] == ["crossed"]


async def test_a_loss_that_is_realised_is_judged_at_once(bench: Bench) -> None:
    bench.watch(a_level(at="800"))
    await bench.see(a_sample("810", balance="1000"))

    await bench.see(a_sample("790", balance="800", at=1))

    assert [edge for _, _, edge in bench.told()] == ["crossed"]


async def test_a_limit_that_follows_a_deposit_is_not_compared_with_what_was_before_it(bench: Bench) -> None:
    bench.watch(a_level(at="800"))
    await bench.see(a_sample("1000", balance="1000"))

    bench.watcher.money_moved("live-1:7001")
    bench.watch(a_level(at="1200", generation=2))
    await bench.watcher.tell()

    assert bench.told() == []
