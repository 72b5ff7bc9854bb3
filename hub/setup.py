"""What of the configuration workflows may need: their secrets, channels and CRMs, as their check asks for them."""

from hub.config import Settings
from hub.dispatch.channels.crm.settings import takes
from hub.engine.check_setup import Setup


def setup_of(settings: Settings) -> Setup:
    channels = {
        name: frozenset[str]()
        for name, section in (("mail", settings.mail), ("sms", settings.sms), ("push", settings.push))
        if section is not None
    }
    teams = (("chat", settings.chat), ("page", settings.page))
    channels |= {name: frozenset(section.teams) for name, section in teams if section is not None}
    return Setup(
        frozenset(settings.secrets), channels, {name: takes(crm) for name, crm in settings.crm.items()}
    )
