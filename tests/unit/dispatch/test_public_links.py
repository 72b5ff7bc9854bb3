"""Links that are signed, and word that is."""

import json

import pytest
from pydantic import ValidationError

from hub.dispatch.channels.push_settings import PushSettings
from hub.dispatch.messages import message_id
from hub.dispatch.public_links import PublicLinks, PublicSettings
from hub.dispatch.sms_reports import signature

OLD, NEW = "o" * 40, "n" * 40
NAME = message_id("w/live-1:1001/t/e/mail")


def links(secret: str | None = NEW, *old: str) -> PublicLinks:
    return PublicLinks(
        PublicSettings(url="https://hub.broker.example/", link_secret=secret, old_link_secrets=old)
    )


def token(made: PublicLinks) -> str:
    link = made.unsubscribe(NAME)
    assert link is not None
    assert link.startswith("https://hub.broker.example/v1/unsubscribe/msg_")
    return link.rpartition("/")[2]


def test_a_link_leads_back_to_its_message_and_holds_neither_login_nor_address() -> None:
    assert links().message_of(token(links())) == NAME
    assert "1001" not in NAME.replace("msg_", "")


def test_links_of_before_a_change_of_the_secret_go_on_working() -> None:
    made = token(links(OLD))

    assert links(NEW, OLD).message_of(made) == NAME
    assert links(NEW).message_of(made) is None
    assert links(None, OLD).message_of(made) == NAME
    assert links(None, OLD).unsubscribe(NAME) is None


def test_a_link_that_was_changed_anywhere_is_none() -> None:
    made = token(links())
    for place in range(len(made)):
        other = "0" if made[place] != "0" else "1"
        assert links().message_of(made[:place] + other + made[place + 1 :]) is None
    for odd in ("", ".", NAME, made + "0", made.upper(), made.replace(".", ""), "é" + made):
        assert links().message_of(odd) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://hub.example",
        "hub.example",
        "https://",
        "https://u:p@hub.example",
        "https://a.b/?x",
        "ftp://a.b",
    ],
)
def test_an_address_the_outside_cannot_use_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        PublicSettings(url=url)


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ValidationError, match="32 characters") as refused:
        PublicSettings(url="https://a.b", link_secret="guess")
    assert "guess" not in str(refused.value)


def test_word_is_signed_as_twilio_signs_it() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }

    given = signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form.items())

    assert given == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_a_service_account_may_be_text_or_taken_apart() -> None:
    told = {"type": "service_account", "private_key": "-----BEGIN"}

    for given in (told, json.dumps(told)):
        account = PushSettings(service_account=given).service_account
        assert account is not None
        assert json.loads(account.get_secret_value()) == told
        assert "BEGIN" not in repr(account)
