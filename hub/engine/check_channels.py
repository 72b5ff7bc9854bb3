"""What `hub check` says of messages that no channel of the configuration would take."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from hub.engine.problems import Problem, Severity, did_you_mean, quoted
from hub.engine.program_steps import Do, Literally
from hub.intents.contact import CHANNELS

Channels = Mapping[str, frozenset[str]]
"""The sections of hub.yaml that are there and send something, and the teams each names."""

SECTIONS: Final = {
    "notify.email": "mail",
    "notify.sms": "sms",
    "notify.push": "push",
    "notify.chat": "chat",
    "notify.page": "page",
}
TO_TEAMS: Final = frozenset({"notify.chat", "notify.page"})


def unset_channels(workflow: str, steps: Iterable[Do], channels: Channels) -> Iterator[Problem]:
    """Yield the messages that would be refused."""
    for step in steps:
        why = _refusal(step, channels) if step.place is not None else ""
        if why and step.place is not None:
            said = f"workflow {workflow}: {why}: the message would be refused"
            yield Problem(step.place, said, Severity.WARNING)


def _refusal(step: Do, channels: Channels) -> str:
    verb = step.verb.name
    section = SECTIONS.get(verb)
    if section is None:
        return f"nothing sends {verb} yet" if verb in CHANNELS else ""
    if section not in channels:
        return f"no channel is configured for {verb}: add `{section}` to hub.yaml"
    team, teams = step.params.get("team"), channels[section]
    if verb in TO_TEAMS and isinstance(team, Literally) and team.value not in teams:
        name = str(team.value)
        return f"{section}.teams in hub.yaml has no {quoted(name)}{did_you_mean(name, teams)}"
    return ""
