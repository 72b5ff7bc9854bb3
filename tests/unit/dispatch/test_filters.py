from datetime import UTC, datetime

import msgspec
import pytest
from structlog.testing import capture_logs

from hub.bus.log import Input, InputKind
from hub.clock import ManualClock
from hub.dispatch.fanout import FanOut
from hub.dispatch.filters import Filter, FilterInvalid, Skip, channels_of
from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import Endpoint
from hub.dispatch.subscriptions import Subscriptions
from hub.events.records import decode_envelope

START = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
CLOSED = ("trade.closed",)
TRADE = {"deal": 1, "symbol": "EURUSD", "symbol_class": "fx", "side": "buy", "lots": "2.5", "partial": False}


def an_endpoint(name="ep", events=("*",), state="enabled", **options):
    return Endpoint(
        name, "https://a.example/", events, "whsec_", state, "", 0, options=EndpointOptions(**options)
    )


def an_input(data=TRADE, n=1, event_type="trade.closed", **envelope):
    event = {
        "id": f"evt_{n}",
        "type": event_type,
        "timestamp": "2026-06-23T09:00:00Z",
        "received_at": "2026-06-23T09:00:01Z",
        "source": "s",
        "dedupe_key": "k",
        "data": data,
        "account": {"server": "live-1", "login": 1001},
    } | envelope
    return Input(0, n, 0, InputKind.EVENT, "live-1:1001", "", n, msgspec.json.encode(event))


def an_event(*args, **envelope):
    return decode_envelope(an_input(*args, **envelope).body)


class Taken:
    def __init__(self):
        self.deliveries = []

    async def take(self, positions, news):
        self.deliveries += [(delivery.endpoint, delivery.n) for new in news for delivery in new.deliveries]


async def sent(subscriptions, *inputs):
    taken = Taken()
    await FanOut(None, subscriptions, taken, ManualClock(START)).step(inputs)
    return taken.deliveries


@pytest.mark.parametrize(
    ("where", "goes"),
    [
        ("data.lots >= 2.5", True),
        ("data.lots > 2.5", False),
        ("data.symbol == 'EURUSD' and account.server == 'live-1'", True),
        ("account.login in [1, 2]", False),
        ("type == 'trade.closed'", True),
        ("default(data.comment, '') == ''", True),
        ("has(data.comment)", False),
    ],
)
async def test_only_events_the_expression_is_true_for_are_delivered(where, goes):
    subscriptions = Subscriptions([an_endpoint("picky", CLOSED, where=where), an_endpoint("plain")])

    found = await sent(subscriptions, an_input())

    assert found == ([("picky", 1)] if goes else []) + [("plain", 1)]
    assert subscriptions.skipped == ({} if goes else {("picky", Skip.FILTERED): 1})


async def test_an_event_the_filter_has_no_answer_for_is_held_back_counted_and_told_once():
    subscriptions = Subscriptions([an_endpoint(where="data.net_profit > 0", events=CLOSED)])

    with capture_logs() as logs:
        found = await sent(subscriptions, an_input(n=1), an_input(n=2))

    assert found == []
    assert subscriptions.skipped == {("ep", Skip.UNANSWERED): 2}
    (line,) = [line for line in logs if line["event"] == "endpoint.event_held_back"]
    assert "data.net_profit" in line["reason"]


async def test_data_of_another_shape_holds_up_neither_the_log_nor_the_others():
    subscriptions = Subscriptions([an_endpoint("picky", where="data.lots > 1"), an_endpoint("plain")])

    with capture_logs():
        found = await sent(subscriptions, an_input({"lots": {}}, n=1), an_input(n=2))

    assert found == [("plain", 1), ("picky", 2), ("plain", 2)]
    assert subscriptions.skipped == {("picky", Skip.UNREADABLE): 1}


async def test_an_event_that_names_its_endpoints_goes_there_whatever_they_ask_for():
    subscriptions = Subscriptions([an_endpoint(where="data.lots > 100", channels=("vip",))])

    assert await sent(subscriptions, an_input(endpoints=["ep"])) == [("ep", 1)]


