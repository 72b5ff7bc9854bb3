"""The shipped blueprints of prop rules: with a house's own values they reach the floors that house has."""

import json
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from unit.engine.prop_house import House

from hub.engine.blueprints import text_of
from hub.engine.load import load_folder

PRESETS = Path(__file__).parents[3] / "workflows" / "blueprints"
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "trading.json").read_text())
# Of each that is shipped its version and what it is. A comment changes nothing; whatever else does is another version,
# with a word in `changes`: a house that uses it has to look before it decides otherwise than yesterday.
VERSIONS = {
    "daily-loss": (2, "843c3f57fbede9ae"),
    "eod-trailing": (3, "60924ede68d8da5f"),
    "intraday-trailing": (3, "7ffc20a8bc39d34d"),
    "static-loss": (3, "4a3945430159f4e4"),
}


def test_a_blueprint_that_is_shipped_does_not_change_without_its_version():
    shipped = load_folder([PRESETS]).blueprints

    found = {
        each.name: (each.version, sha256(text_of(each.content).encode()).hexdigest()[:16]) for each in shipped
    }

    assert found == VERSIONS
    assert all(
        {change.version for change in each.changes} == set(range(2, each.version + 1)) for each in shipped
    )


@pytest.fixture
def preset(tmp_path):
    """Return what makes a workflow of a blueprint and values, as a file that uses it does."""

    def made(blueprint, **params):
        values = json.dumps(params)
        version = VERSIONS[blueprint][0]
        use = f"schema: 1\nid: house-rule\nuse: {blueprint}@{version}\nmode: live\nparams: {values}\n"
        (tmp_path / "house-rule.yaml").write_text(use, encoding="utf-8")
        loaded = load_folder([PRESETS, tmp_path])
        assert [str(problem) for problem in loaded.problems] == []
        (workflow,) = loaded.workflows
        return workflow

    return made


async def a_house(
    workflow, begins="2026-04-13T08:00Z", *, balance="100000", initial="100000", program="challenge"
):
    return await House(workflow, begins).open(
        balance=balance, initial_balance=initial, program=program, status="active"
    )


@pytest.mark.parametrize(
    ("basis", "of_initial", "floor"),
    [
        ("balance", True, "99000"),  # 104,000 less 5,000
        ("balance", False, "98800"),  # 104,000 less 5 % of it
        ("equity", True, "101000"),
        ("equity", False, "100700"),
        ("higher", True, "101000"),
        ("higher", False, "100700"),
    ],
)
async def test_a_day_begins_with_what_the_house_says(preset, basis, of_initial, floor):
    house = await a_house(preset("daily-loss", loss=5, basis=basis, of_initial=of_initial))
    await house.account(balance="104000")
    await house.sample("106000", balance="104000")

    await house.at("2026-04-13T22:01Z")  # midnight in Prague is over

    assert house.floor == Decimal(floor)
    await house.sample(floor, balance="104000")
    assert house.fired == []
    await house.sample(Decimal(floor) - Decimal("0.01"), balance="104000")
    assert house.fired == ["daily"]


async def test_the_higher_of_two_is_the_balance_where_that_is_higher(preset):
    house = await a_house(preset("daily-loss", loss=5, basis="higher"))
    await house.sample("97000", balance="100000")

    await house.at("2026-04-13T22:01Z")

    assert house.floor == Decimal(95000)


async def test_a_day_that_begins_with_the_balance_needs_no_equity(preset):
    house = await a_house(preset("daily-loss", loss=5))
    await house.account(balance="104000")

    await house.at("2026-04-13T22:01Z")

    assert house.floor == Decimal(99000)


@pytest.mark.parametrize("case", VECTORS["max_loss_static"], ids=lambda case: case["equity"])
async def test_the_largest_loss_is_counted_from_the_start(preset, case):
    house = await a_house(preset("static-loss", loss=10), balance=case["balance"], initial=case["initial"])
    await house.sample("92000")
    assert house.floor == Decimal(case["floor"])

    await house.sample(case["equity"])

    assert bool(house.fired) is case.get("breach", case.get("breach_lt"))


async def test_a_limit_that_trails_the_ends_of_days_is_where_the_house_has_it(preset):
    days = VECTORS["max_loss_eod_trailing_ftmo1step"]
    house = await a_house(preset("eod-trailing", loss=10), "2026-04-13T12:00Z")
    await house.sample("100000")
    floors = []
    for number, day in enumerate(days):
        if day["prev_eod_balance"] is not None:
            await house.account(balance=str(day["prev_eod_balance"]))
            await house.sample(day["prev_eod_balance"])
            await house.at(f"2026-04-{13 + number}T22:00Z")
        floors.append(house.floor)

    assert floors == [Decimal(day["limit"]) for day in days]


@pytest.mark.parametrize(
    ("locks", "profit_locked", "floor"), [(False, 0, "110000"), (True, 0, "100000"), (True, 2, "102000")]
)
async def test_a_limit_that_locks_stops_where_the_house_says(preset, locks, profit_locked, floor):
    house = await a_house(preset("eod-trailing", loss=10, locks=locks, profit_locked=profit_locked))
    await house.account(balance="120000")
    await house.sample("120000", balance="120000")

    await house.at("2026-04-13T22:01Z")

    assert house.floor == Decimal(floor)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("max_loss_intraday_trailing_no_lock", {"above": 10**9}),
        ("max_loss_intraday_trailing_lock_start", {}),
        ("max_loss_intraday_trailing_lock_plus100", {"above": 100}),
    ],
)
async def test_a_limit_that_trails_intraday_is_where_the_house_has_it(preset, name, values):
    case = VECTORS[name]
    rule = preset("intraday-trailing", drawdown=int(case["dd"]), **values)
    house = await a_house(rule, balance=case["start"], initial=case["start"])
    floors = []
    for equity in case["equity_peaks"]:
        await house.sample(equity)
        floors.append(house.floor)

    assert floors == [Decimal(floor) for floor in case["floors"]]
    await house.sample(floors[-1])
    assert house.fired == []
    await house.sample(floors[-1] - Decimal("0.01"))
    assert house.fired == ["trailing"]


@pytest.mark.parametrize("blueprint", ["daily-loss", "static-loss", "eod-trailing"])
async def test_a_house_names_its_program(preset, blueprint):
    house = await a_house(preset(blueprint, loss=5, program="evaluation"), program="evaluation")
    await house.sample("100000")

    await house.sample("50000")

    assert house.fired != []


def test_every_shipped_blueprint_has_a_story():
    files = [path for path in PRESETS.glob("*.yaml") if not path.name.endswith(".test.yaml")]

    assert len(files) == 4
    assert all(path.with_suffix(".test.yaml").exists() for path in files)
