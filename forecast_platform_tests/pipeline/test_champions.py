"""Champions and publications in both warehouses: the same whatever was run before, and a pin survives."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime

import pandas as pd
import pytest

from forecast_platform.assets.publications import IntervalsMissing, choose_versions
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform.tables import champions, forecast_intervals, forecast_versions, forecasts, model_pins
from forecast_platform_tests.pipeline.content import assert_same, contents
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

HISTORY, ORIGINS = 30, 14
FIRST, LAST = day(HISTORY), day(HISTORY + ORIGINS - 1)
QUICK = {"champion_window": 14, "publication": {"rolling_days": 7, "for_days": 2, "margin": 0.0, "min_errors": 20}}
MADE = {"demand_classes", "champions", "publications", "published_latest"}
QUICK_IN_DUCKDB = ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)]


def with_ledger(shop: Shop) -> Shop:
    """A shop with forecasts, errors and intervals of ``ORIGINS`` days, nothing chosen yet."""
    shop.put("sales.csv", sales_lines(day(0), LAST))
    shop.run_facts(day(0), LAST)
    chosen = {"champions", "publications"}
    following = [name for name in shop.chain.accuracy if name not in chosen and "published" not in name]
    scored = ["forecast_errors", "error_sums", "forecast_intervals"]
    shop.run(["forecasts", *(name for name in following if name in scored)], FIRST, LAST)
    return shop


def pin(shop: Shop, pin_id: int, model: str | None, *, sku: str = "all", location: str = "all", since: date = FIRST):
    row = {
        "pin_id": [pin_id],
        "valid_from": [pd.Timestamp(since)],
        "sku": [sku],
        "location": [location],
        "model": [model],
        "reason": ["a promotion the models do not know"],
        "set_by": ["planner"],
        "set_at": [pd.Timestamp(datetime.now(UTC)).as_unit("us")],
    }
    with shop.warehouse.transaction() as session:
        session.append(model_pins, pd.DataFrame(row))


PUBLISHED = """
    select sku, location, v.model, p.confidence, p.batch_id from publications p
    join series using (series_id) join forecast_versions v using (version_id) where p.origin_date = :origin
    order by p.batch_id
