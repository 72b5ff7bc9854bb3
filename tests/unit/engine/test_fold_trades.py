"""A trade folded at once leaves the account as its rule does; and nearly every trade is."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engine.desk import MORNING

from hub.engine.account_rows import AccountRow
from hub.engine.fold import fold_by, rule_of
from hub.engine.fold_trades import AT_ONCE
from hub.events.brief import Whose

moments = st.integers(0, 2).map(lambda hours: MORNING + timedelta(hours=hours))
amounts = st.decimals("-2", "2", places=2)
volumes = st.decimals("0", "2", places=2)
rows = st.builds(
    AccountRow,
    st.just("live-1"),
    st.just(7),
    platform=st.sampled_from([None, "mt4", "mt5"]),
    group=st.sampled_from([None, "a", "b"]),
    currency=st.sampled_from([None, "USD", "EUR"]),
    balance=st.none() | amounts,
    open_positions=st.none() | st.integers(0, 2),
    open_lots=st.none() | volumes,
    last_trade_at=st.none() | moments,
)
whose = st.none() | st.builds(Whose, st.sampled_from([None, "a"]), st.sampled_from([None, "USD"]))
told = st.fixed_dictionaries({"lots": volumes, "timestamp": moments, "fee": st.none() | amounts})
opened = st.tuples(told, st.fixed_dictionaries({"commission": st.none() | amounts}))
closed = st.tuples(
    told,
    st.fixed_dictionaries(
        {
            "partial": st.booleans(),
            "remaining_lots": st.none() | volumes,
            "net_profit": st.none() | amounts,
            "profit": st.none() | amounts,
            "swap": st.none(),
            "commission": st.none() | amounts,
            "taxes": st.none(),
        }
    ),
)


@pytest.mark.parametrize(("name", "data"), [("trade.opened", opened), ("trade.closed", closed)])
@settings(max_examples=300)
@given(row=rows, who=whose, told=st.data())
def test_a_trade_folded_at_once_is_folded_as_its_rule_says(name, data, row, who, told):
    first, second = told.draw(data)
    trade = SimpleNamespace(**first, **second)

    folded = AT_ONCE[name](row, who, trade)

    if folded is not None:
        account, changed = fold_by(rule_of(name), row, who, trade)
        assert (repr(folded[0]), folded[1]) == (repr(account), changed)


@pytest.mark.parametrize("balance", [None, 600])
@pytest.mark.parametrize("name", AT_ONCE)
def test_a_trade_like_nearly_all_of_them_is_folded_at_once(name, balance):
    row = AccountRow("live-1", 7, group="a", currency="USD", balance=balance, last_trade_at=MORNING)
    usual = {"partial": False, "remaining_lots": None, "commission": None, "fee": None, "net_profit": 3}
    trade = SimpleNamespace(timestamp=MORNING + timedelta(hours=1), lots=1, **usual)

    folded = AT_ONCE[name](row, Whose("a", "USD"), trade)

    assert folded is not None
    assert folded[0].last_trade_at == trade.timestamp
