"""Classes of symbols."""

from hub.ingest import symbols
from hub.ingest.symbols import SymbolClasses


def test_the_first_mask_that_fits_wins() -> None:
    classes = SymbolClasses({"EURUSD.x": "special", "EUR*": "fx", "*": "other"})

    assert [classes.of(name) for name in ("EURUSD.x", "EURUSD", "eurusd", "ACME")] == [
        "special",
        "fx",
        "fx",
        "other",
    ]


def test_an_unlisted_symbol_has_no_class() -> None:
    assert SymbolClasses({"XAU*": "metals"}).of("EURUSD") is None
    assert SymbolClasses().of("EURUSD") is None


def test_symbols_from_outside_cannot_fill_the_memory(monkeypatch: object) -> None:
    classes = SymbolClasses({"A*": "a"})

    for number in range(symbols.MAX_REMEMBERED + 10):
        classes.of(f"S{number}")

    assert len(classes._known) <= symbols.MAX_REMEMBERED
    assert classes.of("A" * 5000) is None
