"""The folder of messages beside the workflows: one file for each message and language, read with every complaint's place."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, ValidationError

from hub.engine.complaints import complain
from hub.engine.fields import Line
from hub.engine.files_on_disk import here_and_above, text_of
from hub.engine.messages import Message, Wording
from hub.engine.model_part import Part
from hub.engine.nodes import Document, Location
from hub.engine.problems import Problem, Problems, quoted
from hub.engine.yaml import read
from hub.errors import Place
from hub.text import Template, TextError

FOLDER: Final = "templates"
SUFFIX: Final = ".yaml"
MAX_BYTES: Final = 128 * 1024
MAX_MESSAGES: Final = 1_000
MAX_LANGUAGES: Final = 40
MAX_FILES: Final = 4_000

_LANGUAGE: Final = r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}"
_NAME: Final = re.compile(rf"(?P<name>[a-z0-9][a-z0-9-]{{0,63}})(?:\.(?P<language>{_LANGUAGE}))?")

Source = Annotated[str, StringConstraints(min_length=1)]


class PushWording(Part):
    """What a push message says, where it is not what the others say."""

    title: Source | None = Field(None, description="Its title; else the subject.")
    text: Source = Field(description="What it says; else what text messages say.")


class MessageFile(Part):
    """One message in one language."""

    version: Literal[1] = Field(alias="schema", description="The version of the file format: 1.")
    about: Line | None = Field(None, description="What the message is for, in one sentence.")
    language: Annotated[str, StringConstraints(pattern=f"^{_LANGUAGE}$")] | None = Field(
        None,
        description="Which language it is in. NAME.yaml says it; NAME.de.yaml says so with its name.",
    )
    subject: Source | None = Field(None, description="The subject of mails, and the title of other messages.")
    text: Source | None = Field(None, description="What it says.")
    html: Source | None = Field(
        None, description="What mails say to programs that show HTML; values are escaped."
    )
    sms: Source | None = Field(None, description="What text messages say; else the text.")
    push: PushWording | None = Field(
        None, description="What push messages say; else the text message's text."
    )


def message_schema() -> dict[str, Any]:
    """Return the JSON Schema of a message's file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **MessageFile.model_json_schema(by_alias=True),
    }


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages that are sound by name, and those that are not with one thing that is wrong with each."""

    sound: Mapping[str, Message] = field(default_factory=dict)
    broken: Mapping[str, Problem] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str]:
        return sorted({*self.sound, *self.broken})


NO_MESSAGES: Final = Messages()


def message_folders(paths: Iterable[Path], folder: Path | None = None) -> list[Path]:
    """Return where the messages for these workflows are: the folder that is named, or `templates` beside each."""
    if folder is not None:
        return [folder]
    found: dict[Path, Path] = {}
    for path in paths:
        # A folder of its own within the workflows, such as that of blueprints, shares what stands one above.
        nearest = next((each / FOLDER for each in here_and_above(path) if (each / FOLDER).is_dir()), None)
        if nearest is not None:
            found.setdefault(nearest.resolve(), nearest)
    return list(found.values())


def message_files(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the files of messages in a fixed order; hidden ones are none."""
    for folder in folders:
        if not folder.is_dir():
            continue
        found = (
            path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith(".") and path.is_file()
        )
        yield from sorted(islice(found, MAX_FILES))


def read_messages(folders: Iterable[Path]) -> Messages:
    """Read every message; one with anything wrong in any language is wrong as a whole."""
    reading = _Reading()
    for path in message_files(folders):
        reading.file(path)
    return reading.messages()


