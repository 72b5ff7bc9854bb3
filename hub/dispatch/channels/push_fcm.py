"""Push messages through Firebase Cloud Messaging, which reaches Android, iOS and browsers.

It knows no key for a repeated request. So every copy has the same tag: a device shows the second in place of the first.
"""

from collections import OrderedDict
from datetime import timedelta
from typing import Any, Final, final

import msgspec
import structlog
import yarl
from pydantic import SecretStr, ValidationError
from typing_extensions import override

from hub.clock import SECOND_US, Clock
from hub.dispatch.addresses import Networks
from hub.dispatch.channels.google_token import NoToken, ServiceAccount
from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.channels.one_exchange import Lost, NotSent, exchange
from hub.dispatch.channels.push_answers import (
    Answer,
    BadAccess,
    BadMessage,
    DeadToken,
    NotNow,
    OtherSender,
    Pushed,
    answer_of,
)
from hub.dispatch.channels.push_reached import Reached
from hub.dispatch.channels.push_settings import PushSettings
from hub.dispatch.channels.push_trust import PushTrust, Taken
from hub.dispatch.channels.rest import Rest
from hub.dispatch.devices import Device, Devices
from hub.dispatch.effects.notifier import (
    Declined,
    Later,
    News,
    Notifier,
    SenderRefused,
    Sent,
    TokenDead,
    Told,
)
from hub.dispatch.endpoint_url import EndpointUrlInvalid, parse_endpoint_url
from hub.dispatch.lateness import seconds_left
from hub.dispatch.messages import message_id
from hub.errors import ConfigError
from hub.intents.intent import Intent, decided_by
from hub.intents.verbs import SendMessage

LARGEST: Final = 4_096  # bytes of a message, by the protocol
LONGEST_TTL_S: Final = 2_419_200
_REMEMBERED: Final = 10_000  # messages of which it is known which devices have them
_DAY_US: Final = 86_400 * SECOND_US
_NOT_OURS: Final = "look at push.project and the service account, or the device is of another app"
_CLIENT_KEY: Final = "client="
_encode = msgspec.json.Encoder().encode

log = structlog.get_logger(__name__)


