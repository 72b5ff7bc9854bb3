"""The CRMs of the configuration, ready: their secrets read, their addresses checked."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from hub.clock import Clock
from hub.dispatch.addresses import Networks
from hub.dispatch.channels.crm.channel import CrmChannel
from hub.dispatch.channels.crm.generic import Generic
from hub.dispatch.channels.crm.generic_settings import GenericCrmSettings
from hub.dispatch.channels.crm.hubspot import HubSpot
from hub.dispatch.channels.crm.line import Line, checked_url, whole
from hub.dispatch.channels.crm.newest import Newest
from hub.dispatch.channels.crm.object_settings import SecretFile, SecretOrFile
from hub.dispatch.channels.crm.profile import Profile
from hub.dispatch.channels.crm.salesforce import Salesforce
from hub.dispatch.channels.crm.salesforce_token import Access, Grant, KeyGrant, SecretGrant
from hub.dispatch.channels.crm.settings import CrmSettings, HubSpotSettings, SalesforceSettings
from hub.dispatch.channels.crm.wanted import PARAMS
from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.effects.notifier import Notifier
from hub.errors import ConfigError
from hub.passwords import read_password

_LONGEST_KEY: Final = 32 * 1024


def crm_channels(
    settings: Mapping[str, CrmSettings],
    clock: Clock,
    *,
    allow_loopback: bool = False,
    networks: Networks = (),
    way_out: WayOut | None = None,
    share: Callable[[], float] = whole,
) -> list[Notifier]:
    """Return the channels to the CRMs, none where none is named. Raises ConfigError for one that cannot work.

    `share` is how much of each CRM's rate belongs to this process.
    """
    if not settings:
        return []
    out = way_out or WayOut(allow_loopback=allow_loopback, networks=networks)
    profiles = {
        name: _profile(name, each, clock, out, share, allow_loopback=allow_loopback, networks=networks)
        for name, each in settings.items()
    }
    newest = Newest()
    return [CrmChannel(verb, profiles, newest) for verb in PARAMS]


def _profile(
    name: str,
    settings: CrmSettings,
    clock: Clock,
    way_out: WayOut,
    share: Callable[[], float],
    *,
    allow_loopback: bool,
    networks: Networks,
) -> Profile:
    line = Line(name, way_out, clock, rate=settings.rate, timeout_s=settings.timeout_s, share=share)
    at = f"crm.{name}"
    match settings:
        case HubSpotSettings():
            url = checked_url(f"{at}.url", settings.url, allow_loopback=allow_loopback)
            token = _secret(f"{at}.token", settings.token, settings.token_file)
            return HubSpot(settings, _header(f"{at}.token", token), url, line)
        case SalesforceSettings():
            login = checked_url(f"{at}.login_url", settings.login_url, allow_loopback=allow_loopback)
            within = timedelta(seconds=settings.timeout_s)
            grant = _grant(at, settings)
            access = Access(login, grant, way_out, clock, within, allow_loopback=allow_loopback)
            return Salesforce(settings, access, line)
        case GenericCrmSettings():
            url = checked_url(f"{at}.url", settings.url, allow_loopback=allow_loopback, networks=networks)
            return Generic(settings, _headers(at, settings), url, line)


def _grant(at: str, settings: SalesforceSettings) -> Grant:
    if settings.user is None:
        secret = _secret(f"{at}.client_secret", settings.client_secret, settings.client_secret_file)
        return SecretGrant(settings.client_id, secret)
    key = settings.private_key.get_secret_value() if settings.private_key is not None else ""
    if settings.private_key_file is not None:
        key = _key_in(f"{at}.private_key_file", settings.private_key_file)
    return KeyGrant(at, settings.client_id, settings.user, settings.audience.rstrip("/"), key)


def _headers(at: str, settings: GenericCrmSettings) -> dict[str, str]:
    found = {
        name: _header(f"{at}.headers.{name}", _either(f"{at}.headers.{name}", value))
        for name, value in settings.headers.items()
    }
    if settings.token is not None or settings.token_file is not None:
        token = _secret(f"{at}.token", settings.token, settings.token_file)
        found["Authorization"] = f"Bearer {_header(f'{at}.token', token)}"
    return found


def _either(at: str, value: SecretOrFile) -> str:
    return _secret(at, None, value.file) if isinstance(value, SecretFile) else _secret(at, value, None)


def _secret(at: str, value: SecretStr | None, file: Path | None) -> str:
    text = (
        read_password(file, f"{at}_file") if file is not None else value.get_secret_value() if value else ""
    )
    if not text:
        raise ConfigError(f"{at} is empty")
    return text


def _header(at: str, text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ConfigError(f"{at} is no line of printable ASCII, which is all a header takes")
    return text


def _key_in(at: str, file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(_LONGEST_KEY + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{at} {file} cannot be read ({type(error).__name__}): name a PEM file") from None
    if not 0 < len(text) <= _LONGEST_KEY:
        raise ConfigError(f"{at} {file} holds no private key in PEM")
    return text
