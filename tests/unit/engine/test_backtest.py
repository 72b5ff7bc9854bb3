"""What a rehearsal came to, and how it differs from another's."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from hub.commands.backtest_html import chart, page
from hub.engine.backtest import Backtest, Tally, Touch, difference
from hub.engine.noes import kind_of
from hub.intents.intent import Intent, State

T0 = 1_767_225_600_000_000  # 2026-01-01
DAY = 86_400_000_000


def a_touch(name="live-1:1/volume/1/pay", *, amount="10", verb="credit.grant", at=T0):
    account = name.partition("/")[0]
    return Touch(name, at, account, "volume", verb, Decimal(amount) if amount else None, "USD", b"{}")


def an_intent(number, *, verb="credit.grant", amount="10", at=T0, trigger="volume"):
    key = f"rule/live-1:{number}/{trigger}/1/pay"
    params = b'{"amount":"%s"}' % amount.encode()
    return Intent(
        key,
        1,
        f"live-1:{number}",
        verb,
        params,
        "rule",
        key.rpartition("/")[0],
        "pay",
        "e",
        State.READY,
        at,
        at,
    )


def test_money_is_counted_by_currency_trigger_and_day():
    tally = Tally()
    tally.asked(an_intent(1), "USD", Decimal(10))
    tally.asked(an_intent(2, at=T0 + DAY), "EUR", Decimal(5))
    tally.asked(an_intent(3, verb="credit.remove"), "USD", Decimal(4))
    tally.asked(an_intent(4, verb="event.publish"), "USD", Decimal(99))  # moves nothing, whatever it says

    data = Backtest("rule", "v", T0, T0 + 2 * DAY, 4, 4, tally, (), (), 0).data(10)

    assert data["money"] == {"credit.grant EUR": "5", "credit.grant USD": "10", "credit.remove USD": "4"}
    assert data["by_trigger"] == {"volume": {"actions": 4, "money": {"EUR": "5", "USD": "14"}}}
    assert data["by_day"]["2026-01-02"] == {"actions": 1, "money": {"EUR": "5"}}
    assert data["touched"] == 4


def test_what_has_the_same_cause_is_compared_first():
    old = [a_touch("live-1:1/volume/1/pay"), a_touch("live-1:2/volume/1/pay")]
    new = [a_touch("live-1:1/volume/1/pay", amount="12"), a_touch("live-1:3/volume/1/pay")]

    found = difference(old, new)

    assert [touch.account for touch in found.only_old] == ["live-1:2"]
    assert [touch.account for touch in found.only_new] == ["live-1:3"]
    assert [(pair.old.amount, pair.new.amount) for pair in found.changed] == [(10, 12)]
    assert found.money() == {"credit.grant USD": Decimal(2)}


def test_another_cause_of_the_same_action_for_the_same_account_is_no_difference():
    old = [a_touch("live-1:1/volume/evt_1/pay")]
    new = [a_touch("live-1:1/renamed/evt_2/pay")]

    assert difference(old, new).is_none


touches = st.lists(
    st.builds(
        lambda login, number, amount: a_touch(f"live-1:{login}/volume/{number}/pay", amount=str(amount)),
        st.integers(1, 3), st.integers(1, 4), st.integers(1, 3),
    ),
    max_size=12,
)  # fmt: skip


@given(touches, touches)
def test_every_touch_is_told_of_once(old, new):
    found = difference(old, new)

    pairs = len(found.changed) + found.same
    assert len(found.only_old) + pairs == len(old)
    assert len(found.only_new) + pairs == len(new)
    assert sum(found.money().values(), Decimal()) == sum(t.amount for t in new) - sum(t.amount for t in old)


@given(touches)
def test_nothing_differs_from_itself(some):
    assert difference(some, list(some)).is_none


def test_reasons_are_counted_by_kind_and_not_by_their_values():
    assert kind_of("limit: 1 run(s) within 30d; free again at 2026-01-01T00:00:00.000Z") == "limit"
    assert kind_of("quiet hours until 2026-01-01T00:00:00.000Z") == "quiet hours"
    assert kind_of("run: 1 open already, and 1 may be: rule/live-1:1/a/1") == "run mode"
    assert kind_of("step pay: credit.grant: the amount is 0.00, not above 0") == "credit.grant"
    assert kind_of("200 runs of this key are open: the limit") == kind_of("9 runs of this key are open") != ""


def test_the_page_holds_everything_and_loads_nothing():
    tally = Tally()
    evil = '<script>alert(1)</script>"&'
    for number in range(5):
        tally.asked(an_intent(number, at=T0 + number * DAY), evil, Decimal(10))
    report = Backtest(evil, "v" * 64, T0, T0 + 9 * DAY, 5, 5, tally, (evil,), (evil,), 1)

    text = page(report, difference([a_touch()], tally.touches))

    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("<rect") == 5
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text


@given(st.dictionaries(st.dates().map(str), st.integers(1, 10**9), max_size=20))
def test_the_chart_has_a_bounded_number_of_bars(by_day):
    assert chart(by_day).count("<rect") <= 400
