"""The recorded examples of margin levels and of lots: what a sample, and a trade record, come to."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hub.ingest.normalize_mt4 import read_trade
from hub.ingest.reading import reading_of
from hub.ingest.samples import Sample

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "trading.json").read_text(), parse_float=Decimal
)
CENT = Decimal("0.01")


def decimal(case: dict[str, Any], *names: str) -> Decimal | None:
    found = next((case[name] for name in names if name in case), None)
    return None if found is None else Decimal(found)


@pytest.mark.parametrize("case", VECTORS["margin_level"], ids=lambda case: case["equity"])
def test_the_margin_level_is_equity_in_percent_of_margin(case: dict[str, Any]) -> None:
    sample = Sample(
        server="live-1",
        login=1,
        equity=Decimal(case["equity"]),
        balance=decimal(case, "balance"),
        credit=decimal(case, "credit"),
        margin=decimal(case, "margin"),
        free_margin=None,
        margin_level=decimal(case, "wire"),  # what platforms send beside no margin
        floating=decimal(case, "profit", "floating"),
        at=0,
    )

    reading = reading_of(sample)

    assert reading is not None
    equity, _, free_margin, level = reading.values
    assert equity == Decimal(case["equity"])
    assert (None if level is None else level.quantize(CENT)) == decimal(case, "level")
    if "free" in case:
        assert free_margin == Decimal(case["free"])


@pytest.mark.parametrize(
    "case",
    [case for case in VECTORS["lots_units"] if case["platform"] == "mt_access"],
    ids=lambda case: str(case.get("cmd", "trade")),
)
def test_a_trade_records_volume_is_in_lots(case: dict[str, Any]) -> None:
    row = {
        "order": 1,
        "login": 1,
        "cmd": case.get("cmd", "buy"),
        "volume": case["volume"],
        "symbol": "EURUSD",
    }

    lots = read_trade(row).lots

    assert lots == Decimal(case["lots"].partition(" ")[0])
