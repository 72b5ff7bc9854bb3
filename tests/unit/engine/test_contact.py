"""Marketing goes to those who said yes; of everybody else nothing is guessed."""

import json
from typing import Any

import pytest
from unit.engine.desk import Desk, a_workflow

from hub.engine.explain_verbs import sentence
from hub.intents.intent import State
from hub.intents.verbs import VERBS


def a_rule(category: str | None = "marketing", **header: Any) -> Any:
    said = f", category: {category}" if category else ""
    return a_workflow(
        "when: [{event: balance.deposited}]\n"
        "steps:\n"
        f"  - {{id: mail, do: notify.email, with: {{to: ann@example.com, subject: Hello, text: Hello{said}}}}}\n"
        "  - {id: told, do: event.publish, with: {type: custom.told, data: {sent: = steps.mail.ok}}}\n",
        **header,
    )


def a_desk(rule: Any, **client: Any) -> Desk:
    desk = Desk(rule)
    if client:
        desk.tell(
            "client.linked", client="c1", changed={name: {"after": value} for name, value in client.items()}
        )
    return desk


def mail(desk: Desk) -> Any:
    return next(
        each for each in desk.tell("balance.deposited", ticket=1, amount="1") if each.verb == "notify.email"
    )


def test_consent_lets_it_go_and_says_whose_contact_it_is() -> None:
    intent = mail(a_desk(a_rule(), consent_marketing=True))

    assert (intent.state, intent.reason) == (State.READY, "")
    assert json.loads(intent.params) == {
        "to": "ann@example.com",
        "subject": "Hello",
        "text": "Hello",
        "category": "marketing",
        "client": "c1",
    }


@pytest.mark.parametrize(
    ("client", "said"),
    [
        ({"consent_marketing": False}, "client.consent_marketing is false: client c1 wants no marketing"),
        ({"kyc": "confirmed"}, "client.consent_marketing is missing: client c1 has not said"),
        ({"consent_marketing": "yes"}, "client.consent_marketing is missing: client c1 has not said"),
        ({}, "client.consent_marketing is missing: nobody knows the client this marketing is for"),
    ],
)
@pytest.mark.parametrize("mode", ["live", "shadow"])
def test_without_it_the_message_is_recorded_and_not_sent(
    client: dict[str, Any], said: str, mode: str
) -> None:
    intent = mail(a_desk(a_rule(mode=mode), **client))

    assert (intent.state, intent.reason) == (State.SHADOW if mode == "shadow" else State.SUPPRESSED, said)


def test_the_run_goes_on_and_its_later_steps_know() -> None:
    desk = a_desk(a_rule(), consent_marketing=False)
    mail(desk)

    written = desk.decisions[-1].writing()
    published = [json.loads(bytes(fact.envelope.data)) for fact in written.facts]
    assert published == [{"sent": False}]
    assert written.runs[-1].state == "done"


@pytest.mark.parametrize("category", ["service", "transactional", "security"])
def test_what_is_no_marketing_needs_no_consent(category: str) -> None:
    desk = a_desk(a_rule(category), consent_marketing=False)

    assert mail(desk).state is State.READY


def test_a_message_that_does_not_say_what_it_is_stays_as_it_was() -> None:
    intent = mail(a_desk(a_rule(None), consent_marketing=False))

    assert intent.state is State.READY
    assert json.loads(intent.params).keys() == {"to", "subject", "text"}


def test_consent_is_that_of_the_client_it_is_for() -> None:
    rule = a_workflow(
        "when: [{event: balance.deposited}]\n"
        "steps: [{do: notify.email, with: {to: a@b.c, subject: s, text: t, category: marketing, client: c2}}]\n"
    )

    assert mail(a_desk(rule, consent_marketing=True)).state is State.SUPPRESSED


def test_a_category_nobody_knows_does_not_load() -> None:
    with pytest.raises(AssertionError, match="marketting"):
        a_rule("marketting")


def test_consent_taken_back_counts_for_the_next_message() -> None:
    desk = a_desk(a_rule(), consent_marketing=True)
    assert mail(desk).state is State.READY

    desk.tell("client.updated", client="c1", changed={"consent_marketing": {"after": False}})
    again = desk.tell("balance.deposited", ticket=2, amount="1")

    assert again[0].state is State.SUPPRESSED


def test_what_kind_of_message_it_is_is_explained() -> None:
    said = {"to": "ann@example.com", "subject": "Hello"}

    assert sentence(VERBS["notify.email"], said | {"category": "marketing"}).endswith(
        "Hello, as marketing: only to clients who agreed to that"
    )
    assert sentence(VERBS["notify.email"], said | {"category": "service"}).endswith("Hello, as service")


def test_line_ends_never_reach_a_header_and_html_is_escaped() -> None:
    rule = a_workflow(
        "when: [{event: custom.asked}]\n"
        "steps:\n"
        "  - do: notify.email\n"
        "    with:\n"
        "      to: ann@example.com\n"
        "      subject: = event.topic\n"
        "      text: 'About {{ event.topic }}'\n"
        "      html: '<p>About {{ event.topic }}</p>'\n"
    )

    intent = Desk(rule).tell("custom.asked", topic="Hello\r\nBcc: eve@example.com <b>")[0]

    params = json.loads(intent.params)
    assert params["subject"] == "Hello Bcc: eve@example.com <b>"
    assert params["text"] == "About Hello\r\nBcc: eve@example.com <b>"
    assert params["html"] == "<p>About Hello\r\nBcc: eve@example.com &lt;b&gt;</p>"


def test_an_address_with_a_line_end_fails_the_step() -> None:
    rule = a_workflow(
        "when: [{event: custom.asked}]\n"
        "steps: [{do: notify.email, with: {to: = event.to, subject: s, text: t}}]\n"
    )
    desk = Desk(rule)

    assert desk.tell("custom.asked", to="ann@example.com\r\nBcc: eve@example.com") == []
    assert desk.decisions[-1].writing().runs[-1].state == "failed"
