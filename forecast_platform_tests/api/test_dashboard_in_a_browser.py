"""The dashboard as a planner uses it, in headless Chromium and by keyboard alone: at a desk and on a phone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from forecast_platform.api.keys import Keys, Scope
from forecast_platform.api.scopes import Role
from forecast_platform.api.users import Users
from forecast_platform.state import State
from forecast_platform_tests.api.conftest import LAST_ORIGIN, SETTINGS, Served, in_days
from forecast_platform_tests.api.servers import Server
from forecast_platform_tests.reporting.chromium import Page, browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDTHS = (1280, 390)
SKU, AWKWARD = "sku 1", "größe 41/42 & co"
READY = "!document.querySelector('[aria-busy]') && document.querySelector('h1') && !document.querySelector('#key')"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where everything goes that is sent: the loaded shop is everybody's."""
    return tmp_path_factory.mktemp("dashboard")


@pytest.fixture(scope="module")
def server(loaded_duckdb: Served, own: Path) -> Iterator[Server]:
    """A server of the loaded shop, with a landing, a state and a Dagster of its own."""
    (own / "dagster").mkdir()
    environment = {
        **loaded_duckdb.shop.environment,
        "FORECAST_TENANTS": str(loaded_duckdb.folder / "tenants"),
        "FORECAST_LANDING": (own / "landing").as_uri(),
        "FORECAST_STATE": f"sqlite:///{own / 'state.db'}",
        "FORECAST_API_ENVIRONMENT": "development",
        "DAGSTER_HOME": str(own / "dagster"),
    }
    with Server(environment, own / "server.log") as started:
        yield started


@pytest.fixture(scope="module")
def key(loaded_duckdb: Served, own: Path) -> str:
    keys = Keys(State(f"sqlite:///{own / 'state.db'}"))
    return keys.create(loaded_duckdb.tenant, name="planner", scopes=(Scope.READ, Scope.WRITE, Scope.JOBS))[1]


