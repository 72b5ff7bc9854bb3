"""Text messages through Twilio's interface, or one that is like it.

There is no key by which a repeated request would be known: one whose answer was lost is not sent again.
"""

import re
from base64 import b64encode
from datetime import timedelta
from typing import Annotated, Final, Self, final
from urllib.parse import urlencode

import yarl
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.addresses import Networks
from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.channels.one_exchange import Lost, NotSent, Reply, exchange
from hub.dispatch.channels.rest import Rest
from hub.dispatch.channels.sms_codes import meaning
from hub.dispatch.effects.notifier import Declined, Later, Notifier, SendsOnce, Sent, Told, Unsure
from hub.dispatch.endpoint_url import EndpointUrlInvalid, parse_endpoint_url
from hub.dispatch.lateness import seconds_left
from hub.dispatch.messages import message_id
from hub.dispatch.public_links import PublicLinks
from hub.dispatch.schedule import parse_retry_after
from hub.intents.intent import Intent
from hub.intents.verbs import SendMessage

LONGEST: Final = 1_600
_LONGEST_VALIDITY: Final = 36_000
_SHORTEST_VALIDITY: Final = 5
_NUMBER: Final = re.compile(r"\+?[0-9][0-9 ().\-/]{3,30}", re.ASCII)
_SID: Final = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
_PAUSE_US: Final = 60_000_000  # where it says that we are too many and not for how long


class SmsSettings(BaseModel):
    """`sender` is a number or a name, `messaging_service` one that chooses; `url` is where its interface is."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    account_sid: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}$")]
    auth_token: SecretStr
    sender: Annotated[str, Field(pattern=r"^[+A-Za-z0-9 ]{1,32}$")] | None = None
    messaging_service: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}$")] | None = None
    url: Annotated[str, Field(max_length=512)] = "https://api.twilio.com"
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 15.0

    @field_validator("auth_token")
    @classmethod
    def _is_there(cls, token: SecretStr) -> SecretStr:
        if not token.get_secret_value():
            raise ValueError("auth_token is empty")
        return token

    @model_validator(mode="after")
    def _has_a_sender(self) -> Self:
        if (self.sender is None) == (self.messaging_service is None):
            raise ValueError("give either sender or messaging_service")
        if "?" in self.url or "#" in self.url:
            raise ValueError("url is the beginning of an address, without ? and #")
        return self


@final
class SmsChannel(Notifier, SendsOnce):
    def __init__(
        self,
        settings: SmsSettings,
        clock: Clock,
        links: PublicLinks | None = None,
        *,
        allow_loopback: bool = False,
        networks: Networks = (),
        way_out: WayOut | None = None,
    ) -> None:
        """Make it ready; raises EndpointUrlInvalid for an interface the hub does not call."""
        parse_endpoint_url(settings.url, allow_loopback=allow_loopback, networks=networks)
        if not settings.url.startswith("https://") and not allow_loopback:
            raise EndpointUrlInvalid("sms.url: the token is sent over https only")
        self._settings = settings
        self._clock = clock
        self._links = links
        self._way_out = way_out or WayOut(allow_loopback=allow_loopback, networks=networks)
        self._url = yarl.URL(
            f"{settings.url.rstrip('/')}/2010-04-01/Accounts/{settings.account_sid}/Messages.json"
        )
        self._rest = Rest(clock)  # while it takes nothing from us, nothing is asked

    @property
    @override
    def offers(self) -> frozenset[str]:
        return frozenset({"notify.sms"})

    @property
    @override
    def sends_once(self) -> bool:
        return True

    @override
    async def send(self, intent: Intent) -> Told:
        try:
            message = SendMessage.model_validate_json(intent.params)
        except ValidationError as problem:
            return Declined(f"the message cannot be read: {problem.errors()[0]['msg']}")
        if message.to is None or not _NUMBER.fullmatch(message.to.strip()):
            return Declined("`to` is no telephone number")
        if not message.text or not message.text.strip():
            return Declined("a text message needs `text`")
        if len(message.text) > LONGEST:
            return Declined(f"the text has {len(message.text)} characters: at most {LONGEST} are sent")
        left_us = self._rest.left_us()
        if left_us:
            return Later("it takes nothing from us for now", left_us)
        found = await exchange(
            self._way_out,
            "POST",
            self._url,
            {"Authorization": self._credentials(), "Content-Type": "application/x-www-form-urlencoded"},
            urlencode(self._form(intent, message.to.strip(), message.text)).encode(),
            timedelta(seconds=self._settings.timeout_s),
        )
        match found:
            case NotSent(reason):
                return Later(reason)
            case Lost(reason):
                return Unsure(f"{reason}: it may have been taken")
            case Reply():
                return self._told(found, message.to)

    def _form(self, intent: Intent, to: str, text: str) -> dict[str, str]:
        plain = re.sub(r"[^0-9]", "", to)
        form = {"To": "+" + (plain if to.startswith("+") else plain.removeprefix("00")), "Body": text}
        if self._settings.sender is not None:
            form["From"] = self._settings.sender
        elif self._settings.messaging_service is not None:
            form["MessagingServiceSid"] = self._settings.messaging_service
        left = seconds_left(intent, self._clock.now_us())
        if left is not None:
            form["ValidityPeriod"] = str(min(max(left, _SHORTEST_VALIDITY), _LONGEST_VALIDITY))
        if self._links is not None:
            form["StatusCallback"] = self._links.sms_report(message_id(intent.key))
        return form

    def _credentials(self) -> str:
        pair = f"{self._settings.account_sid}:{self._settings.auth_token.get_secret_value()}"
        return f"Basic {b64encode(pair.encode()).decode()}"

    def _told(self, reply: Reply, to: str) -> Told:
        said = reply.json()
        if 200 <= reply.status < 300:
            sid = said.get("sid")
            if isinstance(sid, str) and _SID.fullmatch(sid):
                return Sent(ref=sid)
            return Unsure(f"answered {reply.status} without the number of a message: it may have been taken")
        told = meaning(reply.status, said.get("code"), to)
        if isinstance(told, Later) and reply.status == 429:
            wait = parse_retry_after(reply.retry_after, self._clock.now_us()) or _PAUSE_US
            self._rest.begin(wait)
            return Later(told.reason, wait)
        return told
