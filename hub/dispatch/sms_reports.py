"""What a provider of text messages tells of those it took: verified by its signature, kept with the message."""

import hmac
import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Final, final

from pydantic import SecretStr

from hub.clock import Clock
from hub.dispatch.channels.sms_codes import news_of
from hub.dispatch.effects.aftermath import Aftermath
from hub.dispatch.messages import Messages, Report, is_status
from hub.dispatch.public_links import PublicLinks

_SID: Final = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
_MESSAGE: Final = re.compile(r"msg_[0-9a-f]{32}", re.ASCII)
_CODE: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
Form = list[tuple[str, str]]


def signature(token: str, url: str, form: Iterable[tuple[str, str]]) -> str:
    """Return what Twilio signs a request with: its whole address, and the fields of its form in order of their names."""
    signed = url + "".join(name + value for name, value in sorted(set(form)))
    return b64encode(hmac.new(token.encode(), signed.encode(), "sha1").digest()).decode()


@final
class SmsReports:
    def __init__(
        self, token: SecretStr, links: PublicLinks, messages: Messages, aftermath: Aftermath, clock: Clock
    ) -> None:
        self._token = token
        self._links = links
        self._messages = messages
        self._aftermath = aftermath
        self._clock = clock

    def is_signed(self, message_id: str, query: str, form: Form, given: str) -> bool:
        url = self._links.sms_report(message_id) + (f"?{query}" if query else "")
        expected = signature(self._token.get_secret_value(), url, form)
        return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))

    async def take(self, message_id: str, form: Form) -> None:
        """Keep what was told, in a form that is signed; of a message nobody knows, or a status, nothing is kept."""
        said = dict(form)
        ref, status = said.get("MessageSid", ""), said.get("MessageStatus", "").lower()
        if not _SID.fullmatch(ref) or not _MESSAGE.fullmatch(message_id) or not is_status(status):
            return
        code = said.get("ErrorCode", "")
        error = code if _CODE.fullmatch(code) else ""
        known = await self._messages.get(message_id)
        if known is None or known.channel != "sms" or (known.ref and known.ref != ref):
            return
        news = news_of(int(error), known.address) if error else None
        # Before it is kept: told again after a crash, it is no news any more.
        if news is not None:
            await self._aftermath.heard(news, message_id)
        await self._messages.reported(message_id, Report(ref, status, error, self._clock.now_us()))
