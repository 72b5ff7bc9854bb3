import pytest

from hub.dispatch.headers import HIDDEN, HeadersInvalid, check_headers, kept, shown


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-type",
        "Content-Length",
        "Content-Encoding",
        "Transfer-Encoding",
        "Connection",
        "Upgrade",
        "TE",
        "Trailer",
        "Keep-Alive",
        "Proxy-Authorization",
        "webhook-id",
        "Webhook-Anything",
        "Hub-Signature",
        "X-Hub-Signature-256",
        "Expect",
        "Accept-Encoding",
        "a b",
        "",
        "ä",
        "a:b",
        "x\r\ny",
    ],
)
def test_what_the_hub_or_the_connection_says_cannot_be_set(name):
    with pytest.raises(HeadersInvalid):
        check_headers([(name, "x")])


@pytest.mark.parametrize("value", ["a\r\nHost: b", "a\nb", "q\0q", "ä", " qqq", "qqq ", "x" * 2_049, HIDDEN])
def test_a_value_that_could_end_its_line_is_refused_and_never_repeated(value):
    with pytest.raises(HeadersInvalid) as refused:
        check_headers([("X-Desk", value)])

    assert value not in str(refused.value)


def test_headers_are_bounded_in_number_and_size():
    check_headers([(f"X-{number}", "y") for number in range(32)])

    for many in ([(f"X-{number}", "y") for number in range(33)], [(f"X-{n}", "y" * 1_700) for n in range(5)]):
        with pytest.raises(HeadersInvalid):
            check_headers(many)


def test_a_header_is_there_once_in_whatever_letters():
    with pytest.raises(HeadersInvalid):
        check_headers([("X-Desk", "1"), ("x-desk", "2")])


def test_passwords_are_hidden_without_being_marked():
    headers = [("AUTHORIZATION", "Bearer x"), ("X-Key", "y"), ("X-Desk", "7")]

    assert shown(headers, ["x-key"]) == {"AUTHORIZATION": HIDDEN, "X-Key": HIDDEN, "X-Desk": "7"}


def test_a_secret_given_back_as_shown_stays_what_it_was():
    before = [("Authorization", "Bearer x"), ("X-Desk", "7")]

    assert kept([("authorization", HIDDEN), ("X-Desk", "8")], before) == (
        ("authorization", "Bearer x"),
        ("X-Desk", "8"),
    )