class _Reading:
    def __init__(self) -> None:
        self._found: defaultdict[str, list[tuple[MessageFile, Wording, bool]]] = defaultdict(list)
        self._broken: dict[str, Problem] = {}
        self._problems: list[Problem] = []
        self._sources: dict[str, str] = {}

    def file(self, path: Path) -> None:
        shown, top = str(path), Place(str(path), 1, 1)
        named = _NAME.fullmatch(path.name.removesuffix(SUFFIX))
        if named is None:
            self._note(
                None,
                Problem(top, "a message's file is called NAME.yaml, or NAME.de.yaml for one more language"),
            )
            return
        name, language = named["name"], named["language"]
        if name not in self._found and len(self._found) >= MAX_MESSAGES:
            self._note(name, Problem(top, f"at most {MAX_MESSAGES} messages are read"))
            return
        text = text_of(path, shown, MAX_BYTES, "say less")
        if isinstance(text, Problem):
            self._note(name, text)
            return
        problems = Problems()
        made = _made(text, shown, language, problems)
        for problem in problems:
            self._sources[shown] = text
            self._note(name, problem)
        if made is not None and not problems.fatal:
            self._found[name].append((*made, language is None))

    def messages(self) -> Messages:
        sound = {
            name: self._message(name, found)
            for name, found in sorted(self._found.items())
            if name not in self._broken
        }
        return Messages(
            {name: message for name, message in sound.items() if message is not None},
            self._broken,
            tuple(self._problems),
            self._sources,
        )

    def _message(self, name: str, found: list[tuple[MessageFile, Wording, bool]]) -> Message | None:
        first = [(file, wording) for file, wording, is_default in found if is_default]
        if len(first) != 1:
            place = found[0][1].place
            why = (
                f"{quoted(name)} has no {name}{SUFFIX}: that is the file for whoever speaks none of its languages"
                if not first
                else f"{quoted(name)} stands in several folders: give each its own name"
            )
            self._note(name, Problem(place, why))
            return None
        wordings: dict[str, Wording] = {}
        for _, wording, _ in found:
            if wording.language.lower() in wordings:
                self._note(
                    name, Problem(wording.place, f"{quoted(name)} is there twice in {wording.language}")
                )
                return None
            wordings[wording.language.lower()] = wording
        if len(wordings) > MAX_LANGUAGES:
            self._note(name, Problem(found[0][1].place, f"a message has at most {MAX_LANGUAGES} languages"))
            return None
        file, default = first[0]
        return Message(name, default.language, wordings, file.about or "")

    def _note(self, name: str | None, problem: Problem) -> None:
        self._problems.append(problem)
        if name is not None:
            self._broken.setdefault(name, problem)


def _made(text: str, path: str, named: str | None, problems: Problems) -> tuple[MessageFile, Wording] | None:
    document = read(text, path, problems)
    if document is None:
        return None
    try:
        file = MessageFile.model_validate(document.data())
    except ValidationError as error:
        complain(document, error, problems, MessageFile)
        return None
    language = named or file.language
    if language is None:
        problems.error(document.root.place, "say which `language` this is in, such as `language: en`")
        return None
    if file.language is not None and file.language.lower() != language.lower():
        problems.error(
            document.place(("language",)), f"the file's name says {language}: remove `language`, or rename it"
        )
    sources: dict[str, tuple[Location, str]] = {}
    for name, source in (
        ("subject", file.subject),
        ("text", file.text),
        ("html", file.html),
        ("sms", file.sms),
    ):
        if source is not None:
            sources[name] = ((name,), source)
    if file.push is not None:
        sources["push.text"] = (("push", "text"), file.push.text)
        if file.push.title is not None:
            sources["push.title"] = (("push", "title"), file.push.title)
    if not sources:
        problems.error(
            document.root.place, "the message says nothing: give it `subject`, `text`, `sms` or `push`"
        )
    parts: dict[str, Template] = {}
    reads: dict[str, tuple[tuple[str, Place], ...]] = {}
    for name, (location, source) in sources.items():
        try:
            parts[name] = Template(source, place=document.place(location), html=name == "html")
        except TextError as error:
            problems.error(_at(document, location, source, error.line), error.message)
            continue
        reads[name] = tuple(
            (path, _at(document, location, source, line, path)) for path, line in parts[name].paths()
        )
    return file, Wording(language, parts, reads, document.root.place)


def _at(document: Document, location: Location, source: str, line: int, path: str = "") -> Place:
    start = 0
    for _ in range(line - 1):
        start = source.find("\n", start) + 1
    return document.within(location, max(source.find(path, start), start))
