"""Mails that come back, in the shapes of the servers that write them: Postfix, Exim, Exchange, old Exim, qmail."""

from textwrap import dedent

POSTFIX = """\
    Return-Path: <>
    Delivered-To: {back}
    Received: by mx.broker.example (Postfix)
    \tid 4F2B71A0C3; Tue, 23 Jun 2026 09:04:11 +0000 (UTC)
    Date: Tue, 23 Jun 2026 09:04:11 +0000 (UTC)
    From: MAILER-DAEMON@mx.broker.example (Mail Delivery System)
    Subject: Undelivered Mail Returned to Sender
    To: {back}
    Auto-Submitted: auto-replied
    MIME-Version: 1.0
    Content-Type: multipart/report; report-type=delivery-status;
    \tboundary="9A1C2.1781255051/mx.broker.example"
    Message-Id: <20260623090411.9A1C2@mx.broker.example>

    This is a MIME-encapsulated message.

    --9A1C2.1781255051/mx.broker.example
    Content-Description: Notification
    Content-Type: text/plain; charset=us-ascii

    This is the mail system at host mx.broker.example.

    I'm sorry to have to inform you that your message could not
    be delivered to one or more recipients.

    <{to}>: host mail.example.com[192.0.2.25] said: {said} (in reply to {command} command)

    --9A1C2.1781255051/mx.broker.example
    Content-Description: Delivery report
    Content-Type: message/delivery-status

    Reporting-MTA: dns; mx.broker.example
    X-Postfix-Queue-ID: 9A1C2
    X-Postfix-Sender: rfc822; {back}
    Arrival-Date: Tue, 23 Jun 2026 09:04:09 +0000 (UTC)

    Final-Recipient: rfc822; {to}
    Original-Recipient: rfc822;{to}
    Action: {action}
    Status: {status}
    Remote-MTA: dns; mail.example.com
    Diagnostic-Code: smtp; {said}

    --9A1C2.1781255051/mx.broker.example
    Content-Description: Undelivered Message
    Content-Type: message/rfc822

    Return-Path: <{back}>
    Received: from hub (hub.broker.example [198.51.100.9])
    \tby mx.broker.example (Postfix) with ESMTPS id 9A1C2
    \tfor <{to}>; Tue, 23 Jun 2026 09:04:09 +0000 (UTC)
    From: hub@broker.example
    To: {to}
    Subject: Your statement
    Message-ID: {id}
    Auto-Submitted: auto-generated
    MIME-Version: 1.0
    Content-Type: text/plain; charset="utf-8"

    Hello Ann

    --9A1C2.1781255051/mx.broker.example--
    """

EXIM = """\
    Return-path: <>
    Envelope-to: {back}
    Delivery-date: Tue, 23 Jun 2026 09:05:00 +0000
    Received: from Debian-exim by relay.example.net with local (Exim 4.97)
    \tid 1rTqGk-000000001Ab-0xyz
    \tfor {back};
    \tTue, 23 Jun 2026 09:05:00 +0000
    X-Failed-Recipients: {to}
    Auto-Submitted: auto-replied
    From: Mail Delivery System <Mailer-Daemon@relay.example.net>
    To: {back}
    References: {id}
    Content-Type: multipart/report; report-type=delivery-status; boundary=1781255100-eximdsn-1804289383
    MIME-Version: 1.0
    Subject: Mail delivery failed: returning message to sender
    Message-Id: <E1rTqGk-000000001Ab-0xyz@relay.example.net>
    Date: Tue, 23 Jun 2026 09:05:00 +0000

    --1781255100-eximdsn-1804289383
    Content-type: text/plain; charset=us-ascii

    This message was created automatically by mail delivery software.

    A message that you sent could not be delivered to one or more of its
    recipients. This is a permanent error. The following address(es) failed:

      {to}
        host mail.example.com [192.0.2.25]
        SMTP error from remote mail server after {command}:
        {said}

    --1781255100-eximdsn-1804289383
    Content-type: message/delivery-status

    Reporting-MTA: dns; relay.example.net

    Action: {action}
    Final-Recipient: rfc822;{to}
    Status: {status}
    Remote-MTA: dns; mail.example.com
    Diagnostic-Code: smtp; {said}

    --1781255100-eximdsn-1804289383
    Content-type: message/rfc822

    Return-path: <{back}>
    From: hub@broker.example
    To: {to}
    Subject: Your statement
    Message-ID: {id}

    Hello Ann

    --1781255100-eximdsn-1804289383--
    """

