"""The channels to teams, from the sections of the settings that name them and the secrets those name."""

from importlib.util import find_spec

from pydantic import SecretStr

from hub.clock import Clock
from hub.config import Settings, secrets_of
from hub.dispatch.channels.chat import CHAT, PAGE, ChatChannel
from hub.dispatch.channels.chat_settings import TeamSettings
from hub.dispatch.effects.notifier import Notifier
from hub.errors import ConfigError


def team_channels(settings: Settings, clock: Clock) -> list[Notifier]:
    """Return the channels there are. Raises ConfigError for one that cannot work."""
    sections = (("chat", CHAT, settings.chat), ("page", PAGE, settings.page))
    return [
        _channel(name, verb, section, settings, clock)
        for name, verb, section in sections
        if section is not None
    ]


def _channel(name: str, verb: str, section: TeamSettings, settings: Settings, clock: Clock) -> Notifier:
    if find_spec("apprise") is None:
        raise ConfigError(f"apprise is not installed: {name} needs the extra, pip install 'hub[apprise]'")
    secrets = secrets_of(settings)
    return ChatChannel(
        verb,
        section,
        {team: _address(name, team, secret, secrets) for team, secret in section.teams.items()},
        clock,
        allow_loopback=settings.delivering.allow_loopback_endpoints,
        networks=settings.delivering.allow_networks,
    )


def _address(section: str, team: str, name: str, secrets: dict[str, SecretStr]) -> SecretStr:
    """Return the address of a team. What is wrong with it is told without a word of it."""
    secret = secrets.get(name)
    if secret is None:
        raise ConfigError(
            f"{section}.teams.{team}: the secret {name} is not set: add it under `secrets` in hub.yaml, "
            f"or set HUB_SECRETS__{name.upper()}"
        )
    text = secret.get_secret_value().strip()
    if "://" not in text or not text.isprintable() or " " in text:
        raise ConfigError(
            f"{section}.teams.{team}: the secret {name} is no address as Apprise writes them, "
            "such as slack://TokenA/TokenB/TokenC"
        )
    return SecretStr(text)
