"""limen.js in Chromium: real tabs, real storage, real locks, and a network that loses answers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from limen.events import Event, Refreshed, SessionEnded
from tests.browser.conftest import Person
from tests.browser.devtools import Browser, Tab, chromium
from tests.browser.weather import Network
from tests.clock import ManualClock

pytestmark = pytest.mark.anyio

TABS = 4
ROUNDS = 6
HALF_AN_HOUR = 1800 + 60

# The page hears of its next reading of IndexedDB when `go` is called, and not before.
SLOW_READING = """
    const { set } = Object.getOwnPropertyDescriptor(IDBTransaction.prototype, "oncomplete");
    const slow = new Promise((done) => (globalThis.go = done));
    void Object.defineProperty(IDBTransaction.prototype, "oncomplete", {
        configurable: true,
        set(heard) {
            const isNext = this.mode === "readonly" && !globalThis.isReading;
            globalThis.isReading ||= isNext;
            set.call(this, isNext ? (event) => void slow.then(() => heard(event)) : heard);
        },
    });
"""

# IndexedDB does not open the first time that it is asked to.
SHUT = """
    const { open } = IDBFactory.prototype;
    IDBFactory.prototype.open = function () {
        IDBFactory.prototype.open = open;
        throw new DOMException("Not now.", "UnknownError");
    };
"""


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with chromium(tmp_path / "profile") as browser:
        yield browser


async def sign_in(tab: Tab, person: Person) -> None:
    await tab.run(f"limen.signIn('{person.email}', '{person.password}')")


async def pass_time(clock: ManualClock, tab: Tab, seconds: int) -> None:
    """Let time pass for limen and for the device."""
    clock.tick(seconds)
    await tab.run(
        f"localStorage.setItem('moved', Number(localStorage.getItem('moved')) + {seconds})"
    )


@pytest.mark.parametrize("options", ["", "?lockless"], ids=["locks", "no locks"])
async def test_four_tabs_in_a_storm_and_a_tab_that_sleeps_stay_signed_in(  # noqa: PLR0917
    browser: Browser,
    network: Network,
    person: Person,
    clock: ManualClock,
    happened: list[Event],
    options: str,
) -> None:
    page = f"{network.url}/-/page{options}"
    tabs = [await browser.tab(page) for _ in range(TABS)]
    await sign_in(tabs[0], person)
    for tab in tabs:
        await tab.until("limen.signedIn")

    network.weather = "storm"
    met: Counter[object] = Counter()
    for turn in range(ROUNDS):
        sleeper = tabs[turn % TABS]
        awake = [tab for tab in tabs if tab is not sleeper]
        await network.quiet()
        await pass_time(clock, awake[0], HALF_AN_HOUR)
        await sleeper.run("void me()")  # whatever this is at, it stops there
        await sleeper.sleep()
        met.update(await asyncio.gather(*(tab.run("me()") for tab in awake)))
        await sleeper.wake()
        met[await sleeper.run("me()")] += 1
    network.weather = "calm"

    assert [await tab.run("me()") for tab in tabs] == [200] * TABS
    assert [await tab.run("changes") for tab in tabs] == [[False, True]] * TABS
    assert set(met) <= {200, "unreachable", "unexpected_answer"}
    assert not [event for event in happened if isinstance(event, SessionEnded)]
    outcomes = Counter(event.outcome for event in happened if isinstance(event, Refreshed))
    assert outcomes["rotated"] > ROUNDS // 2
    assert not {"replayed", "invalid"} & set(outcomes)
    assert not [line for line in [*browser.console, *network.targets] if "eyJ" in line]
    print(f"{TABS} tabs, {ROUNDS} rounds, sign-outs 0; refreshes {dict(outcomes)};", end=" ")
    print(f"network {dict(network.fell)}; requests met {dict(met)}")


async def test_a_duplicated_tab_begins_empty_and_a_reloaded_one_goes_on(
    browser: Browser, network: Network, person: Person, happened: list[Event]
) -> None:
    page = f"{network.url}/-/page?storage=session"
    tab = await browser.tab(page)
    await sign_in(tab, person)
    await tab.run(f"void open('{page}&copy')")  # it starts with a copy of the sessionStorage
    copy = await browser.opened(f"{page}&copy")
    await copy.until("document.title === 'ready'")

    assert await copy.run("Object.keys(sessionStorage).length") == 1  # its own name
    assert await copy.run("limen.signedIn") is False
    assert await copy.run("me()") == 401
    await tab.go(f"{page}&again")
    assert await tab.run("limen.signedIn") is True
    assert await tab.run("me()") == 200
    assert not [event for event in happened if isinstance(event, SessionEnded)]


async def test_memory_shares_nothing_and_signing_out_reaches_every_tab(
    browser: Browser, network: Network, person: Person
) -> None:
    alone = await browser.tab(f"{network.url}/-/page?storage=memory")
    await sign_in(alone, person)
    tabs = [await browser.tab(f"{network.url}/-/page") for _ in "12"]
    assert await tabs[0].run("limen.signedIn") is False

    await sign_in(tabs[0], person)
    await tabs[1].until("limen.signedIn")
    await tabs[1].run("limen.signOut()")
    await tabs[0].until("!limen.signedIn")

    assert [await tab.run("changes") for tab in tabs] == [[False, True, False]] * 2
    assert await tabs[0].run("me()") == 401
    assert await alone.run("me()") == 200
    kept = await alone.run("JSON.stringify([localStorage, sessionStorage])")
    assert "eyJ" not in kept


async def test_a_tab_that_others_overtook_by_two_versions_does_not_lose_its_sign_out(
    browser: Browser, network: Network, person: Person
) -> None:
    slow, fast = [await browser.tab(f"{network.url}/-/page") for _ in "12"]
    await sign_in(fast, person)
    await slow.until("limen.signedIn")
    await slow.run(SLOW_READING)
    await slow.run("void (globalThis.leaving = limen.signOut())")
    await slow.until("globalThis.isReading")
    for _ in "12":
        await sign_in(fast, person)
    await slow.run("go(), leaving")

    await fast.until("!limen.signedIn")
    assert await fast.run("me()") == 401


async def test_a_storage_that_did_not_open_is_opened_again(
    browser: Browser, network: Network, person: Person
) -> None:
    tab = await browser.tab(f"{network.url}/-/page?storage=memory")
    await tab.run(SHUT)
    await tab.run("void (globalThis.limen = new limen.constructor({ storage: 'local' }))")
    assert await tab.run("limen.ready.catch((error) => error.code)") == "storage_failed"

    await sign_in(tab, person)
    assert await tab.run("me()") == 200


async def test_a_401_of_another_origin_that_hides_its_challenge_renews_the_token_once(
    browser: Browser, network: Network, person: Person, clock: ManualClock
) -> None:
    elsewhere = network.url.replace("localhost", "127.0.0.1")
    tab = await browser.tab(f"{network.url}/-/page?origin={elsewhere}")
    await sign_in(tab, person)
    await pass_time(clock, tab, 120)  # or the same access token would be made again
    order = f"limen.fetch('{elsewhere}/-/orders', {{ method: 'POST' }}).then((it) => it.status)"

    assert await tab.run(order) == 201
    assert len(set(network.ordered)) == len(network.ordered) == 2