EXCHANGE = """\
    From: Microsoft Outlook <postmaster@example.com>
    To: <{back}>
    Date: Tue, 23 Jun 2026 09:06:00 +0000
    Content-Type: multipart/report; report-type=delivery-status;
    \tboundary="b2c5d3e4-71f0-4a6c-9b0e-0f5d8e3a1c77"
    X-MS-Exchange-Message-Is-Ndr:
    Content-Language: en-US
    Message-ID: <c1a0@DB7PR04MB4619.eurprd04.prod.outlook.com>
    In-Reply-To: {id}
    References: {id}
    Subject: Undeliverable: Your statement
    Auto-Submitted: auto-replied
    MIME-Version: 1.0

    --b2c5d3e4-71f0-4a6c-9b0e-0f5d8e3a1c77
    Content-Type: multipart/alternative; differences=Content-Type;
    \tboundary="51ad2a93-8ea2-4f0e-8b0f-3e0c7b8a6d10"

    --51ad2a93-8ea2-4f0e-8b0f-3e0c7b8a6d10
    Content-Type: text/plain; charset="us-ascii"
    Content-Transfer-Encoding: quoted-printable

    Delivery has failed to these recipients or groups:

    {to}<mailto:{to}>

    --51ad2a93-8ea2-4f0e-8b0f-3e0c7b8a6d10
    Content-Type: text/html; charset="us-ascii"
    Content-Transfer-Encoding: quoted-printable

    <html><body><p>Delivery has failed to these recipients</p></body></html>

    --51ad2a93-8ea2-4f0e-8b0f-3e0c7b8a6d10--

    --b2c5d3e4-71f0-4a6c-9b0e-0f5d8e3a1c77
    Content-Type: message/delivery-status

    Reporting-MTA: dns;DB7PR04MB4619.eurprd04.prod.outlook.com
    Received-From-MTA: dns;mx.broker.example
    Arrival-Date: Tue, 23 Jun 2026 09:05:59 +0000

    Final-Recipient: rfc822;{to}
    Action: {action}
    Status: {status}
    Diagnostic-Code: smtp;{said}
    X-Display-Name: Ann

    --b2c5d3e4-71f0-4a6c-9b0e-0f5d8e3a1c77
    Content-Type: message/rfc822

    Received: from DB7PR04CA0016.eurprd04.prod.outlook.com (2603:10a6::10)
     by DB7PR04MB4619.eurprd04.prod.outlook.com (2603:10a6::20) with Microsoft SMTP Server;
     Tue, 23 Jun 2026 09:05:59 +0000
    From: <hub@broker.example>
    To: <{to}>
    Subject: Your statement
    Message-ID: {id}
    Return-Path: {back}
    X-MS-Exchange-Organization-Network-Message-Id: 0a9c
    Content-Type: text/plain

    Hello Ann

    --b2c5d3e4-71f0-4a6c-9b0e-0f5d8e3a1c77--
    """


# Before 4.83: for people, and in its head for programs.
OLD_EXIM = """\
    Return-path: <>
    Envelope-to: {back}
    Delivery-date: Tue, 23 Jun 2026 09:05:00 +0000
    Received: from mail by relay.example.net with local (Exim 4.80)
    \tid 1Xk2Bq-0004Ud-7S
    \tfor {back}; Tue, 23 Jun 2026 09:05:00 +0000
    X-Failed-Recipients: {to}
    Auto-Submitted: auto-replied
    From: Mail Delivery System <Mailer-Daemon@relay.example.net>
    To: {back}
    Subject: Mail delivery failed: returning message to sender
    Message-Id: <E1Xk2Bq-0004Ud-7S@relay.example.net>
    Date: Tue, 23 Jun 2026 09:05:00 +0000

    This message was created automatically by mail delivery software.

    A message that you sent could not be delivered to one or more of its
    recipients. This is a permanent error. The following address(es) failed:

      {to}
        SMTP error from remote mail server after {command}:<{to}>:
        host mail.example.com [192.0.2.250]: {said}

    ------ This is a copy of the message, including all the headers. ------

    Return-path: <{back}>
    Received: from hub.broker.example ([198.51.100.9])
    \tby relay.example.net with esmtp (Exim 4.80)
    \tid 1Xk2Bo-0004UZ-3E
    From: hub@broker.example
    To: {to}
    Subject: Your statement
    Message-ID: {id}

    Hello Ann
    """

QMAIL = """\
    Return-Path: <>
    Delivered-To: {back}
    Received: (qmail 3512 invoked for bounce); 23 Jun 2026 09:05:00 -0000
    Date: 23 Jun 2026 09:05:00 -0000
    From: MAILER-DAEMON@mx.example.net
    To: {back}
    Subject: failure notice

    Hi. This is the qmail-send program at mx.example.net.
    I'm afraid I wasn't able to deliver your message to the following addresses.
    This is a permanent error; I've given up. Sorry it didn't work out.

    <{to}>:
    192.0.2.250 {refuses}.
    Remote host said: {said}
    Giving up on 192.0.2.250.

    --- Below this line is a copy of the message.

    Return-Path: <{back}>
    Received: (qmail 3509 invoked from network); 23 Jun 2026 09:04:58 -0000
    From: hub@broker.example
    To: {to}
    Subject: Your statement
    Message-ID: {id}

    Hello Ann
    """


def a_mail(
    shape: str,
    *,
    to: str = "ann@example.com",
    back: str = "hub@broker.example",
    message_id: str,
    action: str = "failed",
    status: str = "5.1.1",
    said: str = "550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown",
    command: str = "RCPT TO",
    lines: str = "\r\n",
) -> bytes:
    text = dedent(shape).format(
        to=to,
        back=back,
        id=message_id,
        action=action,
        status=status,
        said=said,
        command=command,
        refuses="does not like recipient" if command == "RCPT TO" else "failed after I sent the message",
    )
    return text.replace("\n", lines).encode()
