"""The demo generator's shop as panels with covariates, without a warehouse: what the asset layer does, in pandas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast_platform.features import HolidayCalendar, build_features
from forecast_platform.forecasting import Panel, PanelHistory
from forecast_platform.forecasting.covariates import FROM_FEATURES, Covariates, KnownFacts
from forecast_platform.sources.demo_settings import DemoSource
from forecast_platform_tests.sources.demo_reading import newest_states, rows

TEXT = pd.ArrowDtype(pa.string())
PRICE = pd.ArrowDtype(pa.decimal128(18, 6))
OWN = ("known_from", "target_date", "name", "sku", "location", "category", "value")


@dataclass(frozen=True)
class DemoShop:
    """Facts of the shop's days, in the frames that assets hand to the pure functions."""

    daily: pd.DataFrame
    features: pd.DataFrame
    series: pd.DataFrame
    plan: pd.DataFrame

    def facts(self, **changed: object) -> KnownFacts:
        """What is known beside sales; ``own`` and the others may be replaced."""
        prices = self.daily.loc[self.daily["avg_price"].notna(), ["sale_date", "series_id", "avg_price"]]
        known = KnownFacts(lambda day: HolidayCalendar("DE"), self.plan, prices, no_own_covariates())
        return replace(known, **changed)

    def panels(
        self, first: date, last: date, *, window: int = 120, horizon: int = 28, facts: KnownFacts | None = None
    ) -> dict[date, Panel]:
        """Panels of the origins ``first`` .. ``last``, made in one range."""
        since = pd.Timestamp(first) - pd.Timedelta(days=window - 1)
        seen = self.features["sale_date"].between(since, pd.Timestamp(last))
        origins = first, last
        history = PanelHistory.from_features(
            self.features[seen], self.series, origins=origins, covariates=FROM_FEATURES
        )
        covariates = Covariates(history, facts or self.facts(), origins=origins, window=window, horizon=horizon)
        days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
        return {day: covariates.complete(history.panel_at(day, window=window)) for day in days}

    def actual(self, panel: Panel, horizon: int) -> np.ndarray:
        """n x horizon units that the series of ``panel`` sold after its origin; NaN where the shelf was empty."""
        units = np.where(self.daily["in_stock"], self.daily["units"], np.nan)
        table = pd.Series(units, index=[self.daily["sale_date"], self.daily["series_id"]])
        days = pd.date_range(pd.Timestamp(panel.origin) + pd.Timedelta(days=1), periods=horizon)
        sold = table.unstack("sale_date").reindex(index=panel.series.series_id, columns=days)
        return sold.to_numpy()


def no_own_covariates() -> pd.DataFrame:
    """No rows of the table ``covariates``."""
    return pd.DataFrame({name: pd.Series(dtype="float64" if name == "value" else "object") for name in OWN})


@cache
def demo_shop(first: date, last: date, settings: DemoSource | None = None) -> DemoShop:
    """The shop's days ``first`` .. ``last`` as they are known a week later; the same every time."""
    settings = settings or DemoSource(kind="demo")
    sales = newest_states(rows("raw_sales", settings, first, last + timedelta(days=7)))
    sales = sales[(sales["day"] >= str(first)) & (sales["day"] <= str(last))]
    sales = sales.assign(
        sale_date=pd.to_datetime(sales["day"]),
        price=sales["unit_price"].astype(float).where(sales["units"] > 0),
        promoted=sales["on_promotion"] == "true",
    )
    key = ["sale_date", "sku", "location"]
    by_day = sales.groupby(key).agg(
        units=("units", "sum"), avg_price=("price", "mean"), on_promotion=("promoted", "any")
    )
    began = sales.groupby(["sku", "location"])["sale_date"].min()
    days = pd.date_range(str(first), str(last))
    grid = pd.MultiIndex.from_tuples(
        [(day, *pair) for pair, start in began.items() for day in days[days >= start]], names=key
    )
    daily = by_day.reindex(grid).reset_index()
    stock = rows("inventory_levels", settings, first, last)
    empty = stock[stock["on_hand"] == "0"].assign(sale_date=lambda f: pd.to_datetime(f["snapshot_date"]))
    gone = pd.MultiIndex.from_frame(daily[key]).isin(pd.MultiIndex.from_frame(empty[key]))
    daily = daily.assign(
        units=daily["units"].fillna(0.0).clip(lower=0.0),
        on_promotion=daily["on_promotion"].eq(True),
        in_stock=~(gone & daily["units"].fillna(0.0).le(0.0)),
        series_id=daily.groupby(["sku", "location"]).ngroup().astype(np.int32),
    )
    series = daily[["series_id", "sku", "location"]].drop_duplicates(ignore_index=True)
    features = build_features(daily, first=first, last=last, holidays=HolidayCalendar("DE"))
    return DemoShop(daily, features, series, typed_plan(rows("plan", settings, first, last)))


def typed_plan(plan: pd.DataFrame) -> pd.DataFrame:
    """Plan rows of text with the types of the table ``plan``."""
    return pd.DataFrame(
        {
            "known_from": pd.to_datetime(plan["known_from"]),
            "target_date": pd.to_datetime(plan["target_date"]),
            "sku": plan["sku"].astype(TEXT),
            "location": plan["location"].astype(TEXT),
            "on_promotion": (plan["on_promotion"] == "true").astype(pd.ArrowDtype(pa.bool_())),
            "price": plan["price"].astype(TEXT).astype(PRICE),
        }
    )
