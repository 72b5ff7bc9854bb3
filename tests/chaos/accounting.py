"""What must be true after the hub was killed: a pure check over what each side remembers, which returns every breach."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hub.ids import tag_of

_TOKEN = 19  # of a tag: what is left of it where a platform cuts the comment
CUT_OFF_TWICE = "sent 2 times and never found"
MONEY = {"credit.grant": "credit"}  # verbs, and what the broker's ledger calls their effect
DESIRED = {"account.set_group": "user.set"}
PUBLISH = "event.publish"
ENDS = {PUBLISH: "delivered"}  # into the log; everything else is applied by the broker


@dataclass(frozen=True, slots=True)
class Logged:
    """One event as the hub's log tells it; `account` is "server:login" or ""."""

    id: str
    type: str
    account: str
    sequence: int | None


@dataclass(frozen=True, slots=True)
class Asked:
    """One action the hub decided on, and what it says became of it."""

    key: str
    verb: str
    account: str
    state: str
    caused_by: str = ""
    reason: str = ""

    @property
    def waits_for_a_person(self) -> bool:
        """Whether kills struck it on both of the sends that money gets: then nothing is sent again by itself."""
        return self.state == "parked" and self.reason.startswith(CUT_OFF_TWICE)

    @property
    def token(self) -> str:
        return tag_of(self.key, "")[:_TOKEN]

    @property
    def login(self) -> int:
        return int(self.account.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Effect:
    """One row of the broker's ledger."""

    kind: str
    login: int
    token: str


@dataclass(frozen=True, slots=True)
class Records:
    """`acknowledged`: ids answered with 202. `verified`: rightly signed copies by webhook-id. `expected`: events that ask for an effect, by verb.

    `numbered`: the numbers a workflow over all accounts gave to events that each account's owner passed on to it.
    """

    acknowledged: frozenset[str]
    logged: Sequence[Logged]
    verified: Mapping[str, int]
    asked: Sequence[Asked]
    ledger: Sequence[Effect]
    expected: Mapping[str, int]
    told_by_broker: Mapping[tuple[str, str], int] = field(default_factory=dict)
    numbered: Sequence[int] = ()
    receiver_complaints: Sequence[str] = ()


def breaches(records: Records) -> list[str]:
    """Return one sentence for each promise that was broken; empty when all were kept."""
    return [
        *_log(records),
        *_sequences(records.logged),
        *_broker(records),
        *_webhooks(records),
        *_decisions(records),
        *_numbers(records),
        *_money(records),
        *_desired_state(records),
    ]


def _log(records: Records) -> Iterator[str]:
    times = Counter(event.id for event in records.logged)
    for name in sorted(records.acknowledged - times.keys()):
        yield f"event {name} was acknowledged and is not in the log"
    for name, count in times.items():
        if count > 1:
            yield f"event {name} is in the log {count} times"


def _sequences(logged: Iterable[Logged]) -> Iterator[str]:
    last: dict[str, int] = {}
    for event in logged:
        if not event.account:
            continue
        expected = last.get(event.account, 0) + 1
        if event.sequence != expected:
            yield f"account {event.account}: event {event.id} has sequence {event.sequence}, not {expected}"
        last[event.account] = event.sequence or expected


def _broker(records: Records) -> Iterator[str]:
    """Compare what connectors alone tell of, by server and type, with how often the broker did it."""
    logged = Counter(
        (event.account.rpartition(":")[0], event.type)
        for event in records.logged
        if event.id not in records.acknowledged
    )
    for (server, kind), count in records.told_by_broker.items():
        if logged[server, kind] != count:
            yield f"{server} did {kind} {count} times, the log holds {logged[server, kind]}"


def _webhooks(records: Records) -> Iterator[str]:
    yield from records.receiver_complaints
    names = {event.id for event in records.logged}
    for event in records.logged:
        if not records.verified.get(event.id):
            yield f"event {event.id} ({event.type}) never reached the receiver"
    for name in records.verified.keys() - names:
        yield f"the receiver got {name}, which is not in the log"


def _decisions(records: Records) -> Iterator[str]:
    for key, count in Counter(action.key for action in records.asked).items():
        if count > 1:
            yield f"action {key} was asked for {count} times"
    asked = Counter(action.verb for action in records.asked)
    for verb in sorted(records.expected.keys() | asked.keys()):
        if asked[verb] != records.expected.get(verb, 0):
            yield f"{verb} should have been asked for {records.expected.get(verb, 0)} times, and was {asked[verb]} times"
    for action in records.asked:
        if action.state != ENDS.get(action.verb, "applied") and not action.waits_for_a_person:
            yield f"action {action.key} ({action.verb}) ended {action.state}, not {ENDS.get(action.verb, 'applied')}"


def _numbers(records: Records) -> Iterator[str]:
    """One that was passed on twice, or not at all, leaves a gap or gives a number again."""
    wanted = range(1, records.expected.get(PUBLISH, 0) + 1)
    given = Counter(records.numbered)
    for number in sorted(given.keys() | set(wanted)):
        if given[number] != (number in wanted):
            yield f"number {number} was given {given[number]} times, of {len(wanted)} events that were to be counted"


def _money(records: Records) -> Iterator[str]:
    effects = Counter(
        (effect.kind, effect.login, effect.token)
        for effect in records.ledger
        if effect.kind in MONEY.values()
    )
    for action in records.asked:
        if action.verb in MONEY:
            count = effects.pop((MONEY[action.verb], action.login, action.token), 0)
            expected = 0 if action.waits_for_a_person else 1
            if count != expected:
                yield f"{action.verb} {action.key} is in the broker's ledger {count} times, not {expected}"
    for (kind, login, token), count in effects.items():
        yield f"the broker's ledger holds {kind} for {login} tagged {token!r} {count} times, and nobody asked for it"


def _desired_state(records: Records) -> Iterator[str]:
    for verb, kind in DESIRED.items():
        asked = Counter(action.login for action in records.asked if action.verb == verb)
        done = Counter(effect.login for effect in records.ledger if effect.kind == kind)
        for login in sorted(asked.keys() | done.keys()):
            if asked[login] != done[login]:
                yield f"{verb} of {login} was asked for {asked[login]} times and done {done[login]} times"
