"""Mails that came back, as a mail server hands them on."""

from aiohttp import web

from hub.api.bodies import answer, content_type, read_body
from hub.api.problems import Problem, not_found
from hub.api.routing import DEPS, Route
from hub.control.keys import Scope
from hub.dispatch.bounces import LARGEST, CameBack

_MEDIA = "message/rfc822"


async def take_bounce(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    if app.bounces is None:
        raise not_found("such route: this hub sends no mail, so none comes back")
    if content_type(request) != _MEDIA:
        raise Problem(415, "content-type", f"send the mail as it is, as {_MEDIA}")
    mail = await read_body(request)
    if len(mail) > LARGEST:
        raise Problem(413, "body-too-large", f"a mail that came back holds at most {LARGEST} bytes")
    found = await app.bounces.take(mail)
    if isinstance(found, CameBack):
        return answer(
            {
                "taken": True,
                "message": found.message,
                "code": found.code,
                "reason": found.reason,
                "closed": found.closed,
            }
        )
    return answer({"taken": False, "reason": found.reason})


ROUTES = (
    Route(
        "POST",
        "/v1/mail/bounces",
        take_bounce,
        Scope.MAIL_REPORT,
        "Hand on a mail that came back (RFC 3464)",
        "outside",
        takes=_MEDIA,
        answers={
            200: "Read; `taken` says whether it is of a mail of this hub, `closed` whether nothing is sent to its address any more.",
            404: "This hub sends no mail.",
            413: "It is larger than 1 MiB.",
            415: "It is not sent as message/rfc822.",
        },
    ),
)
