"""Messages to people: what kind they are, the way they take, and how an address is written so that it is known again."""

import re
from enum import StrEnum
from typing import Final, Literal

# A closed list: a category somebody mistyped would get past consent and past its cap.
Category = Literal["marketing", "service", "transactional", "security"]
USUAL: Final[Category] = "service"
NEEDS_CONSENT: Final = frozenset[Category]({"marketing"})

_PHONE: Final = re.compile(r"\+?[0-9][0-9 ().\-/]{3,30}", re.ASCII)


class Channel(StrEnum):
    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"
    PLATFORM = "platform"  # the mailbox of the trading platform


# Verbs that write to a client. What goes to a team (notify.chat, notify.page) is nobody's contact.
CHANNELS: Final = {
    "notify.email": Channel.EMAIL,
    "notify.sms": Channel.SMS,
    "notify.push": Channel.PUSH,
    "message.mail": Channel.PLATFORM,
}


def plain_address(text: str) -> str:
    """Return an address as it is compared: mail in lower case, of a phone number its digits behind the plus or 00."""
    text = text.strip()
    if "@" not in text and _PHONE.fullmatch(text):
        digits = re.sub(r"[^0-9]", "", text)
        return digits if text.startswith("+") else digits.removeprefix("00")
    return text.casefold()
