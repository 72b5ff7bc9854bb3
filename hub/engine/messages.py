"""Messages by name: what each says in every language it has, and in which of them somebody is written to.

A workflow's text has the messages it names in it, below the file's own text. So they belong to its version: a message
that changes makes a new version of the workflows that use it, and a run goes on with the words it began with.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final

import msgspec

from hub.engine.declared_below import DeclaredBelow, events_below, events_of
from hub.errors import HubError, Place
from hub.events.declared import NONE_DECLARED, Declarations
from hub.text import Template, TextError

# Every part a message may have, under its name in the file.
PARTS: Final = ("subject", "text", "html", "sms", "push.title", "push.text")
# Which part each parameter of a verb is made of: the first that a message has.
SAYS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "notify.email": {"subject": ("subject",), "text": ("text",), "html": ("html",)},
    "notify.sms": {"text": ("sms", "text")},
    "notify.push": {"title": ("push.title", "subject"), "text": ("push.text", "sms", "text")},
    "notify.chat": {"title": ("subject",), "text": ("text",)},
    "notify.page": {"title": ("subject",), "text": ("sms", "text")},
    "message.mail": {"subject": ("subject",), "text": ("text",)},
}
# And which a message has to have for it: one of each row.
NEEDS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "notify.email": (("subject",), ("text", "html")),
    "notify.sms": (("sms", "text"),),
    "notify.push": (("push.text", "sms", "text"),),
    "notify.chat": (("text",),),
    "notify.page": (("sms", "text"),),
    "message.mail": (("subject",), ("text",)),
}
# What a message may read beside its own vars.
KNOWN_ROOTS: Final = ("account", "client")
LANGUAGE: Final = "client.language"
MAX_WORDS: Final = 256 * 1024  # of all messages of one workflow together

_SEPARATOR: Final = "\n--- # messages\n"
_VERSION: Final = 12


class MessagesUnreadable(HubError):
    """What stands below a stored workflow is none of our messages."""


@dataclass(frozen=True, slots=True)
class Wording:
    """A message in one language; `reads` says of every part which paths it reads, and where they stand."""

    language: str
    parts: Mapping[str, Template]
    reads: Mapping[str, tuple[tuple[str, Place], ...]]
    place: Place

    def part(self, names: Iterable[str]) -> str | None:
        """Return the first of these parts that there is."""
        return next((name for name in names if name in self.parts), None)


@dataclass(frozen=True)
class Message:
    """`wordings` has every language by its name in lower case; `default` is spoken to whoever speaks none of them."""

    name: str
    default: str
    wordings: Mapping[str, Wording]
    about: str = ""

    def wording(self, language: object) -> Wording:
        """Return what somebody of a language reads: `de-AT` in de-at, or else in de, or else in the default."""
        spoken = language.lower().replace("_", "-") if isinstance(language, str) else ""
        while spoken:
            found = self.wordings.get(spoken)
            if found is not None:
                return found
            spoken = spoken.rpartition("-")[0]
        return self.wordings[self.default.lower()]

    @property
    def languages(self) -> list[str]:
        """Return the languages, the default first."""
        others = sorted(each.language for each in self.wordings.values() if each.language != self.default)
        return [self.default, *others]

    @cached_property
    def version(self) -> str:
        """Return what changes with any word in any language."""
        return sha256(msgspec.json.encode([self.name, _plain(self)], order="sorted")).hexdigest()[:_VERSION]


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    default: str
    languages: dict[str, dict[str, str]]


class _Below(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    messages: dict[str, _Words]
    language: str = ""  # what tells somebody's language, for whoever looks for what a workflow reads
    events: dict[str, DeclaredBelow] = {}


_decode = msgspec.json.Decoder(_Below).decode


def _plain(message: Message) -> _Words:
    languages = {
        each.language: {name: template.source for name, template in each.parts.items()}
        for each in message.wordings.values()
    }
    return _Words(message.default, languages)


def below(messages: Mapping[str, Message], declared: Declarations = NONE_DECLARED) -> str:
    """Return what stands below the text of a workflow that uses messages, or names events somebody declared."""
    if not messages and not declared.types:
        return ""
    content = _Below(
        {name: _plain(messages[name]) for name in sorted(messages)},
        LANGUAGE if messages else "",
        events_below(declared),
    )
    return _SEPARATOR + msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=1).decode()


def taken_apart(text: str) -> tuple[str, str]:
    """Return a workflow's own text, and what stands below it."""
    own, separator, content = text.rpartition(_SEPARATOR)
    return (own, separator + content) if separator else (text, "")


def messages_of(lower: str, path: str) -> dict[str, Message]:
    """Return the messages below a stored workflow. Raises MessagesUnreadable."""
    if not lower:
        return {}
    place = Place(path, 1, 1)
    try:
        found = _decode(lower.removeprefix(_SEPARATOR).encode("utf-8", "surrogatepass"))
        if any(words.default not in words.languages for words in found.messages.values()):
            raise MessagesUnreadable(f"{path}: its messages cannot be read: one lacks its default language")
        return {
            name: Message(
                name,
                words.default,
                {each.lower(): wording(each, parts, place) for each, parts in words.languages.items()},
            )
            for name, words in found.messages.items()
        }
    except (msgspec.DecodeError, TextError, UnicodeError) as problem:
        raise MessagesUnreadable(f"{path}: its messages cannot be read: {problem}") from problem


def declared_of(lower: str, path: str) -> Declarations:
    """Return the declared events below a stored workflow. Raises MessagesUnreadable."""
    if not lower:
        return NONE_DECLARED
    try:
        return events_of(_decode(lower.removeprefix(_SEPARATOR).encode("utf-8", "surrogatepass")).events)
    except (msgspec.DecodeError, ValueError) as problem:
        raise MessagesUnreadable(f"{path}: its events cannot be read: {problem}") from problem


def wording(language: str, parts: Mapping[str, str], place: Place) -> Wording:
    """Return a wording whose words are known to be sound."""
    made = {name: Template(source, place=place, html=name == "html") for name, source in parts.items()}
    return Wording(
        language,
        made,
        {name: tuple((path, place) for path, _ in template.paths()) for name, template in made.items()},
        place,
    )
