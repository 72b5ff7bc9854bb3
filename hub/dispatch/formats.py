"""The forms an event can be sent in: as Standard Webhooks has it, as a CloudEvent, or as the endpoint's own text.

A transform is a template. In the first two forms it makes the event's `data`, in the third the whole body. Values are
escaped for what the body is, so that a trader's name cannot add fields to it.
"""

import re
from datetime import datetime
from typing import Final, Literal, Protocol, final

import msgspec
from typing_extensions import override

from hub.dispatch.content import ROOTS, scope_of, values_of
from hub.dispatch.options import EndpointOptions, Format
from hub.errors import ConfigError, ExpressionError, HubError, Place
from hub.events.declared import NONE_DECLARED, Declarations
from hub.events.records import Account, Wire, encode
from hub.expr import compile_expression
from hub.text import Template, TextError

MAX_BODY: Final = 256 * 1024
JSON: Final = "application/json"
CLOUDEVENT: Final = "application/cloudevents+json; charset=utf-8"

_PLACE: Final = Place("transform", 1, 1)
_KIND: Final = re.compile(
    r"(?P<json>application/(?:[a-z0-9.+-]{1,64}\+)?json)"
    r"|(?P<xml>(?:application|text)/(?:[a-z0-9.+-]{1,64}\+)?xml|text/html)"
    r"|(?P<text>text/(?:plain|csv))"
)
_Escape = Literal["plain", "html", "json"]
_decode_wire: Final = msgspec.json.Decoder(Wire).decode
_decode_json: Final = msgspec.json.Decoder().decode
_decode_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class TransformInvalid(ConfigError):
    """A transform that could never be filled in."""


class NotShaped(HubError):
    """This event cannot be given the form the endpoint asks for."""


class CloudEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """CloudEvents 1.0, structured; `sequence` is its extension of that name, which is text."""

    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    data: msgspec.Raw
    datacontenttype: str | None = None
    subject: str | None = None
    sequence: str | None = None


class Former(Protocol):
    """Makes bodies; safe to use from several threads."""

    content_type: str

    def form(self, body: bytes) -> bytes:
        """Return what is sent for an event as the hub tells it. Raises NotShaped."""


@final
class Formed(Former):
    """Raises TransformInvalid for a transform that does not fit the types of events."""

    def __init__(
        self,
        options: EndpointOptions,
        events: tuple[str, ...],
        declared: Declarations = NONE_DECLARED,
    ) -> None:
        self.content_type = content_type_of(options)
        self._format: Format = options.format
        self._template: Template | None = None
        self._is_json = options.format != "raw" or _escape(self.content_type) == "json"
        if options.transform:
            escape: _Escape = "json" if options.format != "raw" else _escape(self.content_type)
            self._template = _compiled(options.transform, escape, events, declared)

    @override
    def form(self, body: bytes) -> bytes:
        try:
            event = _decode_wire(body)
        except msgspec.DecodeError as error:
            raise NotShaped("the event cannot be read") from error
        made = self._filled(event) if self._template is not None else None
        formed = self._whole(event, made)
        if len(formed) > MAX_BODY:
            raise NotShaped(f"the body has {len(formed)} bytes, {MAX_BODY} are allowed")
        return formed

    def _whole(self, event: Wire, made: bytes | None) -> bytes:
        if self._format == "raw":
            assert made is not None, "a raw body is always made by a transform"
            return made
        data = event.data if made is None else msgspec.Raw(made)
        if self._format == "cloudevents":
            return _cloud_event(event, data)
        return encode(Wire(event.id, event.type, event.timestamp, event.account, event.sequence, data))

    def _filled(self, event: Wire) -> bytes:
        assert self._template is not None
        try:
            text = self._template.render({**values_of(event), "sequence": event.sequence}).encode()
        except TextError as error:
            raise NotShaped(error.message) from error
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise NotShaped(f"the event's data cannot be put into text ({error})") from error
        if self._is_json:
            try:
                _decode_json(text) if self._format == "raw" else _decode_object(text)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise NotShaped(f"the transform gave no valid JSON: {error}") from error
        return text


def forms(options: EndpointOptions) -> bool:
    """Say whether bodies are sent in another form than the hub's own."""
    return options.format != "standard" or bool(options.transform)


def content_type_of(options: EndpointOptions) -> str:
    match options.format:
        case "cloudevents":
            return CLOUDEVENT
        case "raw" if options.content_type:
            return options.content_type
        case _:
            return JSON


def check_content_type(text: str) -> str:
    """Return a media type a raw body can have. Raises TransformInvalid."""
    kind, _, parameter = text.partition(";")
    if not _KIND.fullmatch(kind.strip()) or parameter.strip() not in {"", "charset=utf-8"}:
        raise TransformInvalid(
            "a raw body is JSON, XML, HTML or text: application/json, application/xml, text/html, text/plain, text/csv"
        )
    return text


def _escape(content_type: str) -> _Escape:
    found = _KIND.match(content_type)
    if found is None or found["text"]:
        return "plain"
    return "json" if found["json"] else "html"


def _compiled(source: str, escape: _Escape, events: tuple[str, ...], declared: Declarations) -> Template:
    try:
        template = Template(source, place=_PLACE, html=escape == "html", json=escape == "json")
    except TextError as error:
        raise TransformInvalid(f"line {error.line}: {error.message}") from error
    scope = scope_of(events, declared.of(events))
    for path, line in template.paths():
        root = path.partition(".")[0]
        if root == "sequence":
            continue
        if root not in ROOTS:
            known = ", ".join((*ROOTS, "sequence"))
            raise TransformInvalid(f"line {line}: unknown name {root}; known are {known}")
        try:
            compile_expression(f"has({path})", scope)
        except ExpressionError as error:
            raise TransformInvalid(f"line {line}: {error}") from error
    return template


def _cloud_event(event: Wire, data: msgspec.Raw) -> bytes:
    account: Account | None = event.account
    return encode(
        CloudEvent(
            specversion="1.0",
            id=event.id,
            source="urn:hub" if account is None else f"urn:hub:{account.server}",
            type=event.type,
            time=event.timestamp,
            data=data,
            datacontenttype=JSON,
            subject=None if account is None else account.key,
            sequence=None if event.sequence is None else str(event.sequence),
        )
    )
