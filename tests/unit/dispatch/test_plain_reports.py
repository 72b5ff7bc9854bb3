"""Mails that come back written for people: who failed is read where the server promises to say it, and no further."""

import pytest
from conformance.delivery_report_mails import OLD_EXIM, POSTFIX, QMAIL, a_mail
from hypothesis import given
from hypothesis import strategies as st

from hub.dispatch.delivery_reports import read_report
from hub.dispatch.plain_reports import read_plain_report
from hub.dispatch.report_parts import LONGEST_FIELD, MOST_GROUPS

NAME = "<0123456789abcdef0123456789abcdef@broker.example>"
SHAPES = {"old Exim": OLD_EXIM, "qmail": QMAIL}
BACK = b"To: hub@broker.example\n"
GREETING = b"Hi. This is the qmail-send program at mx.example.net.\nI'm afraid it failed.\n\n"
FAILED = b"X-Failed-Recipients: "
AUTO = b"Auto-Submitted: auto-replied\n"


@pytest.mark.parametrize("lines", ["\n", "\r\n"])
@pytest.mark.parametrize("server", SHAPES)
def test_who_failed_why_and_of_which_mail_is_read(server: str, lines: str) -> None:
    report = read_plain_report(a_mail(SHAPES[server], message_id=NAME, lines=lines))

    assert report is not None
    (failed,) = report.recipients
    assert (failed.address, failed.action) == ("ann@example.com", "failed")
    assert (failed.code, failed.reply) == ("5.1.1", "550")
    assert "Recipient address rejected: User unknown" in failed.said
    assert report.message_id == NAME
    assert report.at_address
    assert report.came_to.split() == ["hub@broker.example"] * 2 + ["<hub@broker.example>"]


@pytest.mark.parametrize("server", SHAPES)
def test_a_number_of_the_host_is_no_reply_of_it(server: str) -> None:
    report = read_plain_report(a_mail(SHAPES[server], message_id=NAME, said="go away", command="DATA"))

    assert report is not None
    assert (report.recipients[0].code, report.recipients[0].reply, report.at_address) == ("", "", False)


def test_qmail_tells_of_several_and_of_its_own_mailboxes() -> None:
    mail = (
        BACK
        + b"\n"
        + GREETING
        + b"<ann@example.com>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
        + b"Not of the layout\n<bob@example.com>:\nis not read\n\n"
        + b"<cid@example.com>:\nuser is over quota\n\n"
        + b"--- Enclosed is a copy of the message.\n\nMessage-ID: "
        + NAME.encode()
        + b"\n\n<dan@example.com>:\nis the mail itself\n"
    )

    report = read_plain_report(mail)

    assert report is not None
    assert [(each.address, each.code) for each in report.recipients] == [
        ("ann@example.com", "5.1.1"),
        ("cid@example.com", ""),
    ]
    assert report.message_id == NAME


def test_exim_names_whom_it_was_passed_on_from() -> None:
    mail = (
        BACK
        + AUTO
        + FAILED
        + b"ann@elsewhere.example,\n bob@elsewhere.example\n\nThe following address(es) failed:\n\n"
        + b"  ann@elsewhere.example\n    (ultimately generated from ann@example.com)\n    Unrouteable address\n\n"
        + b"------ This is a copy of your message, including all the headers.\n"
        + b"------ The body of the message is 90000 characters long; only the first\n------ 2000 or so are included here.\n\n"
        + b"Message-ID: "
        + NAME.encode()
        + b"\n\nHello"
    )

    report = read_plain_report(mail)

    assert report is not None
    first, second = report.recipients
    assert (first.address, first.original, first.code) == ("ann@elsewhere.example", "ann@example.com", "")
    assert (second.address, second.said) == ("bob@elsewhere.example", "")
    assert report.message_id == NAME


@pytest.mark.parametrize(
    "mail",
    [
        b"",
        b"From: ann@example.com\nAuto-Submitted: auto-replied\n\nBack on Monday",
        BACK + b"\nHi. This is the weekly letter of Ann.\n\nI am well.\n",
        BACK + b"\nHello,\n\n" + GREETING + b"<ann@example.com>:\nno\n\n",  # quoted by somebody who answers
        BACK + FAILED + b"ann@example.com\n\nI write this by hand\n",
        BACK + AUTO + FAILED + b" , ,\n\nnobody\n",
        b"Content-Type: text/html\n" + BACK + b"\n" + GREETING + b"<ann@example.com>:\nno\n\n",
        a_mail(POSTFIX, message_id=NAME),
    ],
)
def test_what_is_no_report_of_either_is_told_apart(mail: bytes) -> None:
    report = read_plain_report(mail)
    assert report is None or report.recipients == ()


def test_of_a_mail_of_a_megabyte_only_the_beginning_is_looked_at() -> None:
    qmail = BACK + b"\n" + GREETING + b"<a@b.example>:\n550 no\n\n" * 40_000
    blank = BACK + b"\n" + GREETING + b"\n" * 1_000_000
    long_one = BACK + b"\n" + GREETING + b"<" + b"a" * 1_000_000 + b">:\nno\n\n"
    exim = BACK + AUTO + FAILED + b"a@b.example, " * 70_000 + b"\n\n" + b"  a@b.example\n    no\n" * 1_000
    dashes = BACK + AUTO + FAILED + b"a@b.example\n\n" + b"------ This is a copy of " * 40_000

    for mail in (qmail, blank, long_one, exim, dashes):
        report = read_plain_report(mail)
        assert report is None or len(report.recipients) <= MOST_GROUPS
        if report is not None:
            assert all(len(each.said) <= LONGEST_FIELD for each in report.recipients)


@given(st.data())
def test_no_mail_is_too_much_for_it(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from(list(SHAPES.values())))
    mail = bytearray(a_mail(shape, message_id=NAME, lines="\n"))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(mail)))
        mail[at : at + data.draw(st.integers(0, 80))] = data.draw(st.binary(max_size=40))

    read_plain_report(bytes(mail))
    assert read_report(a_mail(shape, message_id=NAME)) is None