"""


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_champions_are_the_same_by_range_or_alone_and_a_pin_wins_and_survives(
    new_shop: Callable[..., Shop], backend: str, at: Callable
):
    """One ledger for all of it: making one takes far longer than choosing from it."""
    with at(day(HISTORY + ORIGINS)):
        shop = with_ledger(new_shop(backend, **QUICK))
        chosen_alike_by_range_one_by_one_and_again(shop)
        pins_win_and_survive(shop)
        views_say_what_is_published(shop)


def chosen_alike_by_range_one_by_one_and_again(shop: Shop) -> None:
    shop.run(["champions", "publications"], FIRST, LAST)
    whole = contents(shop.warehouse, only=MADE)
    assert len(whole["champions"]) == ORIGINS * 8 and len(whole["publications"]) == ORIGINS * 8
    assert whole["champions"]["model"].nunique() > 1
    days = list(range(HISTORY, HISTORY + ORIGINS))
    random.Random(2).shuffle(days)
    for offset in days[:4]:
        shop.run(["champions", "publications"], day(offset), day(offset))
    assert_same(whole, contents(shop.warehouse, only=MADE))
    # From an empty table, too: nothing is read of what was chosen before.
    with shop.warehouse.transaction() as session:
        session.execute("delete from champions")
    for offset in days[4:6]:
        shop.run(["champions"], day(offset), day(offset))
    once_more = contents(shop.warehouse, only={"champions"})["champions"]
    kept = whole["champions"]["as_of"].isin(set(once_more["as_of"]))
    pd.testing.assert_frame_equal(once_more, whole["champions"][kept].reset_index(drop=True), check_exact=True)
    shop.run(["champions"], FIRST, LAST)


def pins_win_and_survive(shop: Shop) -> None:
    champions = "select sku, location, model, reason from champions join series using (series_id) where as_of = :origin"
    asked = {"origin": LAST}
    before = shop.warehouse.read(champions, asked).set_index(["sku", "location"])["model"]
    pin(shop, 1, "naive")
    pin(shop, 2, "moving_average_7", sku="sku 1")
    pin(shop, 3, "linear", sku="sku 1", location="north")
    pin(shop, 4, "linear", sku="sku 2", since=day(HISTORY + ORIGINS + 1))
    pin(shop, 5, "gone", sku="sku 3")
    for _ in range(2):
        result = shop.run(["champions", "publications"], LAST, LAST)
        rows = shop.warehouse.read(champions, asked)
        model = {(sku, location): name for sku, location, name, _ in rows.itertuples(index=False)}
        assert model["sku 1", "north"] == "linear" and model["sku 1", "south"] == "moving_average_7"
        assert {name for (sku, _), name in model.items() if sku in {"sku 0", "sku 2"}} == {"naive"}
        assert rows["reason"].str.startswith("pinned by planner for ").all()
        assert rows["reason"].str.contains("; the errors chose ").all()
    published = shop.warehouse.read(PUBLISHED, asked)
    newest = published.drop_duplicates(["sku", "location"], keep="last").set_index(["sku", "location"])
    # No model is called gone: the default stands in for it, and nothing is known of how well.
    stands_in = newest.loc["sku 3"]
    assert set(stands_in["model"]) == {"ensemble"} and set(stands_in["confidence"]) == {0.0}
    assert newest.drop("sku 3")["model"].to_dict() == {key: name for key, name in model.items() if key[0] != "sku 3"}
    assert published["batch_id"].nunique() == 2
    made = {event.asset_key.path[-1]: event.materialization for event in result.get_asset_materialization_events()}
    assert made["champions"].metadata["pinned"].value == 8

    for pin_id, sku in enumerate(("all", "sku 1", "sku 3"), start=6):
        pin(shop, pin_id, None, sku=sku)
    shop.run(["champions", "publications"], LAST, LAST)
    after = shop.warehouse.read(champions, asked).set_index(["sku", "location"])["model"]
    expected = before.to_dict() | {("sku 1", "north"): "linear"}
    assert after.to_dict() == expected


def views_say_what_is_published(shop: Shop) -> None:
    shop.run_accuracy(LAST, LAST)
    # What was published of earlier origins has been made since their days were scored.
    shop.run(["published_sums"], FIRST, LAST)
    rows = shop.warehouse.read("select * from published_forecasts where origin_date = :origin", {"origin": LAST})
    assert len(rows) == 8 * 7 and rows.groupby(["sku", "location"])["horizon"].nunique().eq(7).all()
    assert (rows["q025"] <= rows["q975"]).all() and set(rows["age_days"]) == {0}
    newest = shop.warehouse.read(PUBLISHED, {"origin": LAST}).drop_duplicates(["sku", "location"], keep="last")
    models = rows.drop_duplicates(["sku", "location"]).set_index(["sku", "location"])["model"].to_dict()
    assert models == newest.set_index(["sku", "location"])["model"].to_dict()

    changes = shop.warehouse.read("select as_of, sku, location, model_before, model from champion_changes")
    champions = shop.warehouse.read("select as_of, sku, location, model from champions join series using (series_id)")
    wide = champions.pivot(index="as_of", columns=["sku", "location"], values="model")
    assert len(changes) == int((wide != wide.shift()).iloc[1:].to_numpy().sum()) > 0

    scores = shop.warehouse.read("select * from published_accuracy").set_index(["model", "horizon_bucket"])
    errors = shop.warehouse.read(
        """
        with newest as (select origin_date, series_id, max(batch_id) as batch_id from publications group by 1, 2)
        select e.horizon, e.error, e.actual from newest
        join publications p using (origin_date, series_id, batch_id)
        join forecast_errors e using (origin_date, series_id, version_id)
        """
    )
    for bucket, part in (("all", errors), ("1", errors[errors["horizon"] == 1])):
        assert scores.loc[("published", bucket), "n"] == len(part)
        assert scores.loc[("published", bucket), "wape"] == pytest.approx(
            part["error"].abs().sum() / part["actual"].sum()
        )
        assert scores.loc[("published", bucket), "bias"] == pytest.approx(part["error"].sum() / part["actual"].sum())
    assert scores.loc[("naive", "all"), "n"] == len(errors)


def test_a_forecast_without_quantiles_is_not_published(warehouse: Warehouse):
    with warehouse.transaction() as session:
        session.append(forecast_versions, versions(linear=1, ensemble=2))
        session.append(forecasts, rows_of({1: [1, 2], 2: [1]}))
        session.append(champions, champion_rows({1: "linear", 2: "linear"}))
        session.append(forecast_intervals, quantiles({1: [1], 2: [1]}))
    missing = pytest.raises(IntervalsMissing, match=r"newest forecasts of linear \(1 series\)")
    with warehouse.reading() as session, missing:
        choose_versions(session, FIRST, ("ensemble", "linear"))
    with warehouse.transaction() as session:
        session.append(forecast_intervals, quantiles({1: [2]}, calibration=9))
    with warehouse.reading() as session:
        chosen = choose_versions(session, FIRST, ("ensemble", "linear"))
    assert chosen[["series_id", "model", "version_id", "calibration_id"]].values.tolist() == [
        [1, "linear", 1, 5],
        [2, "linear", 1, 9],
    ]


def test_the_newest_version_of_a_champion_is_published_and_the_next_model_where_it_has_none(warehouse: Warehouse):
    with warehouse.transaction() as session:
        session.append(forecast_versions, versions(linear=1, ensemble=2, naive=3))
        session.append(forecast_versions, versions(linear=4))
        session.append(forecasts, rows_of({1: [1], 4: [1], 2: [2], 3: [1, 2, 3]}))
        session.append(champions, champion_rows({1: "linear", 2: "linear"}))
        session.append(forecast_intervals, quantiles({1: [1], 4: [1], 2: [2], 3: [1, 2, 3]}))
    with warehouse.reading() as session:
        chosen = choose_versions(session, FIRST, ("ensemble", "linear", "naive"))
    columns = ["series_id", "model", "version_id", "confidence", "stands_in"]
    assert chosen[columns].values.tolist() == [
        [1, "linear", 4, 0.25, False],
        [2, "ensemble", 2, 0.0, True],
        [3, "naive", 3, 0.0, True],
    ]


def versions(**ids: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "version_id": list(ids.values()),
            "digest": [f"{name} {number}" for name, number in ids.items()],
            "origin_date": pd.Timestamp(FIRST),
            "model": list(ids),
            "model_spec": "Naive()",
            "code_version": "1",
            "horizon": 1,
            "inputs": "{}",
            "series": 1,
            "live": False,
            "horizons": None,
        }
    )


def rows_of(series: dict[int, list[int]]) -> pd.DataFrame:
    pairs = [(version, each) for version, ids in series.items() for each in ids]
    frame = pd.DataFrame(pairs, columns=["version_id", "series_id"])
    return frame.assign(origin_date=pd.Timestamp(FIRST), horizon=1, mean=1.0, status="model")


def quantiles(series: dict[int, list[int]], *, calibration: int = 5) -> pd.DataFrame:
    levels = dict.fromkeys(("q025", "q10", "q50", "q90", "q975"), 1.0)
    return rows_of(series).drop(columns=["mean", "status"]).assign(calibration_id=calibration, **levels)


def champion_rows(models: dict[int, str]) -> pd.DataFrame:
    figures = dict.fromkeys(("rmsse", "incumbent_rmsse", "floor_rmsse", "bias"), 1.0)
    return pd.DataFrame({"series_id": list(models), "model": list(models.values())}).assign(
        as_of=pd.Timestamp(FIRST),
        incumbent="naive",
        reason="r",
        segment="new",
        days_held=1,
        n=1,
        confidence=0.25,
        **figures,
    )