@final
class PushChannel(Notifier):
    def __init__(
        self,
        settings: PushSettings,
        account: SecretStr,
        devices: Devices,
        taken: Taken,
        clock: Clock,
        *,
        allow_loopback: bool = False,
        networks: Networks = (),
        way_out: WayOut | None = None,
    ) -> None:
        """Make it ready; raises ConfigError for a service account or an address that cannot be used."""
        try:
            parse_endpoint_url(settings.url, allow_loopback=allow_loopback, networks=networks)
        except EndpointUrlInvalid as error:
            raise ConfigError(f"push.url: {error}") from None
        if not settings.url.startswith("https://") and not allow_loopback:
            raise ConfigError("push.url: the access token is sent over https only")
        self._way_out = way_out or WayOut(allow_loopback=allow_loopback, networks=networks)
        self._access = ServiceAccount(
            account, clock, self._way_out, allow_loopback=allow_loopback, networks=networks
        )
        self._project = settings.project or self._access.project
        self._url = yarl.URL(f"{settings.url.rstrip('/')}/v1/projects/{self._project}/messages:send")
        self._trust = PushTrust(taken, self._project)
        self._within = timedelta(seconds=settings.timeout_s)
        self._devices = devices
        self._clock = clock
        self._rest = Rest(clock)  # while the quota is used up, nothing is asked
        self._told: dict[str, int] = {}  # why nothing could be sent, and on which day that was said
        self._reached: OrderedDict[str, Reached] = OrderedDict()

    @property
    @override
    def offers(self) -> frozenset[str]:
        return frozenset({"notify.push"})

    @override
    async def send(self, intent: Intent) -> Told:
        try:
            message = SendMessage.model_validate_json(intent.params)
        except ValidationError as problem:
            return Declined(f"the message cannot be read: {problem.errors()[0]['msg']}")
        if not message.text or not message.text.strip():
            return Declined("a push message needs `text`")
        if len(_encode(self._body(intent, message, "x" * 512, "web"))) > LARGEST:
            return Declined(f"the message is larger than {LARGEST} bytes")
        devices = await self._devices.reached_by(_whose(intent, message), intent.account)
        if not devices:
            return Declined("the client has no device that takes push messages")
        return await self._to_all(intent, message, devices)

    async def _to_all(self, intent: Intent, message: SendMessage, devices: Any) -> Told:
        """Send to each device that does not have it yet; a device more is worth more than one the second time."""
        reached = self._reached.setdefault(intent.key, Reached())
        news: list[News] = []
        later: NotNow | None = None
        bad, name = "", ""
        for device in devices:
            if reached.has(device.id):
                continue
            if later is not None and later.all:
                reached.did_not(device.id, later.reason)
                continue
            match await self._to_one(intent, message, device):
                case Pushed(given):
                    reached.took(device.id)
                    name = name or given
                    await self._trust.took()
                case DeadToken(reason):
                    reached.did_not(device.id, reason)
                    news.append(TokenDead(device.id, device.client, device.seen_at, reason))
                case OtherSender(reason) if await self._trust.believed():
                    why = f"{reason}: the token is of another app"
                    reached.did_not(device.id, why)
                    news.append(TokenDead(device.id, device.client, device.seen_at, why))
                case OtherSender(reason):
                    why = f"{reason}: {_NOT_OURS}"
                    reached.did_not(device.id, why)
                    self._not_set_up(why, news)
                    later = later or NotNow(why, ours=True)
                case BadMessage(reason) | BadAccess(reason):
                    reached.did_not(device.id, reason)
                    bad = reason
                case NotNow() as not_now:
                    reached.did_not(device.id, not_now.reason)
                    later = not_now
                    if not_now.ours:
                        self._not_set_up(not_now.reason, news)
        if later is not None:
            while len(self._reached) > _REMEMBERED:
                self._reached.popitem(last=False)
            reason = reached.in_words() if reached.taken else later.reason
            return Later(reason, later.after_us, tuple(news), taken=reached.taken > 0, each=reached.each)
        self._reached.pop(intent.key, None)
        if reached.taken:
            return Sent(reached.in_words(), name, tuple(news), each=reached.each)
        reason = bad or "none of the client's devices takes push messages any more"
        return Declined(reason, tuple(news), each=reached.each)

    async def _to_one(self, intent: Intent, message: SendMessage, device: Device) -> Answer:
        left_us = self._rest.left_us()
        if left_us:
            return NotNow("it takes nothing from us for now", left_us, all=True)
        body = _encode(self._body(intent, message, device.token, device.platform))
        refused = ""
        for _ in range(2):
            try:
                token = await self._access.token(instead_of=refused)
            except NoToken as problem:
                return NotNow(str(problem), all=True)
            found = await exchange(
                self._way_out,
                "POST",
                self._url,
                {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                body,
                self._within,
            )
            if isinstance(found, NotSent | Lost):
                return NotNow(found.reason)
            answer = answer_of(found, self._clock.now_us())
            if not isinstance(answer, BadAccess):
                break
            refused = token
        else:
            answer = NotNow("a new access token was not accepted either", ours=True, all=True)
        if isinstance(answer, NotNow) and answer.all:
            self._rest.begin(answer.after_us)
        return answer

    def _not_set_up(self, reason: str, news: list[News]) -> None:
        """Have operators hear that a person has to put something right: in the log each time, as an event once a day."""
        log.error("push.not_set_up", reason=reason)
        today = self._clock.now_us() // _DAY_US
        if self._told.get(reason) != today:
            self._told = {why: day for why, day in self._told.items() if day == today} | {reason: today}
            news.append(SenderRefused("push", self._project, reason))

    def _body(self, intent: Intent, message: SendMessage, token: str, platform: str) -> dict[str, Any]:
        name = message_id(intent.key)
        left = seconds_left(intent, self._clock.now_us())
        made: dict[str, Any] = {
            "token": token,
            "notification": {"body": message.text},
            "data": {"message": name, **({"account": intent.account} if intent.account else {})},
        }
        if message.title:
            made["notification"]["title"] = message.title
        ttl = None if left is None else min(left, LONGEST_TTL_S)
        if platform == "ios":
            headers = {"apns-collapse-id": name, "apns-priority": "10"}
            if ttl is not None:
                headers["apns-expiration"] = str(self._clock.now_us() // SECOND_US + ttl)
            made["apns"] = {"headers": headers, "payload": {"aps": {"sound": "default"}}}
        elif platform == "android":
            made["android"] = {
                "priority": "high",
                "collapse_key": name,
                "notification": {"tag": name},
                **({"ttl": f"{ttl}s"} if ttl is not None else {}),
            }
        else:
            made["webpush"] = {
                "headers": {"Urgency": "high", **({"TTL": str(ttl)} if ttl is not None else {})},
                "notification": {"tag": name},
            }
        return {"message": made}


def _whose(intent: Intent, message: SendMessage) -> str | None:
    """Return the client it is for: named by the step, or the one the run is about; None: whoever has the account."""
    key = decided_by(intent)
    of_run = key.removeprefix(_CLIENT_KEY) if key.startswith(_CLIENT_KEY) else None
    return message.to or message.client or of_run
