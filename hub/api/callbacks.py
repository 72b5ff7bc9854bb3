"""What comes back from the outside about messages: the link in a mail, and word of the provider of text messages.

Open without a key: the link is signed by the hub, the word by its provider, and nothing is looked up before that is checked.
"""

from html import escape
from urllib.parse import parse_qsl

from aiohttp import web

from hub.api.bodies import read_body
from hub.api.problems import Problem, not_found
from hub.api.routing import DEPS, Route
from hub.dispatch.messages import Message
from hub.dispatch.public_links import SMS_REPORT, UNSUBSCRIBE

_MOST_FIELDS = 64
_LARGEST_FORM = 16 * 1024
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Unsubscribe</title><style>body{{font:16px/1.5 system-ui;max-width:32rem;margin:4rem auto;padding:0 1rem}}
button{{font:inherit;padding:.5rem 1rem}}</style></head><body>{said}</body></html>"""


async def unsubscribe_page(request: web.Request) -> web.Response:
    """Ask first: mail programs follow links to look at them, and nobody is to be unsubscribed by that."""
    message = await _message(request)
    what = escape(message.category)
    return _page(
        f'<h1>Unsubscribe</h1><p>No more messages of the kind “{what}” will be sent to this address.</p><form method="post">'
        "<button>Unsubscribe</button></form>"
    )


async def unsubscribe(request: web.Request) -> web.Response:
    await _form(request)  # List-Unsubscribe=One-Click, or nothing from the page's button: both mean the same
    message = await _message(request)
    app = request.app[DEPS]
    if app.aftermath is None:
        raise not_found("such link")
    await app.aftermath.unsubscribed(message.address, message.channel, message.category, message.id)
    return _page("<h1>Done</h1><p>You will get no more of these messages.</p>")


async def sms_report(request: web.Request) -> web.Response:
    app = request.app[DEPS]
    if app.sms_reports is None:
        raise not_found("such route: no provider of text messages is set up")
    form = await _form(request)
    name = request.match_info["message"]
    given = request.headers.get("X-Twilio-Signature", "")
    if not app.sms_reports.is_signed(name, request.rel_url.raw_query_string, form, given):
        raise Problem(403, "bad-signature", "this request is not signed with the account's token")
    await app.sms_reports.take(name, form)
    return web.Response(status=204)


async def _message(request: web.Request) -> Message:
    app = request.app[DEPS]
    name = app.links.message_of(request.match_info["token"]) if app.links is not None else None
    found = await app.messages.get(name) if name is not None else None
    if found is None:
        raise not_found("such link")
    return found


async def _form(request: web.Request) -> list[tuple[str, str]]:
    body = await read_body(request)
    if len(body) > _LARGEST_FORM:
        raise Problem(413, "body-too-large", f"a form holds at most {_LARGEST_FORM} bytes")
    if request.content_type == "multipart/form-data":
        return []
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Problem(400, "bad-form", "the body is no form") from None


def _page(said: str) -> web.Response:
    return web.Response(text=_PAGE.format(said=said), content_type="text/html", headers=_HEADERS)


ROUTES = (
    Route(
        "GET",
        UNSUBSCRIBE + "{token}",
        unsubscribe_page,
        None,
        "Ask whether to unsubscribe",
        "outside",
        answers={200: "A page with a button.", 404: "The hub made no such link."},
        media="text/html",
    ),
    Route(
        "POST",
        UNSUBSCRIBE + "{token}",
        unsubscribe,
        None,
        "Unsubscribe with one click (RFC 8058)",
        "outside",
        answers={200: "Done, also if it was before.", 404: "The hub made no such link."},
        media="text/html",
    ),
    Route(
        "POST",
        SMS_REPORT + "{message}",
        sms_report,
        None,
        "Tell what became of a text message, signed by its provider",
        "outside",
        answers={204: "Taken.", 403: "It is not signed.", 404: "No provider is set up."},
    ),
)