@pytest.fixture(scope="module")
def api(server: Server, key: str) -> Iterator[httpx.Client]:
    """The API itself, which pages are compared with."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser() as opened:
        yield opened


@pytest.fixture
def page(chromium: Page, server: Server) -> Iterator[Page]:
    """A page of which nothing is remembered; nothing it did was complained of, and it asked nobody else."""
    chromium.call("Emulation.setEmulatedMedia", features=[])
    chromium.open(f"{server.url}/", width=1280)
    chromium.evaluate("sessionStorage.clear()")
    chromium.open("about:blank", width=1280)
    chromium.complaints.clear()
    chromium.requested.clear()
    yield chromium
    assert chromium.complaints == []
    assert [url for url in chromium.requested if not url.startswith((server.url, "blob:" + server.url, "data:"))] == []


@pytest.fixture
def show(page: Page, server: Server, key: str) -> Callable[..., Page]:
    """Open an address of the dashboard as one who has signed in."""

    def opened(address: str = "/", *, width: int = 1280) -> Page:
        page.open(f"{server.url}/dashboard/icon.svg", width=width)
        page.evaluate(f"sessionStorage.setItem('forecast-platform credential', {json.dumps(key)})")
        page.open(f"{server.url}/#{address}", width=width)
        page.wait_for(READY)
        page.evaluate("window.addEventListener('hashchange', () => (window.shownAddress = location.hash))")
        return page

    return opened


def wait_for_address(page: Page, part: str) -> None:
    """Until the page whose address holds ``part`` is shown: an address changes before what it names is asked for."""
    page.wait_for(f"(window.shownAddress ?? '').includes({json.dumps(part)})")
    page.wait_for(READY)


def text_of(page: Page, selector: str) -> str:
    return page.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.innerText || document.activeElement.id")


@pytest.mark.parametrize("width", WIDTHS)
def test_signing_in_and_out_by_keyboard(page: Page, server: Server, key: str, width: int):
    page.open(f"{server.url}/#/skus/{quote(SKU)}", width=width)
    page.wait_for("document.activeElement.id === 'name'")
    page.tab_to("summary")
    page.press("Enter", "Tab")
    assert page.evaluate("document.activeElement.id") == "key"
    page.write("fp_aaaaaaaaaa_" + "A" * 43)
    page.press("Enter")
    assert "unknown, expired or disabled" in page.wait_for("document.querySelector('details [role=alert]').innerText")
    assert page.evaluate("sessionStorage.length") == 0 and page.complaints and page.requested
    page.complaints.clear()
    page.evaluate("document.querySelector('#key').select()")
    page.write(key)
    page.press("Enter")
    page.wait_for(READY)
    assert text_of(page, "h1") == SKU == focused(page), "who signs in is led to the page that was asked for"
    assert page.evaluate("localStorage.length + document.cookie.length") == 0
    page.press("Shift+Tab")
    assert focused(page) == "Sign out"
    page.press("Enter")
    page.wait_for("document.activeElement.id === 'name'")
    assert page.evaluate("sessionStorage.length") == 0
    assert page.evaluate("document.querySelectorAll('section').length") == 1, "no figure stays on the page"


@pytest.mark.parametrize("width", WIDTHS)
def test_signing_in_by_password_changing_it_and_signing_out_by_keyboard(
    page: Page, server: Server, loaded_duckdb: Served, own: Path, width: int
):
    first, second = "correct horse battery", "a stapler of another colour"
    users = Users(State(f"sqlite:///{own / 'state.db'}"))
    name = users.create(loaded_duckdb.tenant, f"ann.{width}@shop", role=Role.PLANNER, password=first).name

    def sign_in(password: str) -> None:
        page.wait_for("document.activeElement.id === 'name'")
        page.write(name.upper())
        page.press("Tab")
        page.write(password)
        page.press("Enter")

    page.open(f"{server.url}/#/settings", width=width)
    sign_in("wrong horse battery")
    assert "name and password are not right" in page.wait_for("document.querySelector('[role=alert]').innerText")
    assert page.evaluate("document.activeElement.id") == "password" and page.evaluate("sessionStorage.length") == 0
    page.write(first)  # over what is selected
    page.press("Enter")
    page.wait_for(f"{READY} && document.querySelectorAll('.facts').length === 3")
    said = text_of(page, "main")
    assert name in said and "planner" in said and "read, send sales and stock" in said
    assert f"{SETTINGS['horizon']} days" in said and "95 % of order cycles" in said

    def change(old: str, new: str, again: str) -> str:
        page.evaluate("document.querySelector('h1').focus()")
        for text in (old, new, again):
            page.tab_to("input[type=password]")
            page.evaluate("document.activeElement.select()")
            page.write(text)
        page.evaluate("document.querySelector('[role=alert]').replaceChildren()")
        page.press("Enter")
        return page.wait_for("document.querySelector('[role=alert]').innerText")

    assert "differ" in change(first, second, second[1:])
    assert "must not hold the name" in change(first, f"{name} {name}", f"{name} {name}")
    assert "old password is not right" in change(second, second, second)
    assert "is changed" in change(first, second, second)
    assert page.evaluate("[...document.querySelectorAll('input[type=password]')].map(each => each.value)") == [""] * 3
    assert page.complaints, "Chromium tells of each answer that is a refusal"
    page.complaints.clear()
    page.evaluate("location.hash = '/skus'")
    page.wait_for(f"{READY} && document.querySelector('tbody')")
    token = page.evaluate("sessionStorage.getItem('forecast-platform credential')")
    page.evaluate("location.hash = '/settings'")
    page.wait_for(f"{READY} && document.querySelectorAll('.facts').length === 3")
    page.tab_to("main button")
    assert focused(page) == "Sign out"
    page.press("Enter")
    page.wait_for("document.activeElement.id === 'name'")
    assert page.evaluate("sessionStorage.length") == 0
    refused = httpx.get(f"{server.url}/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 401, "the session is over, not only forgotten by the page"
    sign_in(second)
    page.wait_for(f"{READY} && document.querySelector('h1').innerText === 'Settings'")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_sku_is_found_and_its_forecast_read_by_keyboard(show: Callable[..., Page], api: httpx.Client, width: int):
    page = show(width=width)
    page.press("Shift+Tab", "Shift+Tab")  # from the heading back: over signing out to the search
    assert page.evaluate("document.activeElement.id") == "search"
    page.write("SKU")
    page.wait_for("document.querySelectorAll('#found [data-sku]').length === 4")
    page.press("ArrowDown", "ArrowDown")
    assert page.evaluate("document.querySelector('#found [aria-selected=true]').id") == page.evaluate(
        "document.activeElement.getAttribute('aria-activedescendant')"
    )
    page.press("Enter")
    page.wait_for(f"{READY} && document.querySelector('h1').innerText === {json.dumps(SKU)}")
    assert focused(page) == SKU
    forecast = api.get(f"/forecasts/{SKU}").json()["forecasts"][0]
    assert forecast["explanation"] in text_of(page, "main")
    page.tab_to("[role=slider]")
    page.press("End", "ArrowLeft")
    told = page.evaluate("document.activeElement.getAttribute('aria-valuetext')")
    assert f"forecast {shown(forecast['mean'][-2])}" in told and told == text_of(page, ".readout")
    low, high = (shown(forecast["quantiles"][level][-2]) for level in ("0.1", "0.9"))
    assert f"80 % between {low} and {high}" in told
    page.tab_to("summary")
    page.press("Enter")
    rows = page.wait_for("[...document.querySelectorAll('details[open] tbody tr')].map(row => row.innerText)")
    assert len(rows) >= 28 + SETTINGS["horizon"] and f"{in_days(1).day} Feb 2026" in rows[-SETTINGS["horizon"]]


def shown(units: float) -> str:
    """As the page writes units."""
    digits = 0 if units >= 100 else 1 if units >= 10 else 2
    text = f"{units:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def test_another_location_is_another_forecast_and_address(show: Callable[..., Page], api: httpx.Client):
    page = show(f"/skus/{quote(SKU)}")
    page.tab_to("input[type=radio]")
    page.press("ArrowRight")
    page.wait_for("location.hash.endsWith('location=south')")
    page.wait_for(READY)
    south = api.get(f"/forecasts/{SKU}", params={"location": "south"}).json()["forecasts"][0]
    assert south["explanation"] in text_of(page, "main")
    assert f"version {south['version'][:8]}" in text_of(page, "main")


def test_facts_of_the_past_are_those_of_the_api(show: Callable[..., Page], api: httpx.Client):
    page = show(f"/skus/{quote(SKU)}?location=north")
    day = LAST_ORIGIN.isoformat()
    fact = api.get(f"/series/{SKU}/history", params={"from": day, "to": day, "location": "north"}).json()["items"][0]
    page.tab_to("[role=slider]")
    page.press("ArrowLeft")
    told = page.evaluate("document.activeElement.getAttribute('aria-valuetext')")
    assert f"sold {shown(fact['units'])}" in told and "forecast" not in told
    accuracy = api.get(f"/series/{SKU}/accuracy", params={"location": "north", "model": "published"}).json()["items"]
    whole = next(each for each in accuracy if each["horizon_bucket"] == "all")
    assert f"{whole['wape'] * 100:.1f} %".replace(".0 ", " ") in text_of(page, "main")


def test_what_to_act_on_comes_first(show: Callable[..., Page], api: httpx.Client):
    page = show()
    exceptions = api.get("/inventory/exceptions", params={"limit": 15}).json()
    rows = page.evaluate("[...document.querySelectorAll('section:first-of-type tbody th')].map(each => each.innerText)")
    assert rows == [f"{each['sku']} · {each['location']}" for each in exceptions["items"]] != []
    assert exceptions["items"][0]["reason"] in text_of(page, "section")
    kind = exceptions["items"][0]["exception"]
    page.tab_to(f".chips a[href$='kind={quote(kind)}']")
    page.press("Enter")
    page.wait_for(f"{READY} && document.querySelector('.chips [aria-current]').href.includes('kind=')")
    assert len(page.evaluate("[...document.querySelectorAll('section:first-of-type tbody th')]")) == min(
        exceptions["counts"][kind], 15
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_is_narrowed_and_sorted_by_keyboard(show: Callable[..., Page], api: httpx.Client, width: int):
    page = show("/skus", width=width)
    page.tab_to("main input[type=search]")
    page.write("sku")
    page.press("Enter")
    wait_for_address(page, "q=sku")
    heading = "on_hand"
    page.evaluate("document.querySelector('h1').focus()")
    page.tab_to("th button")
    while focused(page) != "On hand":
        page.tab_to("th button")
    page.press("Enter")
    wait_for_address(page, f"sort=-{heading}")
    rows = api.get("/inventory", params={"q": "sku", "sort": f"-{heading}", "limit": 50}).json()["items"]
    shown_rows = page.evaluate("[...document.querySelectorAll('tbody th')].map(each => each.innerText)")
    assert shown_rows == [f"{each['sku']} · {each['location']}" for each in rows] != []
    assert page.evaluate("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "descending"


def test_what_is_shown_is_saved_as_csv(show: Callable[..., Page], api: httpx.Client, tmp_path: Path):
    page = show("/skus?sort=-on_hand")
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.tab_to("main form button:not([type=submit])")
    page.press("Enter")
    saved = tmp_path / "inventory.csv"
    for _ in range(200):
        if saved.exists():
            break
        page.evaluate("new Promise(then => setTimeout(then, 50))")
    expected = api.get("/inventory", params={"sort": "-on_hand"}, headers={"Accept": "text/csv"}).text
    assert saved.read_text(encoding="utf-8-sig") == expected.removeprefix("\ufeff")
    assert len(list(csv.DictReader(io.StringIO(expected)))) > 4


@pytest.mark.parametrize("width", WIDTHS)
def test_a_file_is_looked_through_and_then_accepted(show: Callable[..., Page], tmp_path: Path, width: int):
    file = tmp_path / f"sales {width}.csv"
    day = in_days(0)
    file.write_text(
        f"id,day,sku,shop,quantity,price,order\nb{width},{day},{SKU},north,2,1.00,o1\nc{width},{day},{SKU},north,two,,\n"
    )
    page = show("/upload", width=width)
    document = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", nodeId=document, selector="input[type=file]")["nodeId"]
    page.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)
    page.tab_to("button[type=submit]")
    page.press("Enter")
    found = page.wait_for("document.querySelector('[role=status] section')?.innerText")
    assert "nothing is kept yet" in found and "Accept 1 row" in found and "two" in found
    page.tab_to("[role=status] button")
    page.press("Enter")
    assert "is accepted" in page.wait_for("document.querySelector('.box.good')?.closest('section').innerText")


def test_a_job_is_asked_for_watched_and_cancelled_by_keyboard(show: Callable[..., Page], api: httpx.Client):
    page = show("/jobs", width=390)
    for place in (0, 1):
        page.evaluate(f"document.querySelectorAll('input[type=date]')[{place}].value = '{LAST_ORIGIN}'")
    page.tab_to("button[type=submit]")
    page.press("Enter")
    wait_for_address(page, "#/jobs/job_")
    job = page.evaluate("location.hash").rpartition("/")[2]
    assert api.get(f"/jobs/{job}").json()["first_day"] == LAST_ORIGIN.isoformat()
    batches = api.get(f"/jobs/{job}/batches").json()["items"]
    assert page.wait_for("document.querySelectorAll('tbody tr').length") == len(batches)
    page.tab_to("button:not([aria-label])")
    page.press("Enter")
    page.wait_for("document.querySelector('dialog[open]')")
    page.tab_to("dialog button[value=yes]")
    page.press("Enter")
    page.wait_for("document.querySelector('.tag')?.innerText === 'cancelled'")
    assert api.get(f"/jobs/{job}").json()["status"] == "cancelled"
    assert not page.evaluate(
        "[...document.querySelectorAll('button')].some(each => each.innerText.startsWith('Cancel'))"
    )


ADDRESSES = (
    "/", "/skus", f"/skus/{quote(SKU)}", f"/skus/{quote(AWKWARD, safe='')}", "/skus/none", "/upload", "/jobs",
    "/settings", "/nowhere",
)  # fmt: skip


@pytest.mark.parametrize(("width", "scheme"), zip(WIDTHS, ("light", "dark"), strict=True))
@pytest.mark.parametrize("address", ADDRESSES)
def test_axe_finds_nothing_and_nothing_is_cut_off(
    show: Callable[..., Page], server: Server, address: str, width: int, scheme: str
):
    page = show(width=width)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page = show(address, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('summary').forEach(each => each.click())")
    assert violations(page) == []
    if address == "/skus/none":
        assert "Nothing is forecast for this SKU" in text_of(page, "main")
        page.complaints[:] = [each for each in page.complaints if "404" not in each]


def test_axe_finds_fault_where_there_is_one(show: Callable[..., Page]):
    page = show()
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert violations(page) == ["button-name: <button></button>"]


def test_the_page_of_one_who_has_not_signed_in_is_clean_too(page: Page, server: Server):
    page.open(f"{server.url}/", width=390)
    page.wait_for("document.activeElement.id === 'name'")
    page.evaluate("document.querySelector('summary').click()")
    assert violations(page) == []


def violations(page: Page) -> list[str]:
    """What axe complains of, as rule and element."""
    from importlib.util import find_spec

    axe = Path(find_spec("axe_core_python").origin).with_name("axe.min.js")
    page.evaluate(axe.read_text() + ";1")
    found = page.evaluate("axe.run().then(found => found.violations)")
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def test_a_server_that_is_away_is_said_in_words_and_tried_again(show: Callable[..., Page], server: Server):
    page = show("/skus")
    page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    page.evaluate("location.hash = '/'")
    page.wait_for("document.querySelector('.box.bad')?.innerText.includes('could not be reached')")
    page.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    assert page.complaints
    page.tab_to("section button")
    assert focused(page) == "Try again"
    page.press("Enter")
    page.wait_for("document.querySelector('.chips')")
    page.complaints.clear()


@pytest.mark.parametrize("width", WIDTHS)
def test_what_if_says_what_the_api_says(show: Callable[..., Page], api: httpx.Client, width: int):
    page = show(f"/skus/{quote(SKU)}?location=north", width=width)
    page.tab_to("summary")
    while "What if" not in focused(page):
        page.tab_to("summary")
    page.press("Enter")
    page.tab_to("details input")
    page.evaluate("document.activeElement.select()")
    page.write("0")
    page.press("Enter")
    told = page.wait_for("document.querySelector('details [role=status] .box')?.innerText")
    changes = {"sku": SKU, "location": "north", "on_hand": 0}
    expected = api.post("/inventory/calculate", json=changes).json()
    assert told == expected["what_if"]["reason"] != expected["plan"]["reason"]
    order = "details [role=status] tbody tr:first-child td:last-child"
    assert text_of(page, order) == shown(expected["what_if"]["order_quantity"]) != "0"
