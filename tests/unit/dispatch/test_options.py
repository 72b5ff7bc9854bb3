"""What an endpoint asks for survives the store, and a newer hub's wishes do not stop an older one."""

from hub.dispatch.options import NO_OPTIONS, EndpointOptions, options_of, options_text


def test_an_endpoint_that_asks_for_nothing_takes_no_room() -> None:
    assert options_text(EndpointOptions()) == ""
    assert options_of("") is NO_OPTIONS


def test_what_was_asked_for_is_read_back() -> None:
    options = EndpointOptions(
        kind="kafka", topic="deals", where="data.lots > 1", headers=(("X-A", "1"),), rate=2.5
    )

    assert options_of(options_text(options)) == options


def test_a_field_this_version_does_not_know_is_passed_over() -> None:
    assert options_of('{"rate": 3.0, "of_a_later_version": true}') == EndpointOptions(rate=3.0)
