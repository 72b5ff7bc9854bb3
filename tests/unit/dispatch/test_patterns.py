import pytest

from hub.dispatch.outbox import Endpoint
from hub.dispatch.patterns import PatternInvalid, check_pattern, matches
from hub.dispatch.subscriptions import Subscriptions


@pytest.mark.parametrize(
    ("pattern", "event_type", "expected"),
    [
        ("*", "trade.closed", True),
        ("trade.*", "trade.closed", True),
        ("trade.*", "trade", False),
        ("trade.*", "trader.closed", False),
        ("trade.closed", "trade.closed", True),
        ("trade.closed", "trade.closed.twice", False),
        ("custom.*", "custom.a.b", True),
    ],
)
def test_a_pattern_is_a_type_a_family_or_everything(pattern, event_type, expected):
    assert matches(check_pattern(pattern), event_type) is expected


@pytest.mark.parametrize(
    "text", ["", "trade*", "*.closed", "trade.**", "Trade.closed", "trade..x", "trade.", "a b", "x" * 200]
)
def test_a_pattern_that_would_never_match_is_refused(text):
    with pytest.raises(PatternInvalid):
        check_pattern(text)


def test_a_disabled_endpoint_wants_nothing_and_replacing_forgets_what_was_remembered():
    on = Endpoint("a", "https://a.example", ("*",), "", "enabled", "", 0)
    subscriptions = Subscriptions([on, on._replace(id="b", state="disabled")])
    assert subscriptions.matching("trade.closed") == ("a",)

    subscriptions.replace([on._replace(id="c")])

    assert subscriptions.matching("trade.closed") == ("c",)
    assert subscriptions.matching("trade.closed", ["a"]) == []


def test_an_event_that_names_endpoints_goes_to_those_that_are_enabled_whatever_they_want() -> None:
    on = Endpoint("a", "https://a.example", ("trade.*",), "", "enabled", "", 0)
    subscriptions = Subscriptions([on, on._replace(id="b"), on._replace(id="c", state="disabled")])

    assert list(subscriptions.matching("custom.endpoint_test", ["b", "c", "d"])) == ["b"]