async def test_a_filter_no_version_of_ours_reads_lets_nothing_through_and_that_is_counted():
    with capture_logs() as logs:
        subscriptions = Subscriptions([an_endpoint(where="tomorrow's words", events=CLOSED)])
        found = await sent(subscriptions, an_input())

    assert found == []
    assert subscriptions.skipped == {("ep", Skip.UNREADABLE): 1}
    assert any(line["event"] == "endpoint.filter_unreadable" for line in logs)


@pytest.mark.parametrize(
    ("data", "goes"),
    [
        ({"channel": "vip"}, True),
        ({"channels": ["news", "vip"]}, True),
        ({"channels": ["news"]}, False),
        ({"channels": "vip"}, False),
        ({"channels": [["vip"], {"vip": 1}]}, False),
        ({}, False),
    ],
)
async def test_an_endpoint_with_channels_gets_what_is_in_one_of_them(data, goes):
    subscriptions = Subscriptions([an_endpoint(channels=("vip", "desk"))])

    assert bool(await sent(subscriptions, an_input(data, event_type="custom.note"))) is goes
    assert subscriptions.skipped == ({} if goes else {("ep", Skip.CHANNEL): 1})


def test_only_so_many_channels_of_an_event_are_looked_at():
    many = [f"c{number}" for number in range(1_000)]

    assert len(channels_of({"data": {"channels": many}})) == 32


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("data.lotts > 1", "did you mean data.lots?"),
        ("data.symbol > 1", "text"),
        ("event.lots > 1", "unknown name event; known are id, type, timestamp, account, data"),
        ("data.lots", "true or false"),
        ("account.equity > 1", "unknown field account.equity"),
        ("1 +", ""),
    ],
)
def test_a_filter_that_means_nothing_is_refused_when_it_is_made(where, said):
    with pytest.raises(FilterInvalid) as refused:
        Filter(where, CLOSED)

    assert said in str(refused.value)


def test_a_field_only_some_of_the_types_have_can_be_asked_for():
    asks = Filter("data.lots > 1 and data.ticket > 0", ("trade.*", "balance.*"))

    assert asks.skips({"data": {"lots": 2}}) is Skip.UNANSWERED
    with pytest.raises(FilterInvalid):
        Filter("data.ticket > 0", CLOSED)


def test_of_events_an_integrator_invents_any_field_can_be_asked_for():
    asks = Filter("data.score > 9.5 and data.deep.er == 'x'", ("custom.*",))

    assert asks.skips({"data": {"score": 9.75, "deep": {"er": "x"}}}) is None


def test_filters_are_made_once_and_not_at_every_look_at_the_endpoints(monkeypatch):
    made = []
    real = Filter.__init__
    monkeypatch.setattr(Filter, "__init__", lambda self, *args: made.append(args) or real(self, *args))
    endpoint = an_endpoint(where="data.lots > 1", events=CLOSED)
    subscriptions = Subscriptions([endpoint])

    for _ in range(3):
        subscriptions.replace([endpoint])
    subscriptions.replace([endpoint._replace(events=("trade.*",))])

    assert len(made) == 2


async def test_counts_go_with_their_endpoint():
    subscriptions = Subscriptions([an_endpoint(where="data.lots > 100", events=CLOSED)])
    await sent(subscriptions, an_input())

    subscriptions.replace([an_endpoint(where="data.lots > 100", events=CLOSED, state="disabled")])
    assert subscriptions.skipped == {("ep", Skip.FILTERED): 1}
    subscriptions.replace([])
    assert subscriptions.skipped == {}


def test_endpoints_without_filters_are_not_looked_into():
    subscriptions = Subscriptions(
        [an_endpoint("plain"), an_endpoint("picky", events=("balance.*",), where="data.amount > 0")]
    )

    assert not subscriptions.picking(subscriptions.matching("trade.closed"))
    assert subscriptions.picking(subscriptions.matching("balance.deposited"))
    assert an_event().type == "trade.closed"
