"""A plan and covariates of the tenant's own, brought as files, reach the forecasts made from the day they are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets.panels import read_panels
from forecast_platform.forecasting import model_specs, version_digest
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

DAYS = 34
ORIGINS = range(30, DAYS)
PROMOTED = {*range(4, 9), *range(16, 20), *range(26, 29)}
MODELS = {"moving_average_7": "MovingAverage(window=7)", "linear": "LagRegression()"}


def sales() -> list[str]:
    """Sales that are three times as many on promotion, at two thirds of the price."""
    lines = []
    for line in sales_lines(day(0), day(DAYS - 1), skus=3):
        key, on, sku, shop, quantity, price, order = line.split(",")
        if (pd.Timestamp(on) - pd.Timestamp(day(0))).days in PROMOTED:
            quantity, price = str(3 * int(quantity)), f"{float(price) * 2 / 3:.2f}"
        lines.append(",".join((key, on, sku, shop, quantity, price, order)))
    return lines


def plan_lines(known: int, targets: range, *, sku: str = "sku 1", promoted: str = "yes") -> list[str]:
    return [f"{day(known)},{day(target)},{sku},all,{promoted},2.20" for target in targets]


def mail_lines() -> list[str]:
    """Letters sent every fifth day, told two weeks ahead: in one shop, of one category, of one article."""
    scopes = ["all,north,all", "all,all,round", "sku 2,south,all"]
    return [
        f"{day(max(target - 14, 0))},{day(target)},letters,{scope},{1 + number}.5"
        for target in range(0, DAYS + 7, 5)
        for number, scope in enumerate(scopes)
    ]


def write(shop: Shop, folder: str, name: str, header: str, lines: list[str]) -> Path:
    path = shop.folder / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines, ""]))
    return path


def fact(folder: Path, names: tuple[str, ...]) -> dict:
    return {
        "kind": "files",
        "url": str(folder),
        "pattern": "*.csv",
        "settle_seconds": 0,
        "columns": {name: name for name in names},
    }


PLAN = ("known_from", "target_date", "sku", "location", "on_promotion", "price")
OWN = ("known_from", "target_date", "name", "sku", "location", "category", "value")
ITEMS = ("valid_from", "sku", "category")


@pytest.fixture
def informed(new_shop: Callable[..., Shop], backend: str, tmp_path: Path) -> Callable[[], Shop]:
    """Make a shop that brings items, a plan and covariates of its own, with a history of promotions."""

    def make() -> Shop:
        shop = new_shop(backend, models=MODELS, country="GB")
        shop.settings["facts"] = {
            "items": fact(shop.folder / "items", ITEMS),
            "plan": fact(shop.folder / "plan", PLAN),
            "covariates": fact(shop.folder / "own", OWN),
        }
        shop.put("history.csv", sales())
        write(
            shop, "items", "1.csv", ",".join(ITEMS), [f"{day(0)},sku {n},{'round' if n else 'flat'}" for n in range(3)]
        )
        write(shop, "plan", "1.csv", ",".join(PLAN), plan_lines(20, range(26, 29)) + plan_lines(31, range(33, 37)))
        write(shop, "own", "1.csv", ",".join(OWN), mail_lines())
        return shop

    return make


def forecast(shop: Shop, at: Callable, first: int, last: int) -> None:
    with at(day(DAYS)):
        shop.run(["forecasts"], day(first), day(last))


def with_facts(shop: Shop, at: Callable) -> Shop:
    with at(day(DAYS)):
        shop.run_facts(day(0), day(DAYS - 1))
    return shop


def versions(shop: Shop) -> dict[tuple[int, str], list[str]]:
    """Digests by origin (days from the start) and model, oldest first."""
    rows = shop.warehouse.read("select origin_date, model, digest from forecast_versions order by version_id")
    days = (rows["origin_date"] - pd.Timestamp(day(0))).dt.days
    return rows.groupby([days, "model"])["digest"].apply(list).to_dict()


def inputs(shop: Shop, origin: int, model: str) -> dict:
    query = "select inputs from forecast_versions where origin_date = :origin and model = :model order by version_id"
    rows = shop.warehouse.read(query, {"origin": day(origin), "model": model})
    return json.loads(rows["inputs"].iloc[-1])["inputs"]


def test_single_runs_after_a_range_find_what_it_made_and_only_models_that_read_covariates_have_them(
    informed: Callable, at: Callable
):
    shop = with_facts(informed(), at)
    assert len(shop.warehouse.read("select name from covariates")) == len(mail_lines())
    forecast(shop, at, ORIGINS[0], ORIGINS[-1])
    made = versions(shop)
    for origin in (ORIGINS[0], ORIGINS[-1]):
        forecast(shop, at, origin, origin)
    assert versions(shop) == made, "an origin in a range has the inputs of one alone, to the bit"

    assert {"covariates", "covariates_past", "covariates_ahead"} <= set(inputs(shop, ORIGINS[0], "linear"))
    assert "covariates" not in inputs(shop, ORIGINS[0], "moving_average_7")
    ahead = [inputs(shop, origin, "linear")["covariates_ahead"] for origin in ORIGINS]
    assert len(set(ahead)) == len(ahead)

    panel = read_panels(dg.build_output_context(), shop.scope, day(ORIGINS[1]), day(ORIGINS[1])).at(day(ORIGINS[1]))
    assert panel.covariates == ("on_promotion", "price_ratio", "letters"), "the window holds no public holiday"
    linear = next(model for model in model_specs(MODELS) if model.name == "linear")
    assert version_digest(panel, linear, horizon=shop.tenant.horizon) == made[ORIGINS[1], "linear"][0]
    promoted = panel.future[:, panel.covariates.index("on_promotion")]
    named = dict(zip(panel.series.sku, promoted.tolist(), strict=True))
    assert named["sku 1"] == [0, 1, 1, 1, 1, 0, 0]
    assert named["sku 0"] == [0] * 7


@pytest.mark.parametrize("backend", ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_a_plan_that_becomes_known_touches_the_origins_from_that_day_on(informed: Callable, at: Callable):
    shop = with_facts(informed(), at)
    forecast(shop, at, ORIGINS[0], ORIGINS[-1])
    before = versions(shop)

    write(shop, "plan", "2.csv", ",".join(PLAN), plan_lines(32, range(34, 39), sku="sku 0"))
    with at(day(DAYS)):
        shop.run(["plan"], day(32), day(32))
    forecast(shop, at, ORIGINS[0], ORIGINS[-1])
    again = {key for key, digests in versions(shop).items() if len(digests) > len(before[key])}
    assert again == {(32, "linear"), (33, "linear")}

    moved = shop.warehouse.read(
        "select s.sku, count(*) as n from forecasts f join forecast_versions v using (version_id)"
        " join series s using (series_id) where v.digest in (:late, :later) group by s.sku",
        {"late": versions(shop)[32, "linear"][-1], "later": versions(shop)[33, "linear"][-1]},
    )
    assert moved["sku"].tolist() == ["sku 0"], "what is planned for one article is no news about another"
