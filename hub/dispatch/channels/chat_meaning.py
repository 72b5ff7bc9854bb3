"""What became of a message to a team, from what its service answered: taken, to be tried again, or not to be known."""

from typing import Final

from hub.clock import SECOND_US
from hub.dispatch.channels.chat_wire import Answer, Done, Trouble
from hub.dispatch.effects.notifier import Declined, Later, Sent, Told, Unsure
from hub.dispatch.schedule import parse_retry_after

PAUSE_US: Final = 60 * SECOND_US  # where it says that we are too many and not for how long
_OURS: Final = frozenset({401, 403, 404, 405, 407, 410})
_TOO_MANY, _TIMED_OUT = 429, 408
_NEVER_SENT: Final = {
    Trouble.NO_ADDRESS: "its address is none that Apprise understands",
    Trouble.NOT_HTTP: "its service is not reached over HTTP, and the hub sends these messages in no other way",
    Trouble.NOT_SECURE: "its token is sent over https only, and its address begins with http://",
    Trouble.INSIDE: "its host leads to an address that is not public and not in delivering.allow_networks",
    Trouble.UNREACHED: "no connection could be made",
}


def meaning(done: Done, now_us: int) -> tuple[Told, bool]:
    """Return what is told of it, and whether a person has to put something right before any message gets there."""
    if done.taken:
        return Sent(), False
    codes = [answer.status for answer in done.answers]
    if Trouble.LOST in done.troubles:
        return Unsure("the connection broke off, or no answer came: it may have been taken"), False
    if any(200 <= code < 300 for code in codes):
        said = ", ".join(map(str, codes[:8]))
        return Unsure(f"answered {said} and is not content: a part of it may have been taken"), False
    if any(code >= 500 or code == _TIMED_OUT for code in codes):
        return Unsure(f"answered {max(codes)}: it may have been taken"), False
    if not codes:
        return _never_sent(done)
    return _refused(done.answers, now_us)


def _never_sent(done: Done) -> tuple[Told, bool]:
    for trouble, reason in _NEVER_SENT.items():
        if trouble in done.troubles:
            return Later(reason), trouble is not Trouble.UNREACHED
    return Declined("its service does not take such a message"), False


def _refused(answers: tuple[Answer, ...], now_us: int) -> tuple[Told, bool]:
    for answer in answers:
        if answer.status == _TOO_MANY:
            wait = parse_retry_after(answer.retry_after, now_us) or PAUSE_US
            return Later(f"answered {_TOO_MANY}: too many messages", wait), False
    status = answers[-1].status
    if status in _OURS:
        return Later(f"answered {status}: look at its address and what its token may do"), True
    if status < 400:
        return Later(f"answered {status}: redirects are not followed, so correct its address"), True
    return Declined(f"answered {status}: the message is not taken"), False
