"""The recorded examples of prop houses' rules: workflow files, the real engine and the real watcher reach their floors."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from unit.engine.prop_house import House

from hub.engine.backtest import Tally
from hub.engine.rehearsal import Rehearsal

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "trading.json").read_text())
PRAGUE = 'daily_at: "00:00", tz: Europe/Prague'
STEPS = "steps: [{do: event.publish, with: {type: custom.failed, data: {rule: = trigger.id, equity: = trigger.value, limit: = trigger.limit}}}]\n"
BASES = {
    "balance_at_reset": ("account.balance", PRAGUE),
    "max(balance,equity)_at_reset": (
        '"max(account.balance, account.equity)"',
        'daily_at: "17:00", tz: America/New_York',
    ),
    "balance_at_00:30UTC": ("account.balance", 'daily_at: "00:30", tz: UTC'),
}


def daily_loss(basis, pct, *, of="base", inclusive=False):
    take, clock = BASES[basis]
    loss = "account.initial_balance" if of == "initial" else "day_start"
    exact = ", inclusive: true" if inclusive else ""
    return (
        f"params: {{loss: {{type: percent, default: {pct}}}}}\n"
        f"anchors: {{day_start: {{take: {take}, {clock}, first: account.initial_balance}}}}\n"
        f"when: [{{id: daily, crosses: {{value: account.equity, below: day_start - {loss} * params.loss / 100{exact}}}}}]\n"
        "limit: {max: 1, every: forever}\n" + STEPS
    )


def vector(name):
    return next(each for each in VECTORS["daily_loss"] if each["id"] == name)


@pytest.mark.parametrize(
    "name", ["ftmo2-d1", "ftmo2-d2-after-profit", "alphacapital", "the5ers-hs", "breakout-1step"]
)
async def test_the_daily_floor_is_where_the_house_has_it(name):
    case = vector(name)
    balance = case.get("balance", case["base"])
    rule = daily_loss(
        case["basis"], case["pct"], of=case.get("pct_of", "base"), inclusive=case.get("cmp") == "le"
    )
    house = await House(rule, "2026-04-14T12:00Z").open(
        balance=balance, initial_balance=case.get("initial", "100000")
    )
    await house.sample(case.get("equity_at_reset", case.get("equity", balance)))

    await house.at("2026-04-15T01:00Z")

    floor = Decimal(case["floor"])
    assert house.floor == floor
    await house.sample(floor)
    assert bool(house.fired) is (case.get("cmp") == "le")
    await house.sample(floor - Decimal("0.01"))
    assert house.fired == ["daily"]


async def test_a_house_of_200k_is_breached_at_midnight_without_a_tick():
    steps = vector("ftmo200k-overnight")["steps"]
    house = await House(daily_loss("balance_at_reset", "5", of="initial"), "2026-04-13T08:00Z").open(
        balance="200000", initial_balance="200000"
    )
    await house.account(balance=steps[0]["balance"])
    await house.at("2026-04-13T21:59Z")
    await house.sample(steps[0]["equity"], balance=steps[0]["balance"], credit="0")
    assert (house.floor, house.fired) == (Decimal(steps[0]["floor"]), [])

    await house.at("2026-04-13T22:00Z")  # midnight in Prague, and nobody has told anything

    assert (house.floor, house.fired) == (Decimal(steps[1]["floor"]), ["daily"])
    (intent,) = house.intents
    assert b'"equity":"191000"' in intent.params
    assert b'"limit":"194000"' in intent.params


@pytest.mark.parametrize("case", VECTORS["max_loss_static"], ids=lambda case: case["equity"])
@pytest.mark.parametrize("inclusive", [False, True])
async def test_the_largest_loss_is_counted_from_the_start(case, inclusive):
    exact = ", inclusive: true" if inclusive else ""
    rule = (
        "anchors: {start: {take: account.initial_balance, once: true}}\n"
        f"when: [{{id: overall, crosses: {{value: account.equity, below: start * 0.9{exact}}}}}]\n" + STEPS
    )
    house = await House(rule, "2026-04-14T12:00Z").open(
        balance=case["balance"], initial_balance=case["initial"]
    )
    await house.sample("92000")
    assert house.floor == Decimal(case["floor"])

    await house.sample(case["equity"])

    breached = case.get("breach", case.get("breach_le" if inclusive else "breach_lt"))
    assert bool(house.fired) is breached


EOD = (
    f"anchors:\n  day_end: {{take: account.balance, {PRAGUE}}}\n"
    '  high: {max: "max(day_end, account.initial_balance)", first: account.initial_balance}\n'
    "when: [{id: trailing, crosses: {value: account.equity, below: high - account.initial_balance * 0.1}}]\n"
    + STEPS
)


async def test_a_drawdown_that_trails_the_ends_of_days_moves_at_their_ends_only():
    days = VECTORS["max_loss_eod_trailing_ftmo1step"]
    house = await House(EOD, "2026-04-13T12:00Z").open(balance="100000", initial_balance="100000")
    await house.sample("100000")
    floors = []
    for number, day in enumerate(days):
        if day["prev_eod_balance"] is not None:
            await house.account(balance=str(day["prev_eod_balance"]))
            await house.sample(day["prev_eod_balance"])
            assert house.floor == floors[-1]  # it does not move before the day has ended
            await house.at(f"2026-04-{13 + number}T22:00Z")
        floors.append(house.floor)

    assert floors == [Decimal(day["limit"]) for day in days]
    assert house.fired == []


def intraday(amount, lock):
    locked = {"start": ", account.initial_balance)", "plus100": ", account.initial_balance + 100)"}.get(lock)
    limit = f"min(peak - {amount}{locked}" if locked else f"peak - {amount}"
    return (
        "anchors: {peak: {max: account.equity, first: account.initial_balance}}\n"
        f'when: [{{id: trailing, crosses: {{value: account.equity, below: "{limit}"}}}}]\n' + STEPS
    )


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("max_loss_intraday_trailing_no_lock", ""),
        ("max_loss_intraday_trailing_lock_start", "start"),
        ("max_loss_intraday_trailing_lock_plus100", "plus100"),
    ],
)
async def test_a_drawdown_that_trails_the_highest_equity_follows_it_and_locks(name, lock):
    case = VECTORS[name]
    house = await House(intraday(case["dd"], lock), "2026-04-13T12:00Z").open(
        balance=case["start"], initial_balance=case["start"]
    )
    floors = []
    for equity in case["equity_peaks"]:
        await house.sample(equity)
        floors.append(house.floor)

    assert floors == [Decimal(floor) for floor in case["floors"]]
    assert house.fired == []


async def test_one_path_three_drawdowns():
    case = VECTORS["same_path"]
    still = (
        "when: [{id: still, crosses: {value: account.equity, below: account.initial_balance * 0.9}}]\n"
        + STEPS
    )
    peak = (
        "anchors: {peak: {max: account.equity, first: account.initial_balance}}\n"
        "when: [{id: trailing, crosses: {value: account.equity, below: peak - 10000}}]\n" + STEPS
    )
    floors: dict[str, list[Decimal | None]] = {}
    breached = None
    for name, rule in (("static", still), ("eod_trailing", EOD), ("intraday_trailing", peak)):
        house = await House(rule, "2026-04-13T12:00Z").open(balance="100000", initial_balance="100000")
        floors[name] = []
        for day, (close, high) in enumerate(case["path"]):
            await house.at(f"2026-04-{13 + day}T12:01Z")
            await house.sample(high)
            await house.sample(close)
            floors[name].append(house.floor)
            if name == "eod_trailing":
                await house.account(balance=str(close))
                await house.at(f"2026-04-{13 + day}T22:00Z")
            if name == "intraday_trailing" and house.fired and breached is None:
                breached = day + 1

    assert floors == {name: [Decimal(floor) for floor in case[name]] for name in floors}
    assert breached == case["breach_day_intraday"]


async def test_a_backtest_of_what_was_recorded_breaches_where_the_hub_did():
    house = await House(daily_loss("balance_at_reset", "5", of="initial"), "2026-04-13T08:00Z").open(
        balance="200000", initial_balance="200000"
    )
    await house.sample("200000")
    await house.account(balance="204000")
    await house.sample("191000", balance="204000", credit="0")
    await house.at("2026-04-13T22:00Z")
    assert house.fired == ["daily"]
    tally = Tally()

    Rehearsal([house.rule], tally).tell(house.log.ranked(0, 10_000))

    assert (tally.actions["event.publish"], tally.by_trigger["daily"]) == (1, 1)


async def test_a_backtest_follows_the_peaks_that_were_recorded():
    house = await House(intraday("2000", ""), "2026-04-13T08:00Z").open(
        balance="50000", initial_balance="50000"
    )
    for equity in ("50000", "53000", "50999"):
        await house.sample(equity)
    tally = Tally()

    Rehearsal([house.rule], tally).tell(house.log.ranked(0, 10_000))

    assert tally.by_trigger["trailing"] == 1
