"""What is read of mails that come back, and that no mail, however it is made, costs more than that."""

import pytest
from conformance.delivery_report_mails import EXCHANGE, EXIM, POSTFIX, a_mail
from hypothesis import given
from hypothesis import strategies as st

from hub.dispatch.delivery_reports import read_report
from hub.dispatch.report_parts import MOST_GROUPS, MOST_LINES, MOST_PARTS

NAME = "<0123456789abcdef0123456789abcdef@broker.example>"
SHAPES = {"Postfix": POSTFIX, "Exim": EXIM, "Exchange": EXCHANGE}


@pytest.mark.parametrize("lines", ["\n", "\r\n"])
@pytest.mark.parametrize("server", SHAPES)
def test_every_server_says_who_failed_and_why(server: str, lines: str) -> None:
    mail = a_mail(SHAPES[server], message_id=NAME, back="bounces+x@broker.example", lines=lines)

    report = read_report(mail)

    assert report is not None
    (recipient,) = report.recipients
    assert (recipient.address, recipient.action, recipient.code, recipient.reply) == (
        "ann@example.com",
        "failed",
        "5.1.1",
        "550",
    )
    assert recipient.said.endswith("550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown")
    assert report.message_id == NAME
    assert "bounces+x@broker.example" in report.came_to


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        ("5.1.1", "550 5.7.1 no", "5.1.1"),
        ("5.0.0", "550 5.1.1 unknown", "5.1.1"),
        ("5.5.0", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found", "5.1.10"),
        ("5.0.0", "550 No such user here", "5.0.0"),
        ("5.2.2 (mailbox full)", "552 full", "5.2.2"),
        ("", "550 from 10.1.2.3 says no", ""),
    ],
)
def test_the_code_that_says_most_counts(status: str, said: str, code: str) -> None:
    report = read_report(a_mail(EXIM, message_id=NAME, status=status, said=said))

    assert report is not None
    assert report.recipients[0].code == code


def test_where_the_address_was_refused_before_the_mail_that_is_told() -> None:
    for shape in (POSTFIX, EXIM):
        reports = [
            read_report(a_mail(shape, message_id=NAME, command=said)) for said in ("RCPT TO", "end of data")
        ]
        assert [report is not None and report.at_address for report in reports] == [True, False]


@pytest.mark.parametrize("encoding", ["7bit", "base64", "quoted-printable"])
def test_a_head_that_comes_back_alone_is_read(encoding: str) -> None:
    import base64
    import quopri

    head = f"From: hub@broker.example\nMessage-ID: {NAME}\n".encode()
    made = {"7bit": head, "base64": base64.b64encode(head), "quoted-printable": quopri.encodestring(head)}
    mail = (
        b"To: <bounces@broker.example>\nContent-Type: multipart/report; boundary=b\n\n--b\n"
        b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\nAction: failed\n\n--b\n"
        b"Content-Type: text/rfc822-headers\nContent-Transfer-Encoding: " + encoding.encode() + b"\n\n"
    )

    report = read_report(mail + made[encoding] + b"\n--b--\n")

    assert report is not None
    assert report.message_id == NAME


@pytest.mark.parametrize(
    "mail",
    [
        b"",
        b"\n\n\n",
        b"From: ann@example.com\nSubject: I am away\nAuto-Submitted: auto-replied\n\nBack on Monday",
        b"Content-Type: multipart/report\n\nno boundary",
        b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: text/plain\n\nx\n--b--",
        b'Content-Type: multipart/report; boundary="' + b"\xff" * 300 + b'"\n\n--\xff\n',
    ],
)
def test_what_is_no_report_is_told_apart(mail: bytes) -> None:
    assert read_report(mail) is None


def test_of_a_mail_made_of_nothing_but_ends_only_the_beginning_is_read() -> None:
    group = b"Action: failed\nFinal-Recipient: rfc822; a@b.example\n\n"
    many_groups = (
        b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
        + group * 20_000
    )
    part = b"--b\nContent-Type: message/delivery-status\n\n" + group
    many_parts = (
        b"Content-Type: multipart/report; boundary=b\n\n" + b"--b\nX: y\n\n\n" * (MOST_PARTS + 1) + part
    )
    head = b"X: " + b"y" * 1_000_000
    many_lines = b"a:b\n" * MOST_LINES

    report = read_report(many_groups)

    assert report is not None
    assert len(report.recipients) <= MOST_GROUPS
    assert read_report(many_parts) is None
    assert read_report(head + b"\nContent-Type: multipart/report; boundary=b\n\n" + part) is None
    assert read_report(many_lines + b"Content-Type: multipart/report; boundary=b\n\n" + part) is None
    assert read_report(many_lines[4:] + b"Content-Type: multipart/report; boundary=b\n\n" + part) is not None


@given(st.data())
def test_no_mail_is_too_much_for_it(data: st.DataObject) -> None:
    mail = bytearray(a_mail(data.draw(st.sampled_from(list(SHAPES.values()))), message_id=NAME, lines="\n"))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(mail)))
        mail[at : at + data.draw(st.integers(0, 80))] = data.draw(st.binary(max_size=40))

    read_report(bytes(mail))
