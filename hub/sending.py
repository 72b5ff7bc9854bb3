"""What messages go out by: the channels the settings name, and what is known of whom they go to."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from hub.bus.log import Teller
from hub.clock import Clock, from_us
from hub.config import Settings
from hub.dispatch.bounces import Bounces
from hub.dispatch.channels.crm.build import crm_channels
from hub.dispatch.channels.crm.line import whole
from hub.dispatch.channels.email import EmailChannel
from hub.dispatch.channels.push_trust import Taken
from hub.dispatch.channels.sms_twilio import SmsChannel
from hub.dispatch.contacts import Contacts, Suppressions
from hub.dispatch.devices import Devices
from hub.dispatch.effects.aftermath import Aftermath, Said
from hub.dispatch.effects.notifier import Notifier
from hub.dispatch.endpoint_url import EndpointUrlInvalid
from hub.dispatch.messages import Messages
from hub.dispatch.public_links import PublicLinks
from hub.dispatch.return_path import ReturnPath
from hub.dispatch.sms_reports import SmsReports
from hub.errors import ConfigError
from hub.events.catalogue import BY_NAME
from hub.events.facts import make_fact
from hub.team_channels import team_channels

_LARGEST_KEY = 32 * 1024


@dataclass(frozen=True, slots=True)
class Recipients:
    """What a store knows of those messages go to."""

    contacts: Contacts
    suppressions: Suppressions
    messages: Messages
    devices: Devices
    pushed: Taken


def notifiers(
    settings: Settings, recipients: Recipients, clock: Clock, *, share: Callable[[], float] = whole
) -> list[Notifier]:
    """Return the channels the settings name. Raises ConfigError for one that cannot work.

    `share` is how much of the rates other systems bear belongs to this process.
    """
    loopback, networks = settings.delivering.allow_loopback_endpoints, settings.delivering.allow_networks
    links = public_links(settings)
    found: list[Notifier] = []
    if settings.mail is not None:
        try:
            found.append(EmailChannel(settings.mail, clock, links, return_path(settings)))
        except OSError as error:
            raise ConfigError(
                f"mail.ca_file {settings.mail.ca_file} cannot be used ({type(error).__name__}): name a readable PEM file"
            ) from error
    if settings.sms is not None:
        try:
            found.append(SmsChannel(settings.sms, clock, links, allow_loopback=loopback, networks=networks))
        except EndpointUrlInvalid as error:
            raise ConfigError(f"sms.url: {error}") from error
    if settings.push is not None:
        found.append(_push(settings, recipients, clock))
    found += crm_channels(
        settings.crm,
        clock,
        allow_loopback=loopback,
        networks=settings.delivering.allow_networks,
        share=share,
    )
    return found + team_channels(settings, clock)


def public_links(settings: Settings) -> PublicLinks | None:
    return PublicLinks(settings.public) if settings.public is not None else None


def aftermath(recipients: Recipients, teller: Teller, clock: Clock) -> Aftermath:
    return Aftermath(
        recipients.messages,
        recipients.suppressions,
        recipients.devices,
        teller_of(teller, clock),
        clock,
    )


def sms_reports(
    settings: Settings, recipients: Recipients, teller: Teller, clock: Clock
) -> SmsReports | None:
    """Return what takes in the word of a provider of text messages, where one can reach the hub."""
    links = public_links(settings)
    if settings.sms is None or links is None:
        return None
    return SmsReports(
        settings.sms.auth_token, links, recipients.messages, aftermath(recipients, teller, clock), clock
    )


def return_path(settings: Settings) -> ReturnPath | None:
    """Return where mails come back to. Raises ConfigError where nothing signs it."""
    if settings.mail is None or settings.mail.return_path is None:
        return None
    secrets = settings.public.link_secrets if settings.public is not None else ()
    if not secrets:
        raise ConfigError("mail.return_path is signed: set public.link_secret too")
    return ReturnPath(settings.mail.return_path, secrets)


def bounces(settings: Settings, recipients: Recipients, teller: Teller, clock: Clock) -> Bounces | None:
    """Return what takes in mails that came back, where any are sent."""
    if settings.mail is None:
        return None
    return Bounces(
        settings.mail.sender,
        return_path(settings),
        recipients.messages,
        aftermath(recipients, teller, clock),
        clock,
    )


def teller_of(teller: Teller, clock: Clock) -> Callable[[str, Said, str], Awaitable[None]]:
    """Return what makes an event of what a channel told."""

    async def tell(kind: str, said: Said, dedupe_key: str) -> None:
        now = clock.now_us()
        fact = make_fact(
            BY_NAME[kind],
            kind,
            said,
            timestamp=from_us(now),
            received_us=now,
            source="hub",
            dedupe_key=dedupe_key,
        )
        await teller.append([fact])

    return tell


def _push(settings: Settings, recipients: Recipients, clock: Clock) -> Notifier:
    try:
        from hub.dispatch.channels.push_fcm import PushChannel  # noqa: PLC0415 (its library is an extra)
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed: push needs the extra, pip install 'hub[push]'"
        ) from error
    push = settings.push
    assert push is not None
    account = push.service_account
    if push.service_account_file is not None:
        account = SecretStr(_service_account(push.service_account_file))
    assert account is not None
    return PushChannel(
        push,
        account,
        recipients.devices,
        recipients.pushed,
        clock,
        allow_loopback=settings.delivering.allow_loopback_endpoints,
        networks=settings.delivering.allow_networks,
    )


def _service_account(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST_KEY + 1)
        if len(text) <= _LARGEST_KEY and isinstance(json.loads(text), dict):
            return text
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"push.service_account_file {path} cannot be read ({type(error).__name__}): name the JSON file of a key of a "
            "service account"
        ) from None
    raise ConfigError(f"push.service_account_file {path} is no JSON file of a key of a service account")
