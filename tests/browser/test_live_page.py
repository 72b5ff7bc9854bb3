"""The live pages in a real browser: they follow, resume with a new ticket, and show what events hold as text."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from browser.chromium import Tab, a_tab
from conformance.api_bench import ApiBench, an_api

from hub.clock import to_us
from hub.control.keys import Scope
from hub.ingest.samples import Sample
from hub.testing import MORNING, a_trade_closed, a_trade_opened

pytestmark = pytest.mark.scenario
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\u2028"
SYMBOL = "<b>EUR</b>"
ROWS = "[...document.querySelectorAll('#rows tr')].map((row) => row.textContent)"
STATE = "document.getElementById('state').textContent"


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        yield bench


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with a_tab(tmp_path) as tab:
        yield tab


async def sign_in(tab: Tab, key: str) -> None:
    await tab.run(f"document.getElementById('key').value = '{key}'")
    await tab.run("document.getElementById('ask').requestSubmit()")
    await tab.until(f"{STATE} === 'Following.'")


async def test_the_page_follows_events_and_shows_them_as_text(api: ApiBench, tab: Tab) -> None:
    key = api.secrets[Scope.EVENTS_READ]
    await tab.open(f"{api.url}/v1/events/stream?type=trade.*")
    await sign_in(tab, key)

    await api.log.append([a_trade_closed(comment=HOSTILE)])
    [row] = await tab.until(f"({ROWS}).length && {ROWS}")

    assert "trade.closed" in row
    assert "<img src=x onerror=alert(1)>" in row
    assert await tab.run("document.querySelectorAll('img, #rows script').length") == 0
    assert tab.said == []
    assert not any(key in address for address in tab.asked)
    assert {address.partition("?")[0] for address in tab.asked} <= {
        f"{api.url}/v1/events/stream",
        f"{api.url}/v1/streams/tickets",
    }
    assert await tab.run("localStorage.length + sessionStorage.length + document.cookie.length") == 0


async def test_after_a_lost_connection_the_page_goes_on_where_it_was(api: ApiBench, tab: Tab) -> None:
    await tab.open(f"{api.url}/v1/events/stream")
    await sign_in(tab, api.secrets[Scope.READ])
    await api.log.append([a_trade_closed()])
    await tab.until(f"({ROWS}).length === 1")

    for follow in list(api.feeds.tail._follows):
        follow.end("a test")
    await tab.until(f"{STATE}.includes('trying again')")
    await api.log.append([a_trade_closed(), a_trade_closed()])
    await tab.until(f"({ROWS}).length === 3")
    await asyncio.sleep(0.2)

    assert len(set(await tab.run(ROWS))) == 3


async def test_a_ticket_in_the_address_is_used_once_and_taken_out_of_it(api: ApiBench, tab: Tab) -> None:
    _, ticket, _ = await api.ask("POST", "/v1/streams/tickets", scope=Scope.EVENTS_READ)
    await tab.open(f"{api.url}/v1/events/stream?type=trade.*&ticket={ticket['ticket']}")
    await tab.until(f"{STATE} === 'Following.'")

    await api.log.append([a_trade_closed()])
    await tab.until(f"({ROWS}).length === 1")

    assert await tab.run("location.search") == "?type=trade.*"


async def test_a_key_that_is_refused_is_said_so(api: ApiBench, tab: Tab) -> None:
    await tab.open(f"{api.url}/v1/events/stream")
    await tab.run("document.getElementById('key').value = 'hub_wrong'")
    await tab.run("document.getElementById('ask').requestSubmit()")

    said = await tab.until(f"{STATE}.includes('401') && {STATE}")

    assert "valid API key" in said


async def test_nothing_but_the_pages_own_script_runs(api: ApiBench, tab: Tab) -> None:
    await tab.open(f"{api.url}/v1/events/stream")

    for attempt in (
        "new Function('return 1')()",
        "document.body.innerHTML = '<b>x</b>'",
        "void document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))",
    ):
        await tab.do("Runtime.evaluate", expression=attempt)
    asked = await tab.run("fetch('https://elsewhere.example/').then(() => 'went', () => 'stayed')")

    assert await tab.run("window.ran === undefined && document.querySelector('b') === null")
    assert asked == "stayed"


async def test_the_page_of_accounts_shows_the_newest(api: ApiBench, tab: Tab) -> None:
    def sample(equity: str, at: int) -> Sample:
        return Sample(
            "live-1", 7001, Decimal(equity), Decimal(900), Decimal(0), Decimal(100), None, None, None, to_us(MORNING) + at
        )  # fmt: skip

    await api.watcher.samples([sample("1000", 0)])
    await tab.open(f"{api.url}/v1/accounts/stream?interval=100ms")
    await sign_in(tab, api.secrets[Scope.READ])
    assert await tab.until(f"({ROWS}).length && ({ROWS})[0].startsWith('live-1:70011000')")

    await api.watcher.samples([sample("1001.50", 1)])
    await api.clock.advance(api.feeds.board._paces.copy().popitem()[0])
    await api.feeds.board.tick()

    assert await tab.until(f"({ROWS})[0].startsWith('live-1:70011001.50')")
    assert await tab.run(f"({ROWS}).length") == 1
    assert tab.said == []


async def test_the_page_of_accounts_shows_positions_as_text_and_takes_away_what_is_closed(
    api: ApiBench, tab: Tab
) -> None:
    held = "[...document.querySelectorAll('#held tr')].map((row) => row.textContent)"
    stopping = asyncio.Event()

    async def ticked(holds: str) -> None:
        """Let time pass until the page shows that."""
        async with asyncio.timeout(30):
            while not await tab.run(holds):
                await api.clock.advance(timedelta(milliseconds=100))
                await api.feeds.board.tick()
                await asyncio.sleep(0.02)

    await api.log.append([a_trade_opened(position=11, symbol=SYMBOL), a_trade_opened(position=12)])
    async with asyncio.TaskGroup() as group:
        group.create_task(api.feeds.positions.run(stopping))
        await tab.open(f"{api.url}/v1/accounts/stream?interval=100ms&account=live-1:7001&positions=true")
        await sign_in(tab, api.secrets[Scope.READ])
        await ticked(f"({held}).length === 2")
        first = await tab.run(held)
        await api.log.append([a_trade_closed(position=12)])
        await ticked(f"({held}).length === 1")
        stopping.set()

    assert first[0].startswith(f"live-1:700111{SYMBOL}buy1")
    assert await tab.run("document.querySelectorAll('b').length") == 0
    assert await tab.run("document.getElementById('open').hidden") is False
    assert tab.said == []
