"""What the inventory plan of a day is made from, read once a day: series, forecasts, stock, orders, terms.

The database picks and sums; what a plan makes of it is in ``inventory``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.assets.past_paths import Past, fractional_days, read_past, sold_in_parts
from forecast_platform.assets.published import Published, published_at, published_series
from forecast_platform.assets.report_reading import EXACT
from forecast_platform.assets.scope import TenantScope
from forecast_platform.forecasting.paths import Span, pools_of
from forecast_platform.inventory.lead_time_demand import Ahead, SpanPools, has_paths
from forecast_platform.inventory.stock import Stock, deliveries, expected_on, on_hand
from forecast_platform.inventory.terms import Resolved, resolve
from forecast_platform.io_managers.warehouse import Session

LINES_KNOWN_DAYS = 400
"""An order that nobody said anything of for so long is not waited for any more."""

LEAST_ERRORS = 28
"""Errors of a series below which their deviation is guessed from how much it sells from day to day."""

COUNTS = """
    with newest as (
      select sku, location, snapshot_date, on_hand, on_order
      from (
        select sku, location, snapshot_date, on_hand, on_order,
          row_number() over (partition by sku, location order by snapshot_date desc) as age
        from inventory_levels where snapshot_date between :since and :counted
      ) as counted
      where age = 1
    ),
    sold as (
      select d.sku, d.location, sum(d.units_sold - d.units_returned) as units
      from daily_sales as d
      join newest as n on n.sku = d.sku and n.location = d.location and d.sale_date > n.snapshot_date
      where d.sale_date between :since and :day
      group by d.sku, d.location
    )
    select n.sku, n.location, n.snapshot_date as counted_on, n.on_hand, n.on_order,
      coalesce(sold.units, 0) as sold
    from newest as n left join sold on sold.sku = n.sku and sold.location = n.location
"""

LAST_SOLD = """
    select sku, location, max(sale_date) as last_sold from daily_sales
    where units_sold > 0 and sale_date between :since and :day group by sku, location
"""

FIRST_COUNTED = """
    select sku, location, min(snapshot_date) as first_counted from inventory_levels
    where snapshot_date between :since and :day group by sku, location
"""

KNOWN_LINES = """
    (
      select sku, location, quantity, ordered_on, expected_on, received_on, known_from
      from (
        select *, row_number() over (partition by order_id, sku, location order by known_from desc) as age
        from open_orders where known_from between :since and :day
      ) as told
      where age = 1 and quantity > 0
    ) as known
"""
"""Lines of orders as they are known on a day: the newest row of each, those that are cancelled left out."""

LINES = f"""
    select sku, location, quantity, ordered_on, expected_on, received_on, known_from from {KNOWN_LINES}
    where ordered_on is null or ordered_on <= :day
    order by sku, location, known_from, ordered_on, expected_on, quantity
"""

DEVIATIONS = f"""
    select series_id, model, sqrt({EXACT.format("sum_sq_error")} / sum(n)) as deviation
    from error_sums where target_date between :first and :last
    group by series_id, model having sum(n) >= {LEAST_ERRORS}
"""

SOLD_TODAY = "select sku, location, units from daily_sales where sale_date = :day"

ORIGIN = "select max(origin_date) from publications where origin_date between :since and :day"


@dataclass(frozen=True)
class Planned:
    """What a day's plan is made from: n series, by SKU and location.

    Attributes:
        origin: of the forecasts; ``None`` where there is none.
        deviation: n; standard deviation of a day's errors, NaN where the ledger knows too few.
        stock_known: n of ``stock.COUNTED``, ``ESTIMATED``, ``UNKNOWN``; ``counted_on``: n days or NaT.
    """

    day: date
    origin: date | None
    sku: np.ndarray
    location: np.ndarray
    ahead: Ahead
    pools: SpanPools
    stock: Stock
    stock_known: np.ndarray
    counted_on: np.ndarray
    resolved: Resolved
    deviation: np.ndarray


@dataclass(frozen=True)
class MasterData:
    """Items and suppliers of any day up to the last one planned."""

    items: pd.DataFrame
    suppliers: pd.DataFrame


def master_data(session: Session, last: date) -> MasterData:
    def up_to(table: sa.Table) -> pd.DataFrame:
        return session.frame(sa.select(table).where(table.c.valid_from <= last))

    return MasterData(up_to(tables.items), up_to(tables.suppliers))


def origins_of(session: Session, scope: TenantScope, days: Sequence[date]) -> dict[date, date | None]:
    """By day the origin whose forecasts its plan is made from: the day itself once it has closed."""
    today = scope.today()
    return {day: day if day < today else newest_origin(session, scope, day) for day in days}


def planned_days(scope: TenantScope, days: Sequence[date], origins: Mapping[date, date | None]) -> Iterator[Planned]:
    """What the plan of each of some days is made from, in their order; they are ascending.

    Args:
        origins: see ``origins_of``.
    """
    with scope.warehouse.reading() as session:
        master = master_data(session, days[-1])
        read = sorted({origin for origin in origins.values() if origin is not None})
        published = published_series(session, read[0], read[-1]) if read else None
        fractions = fractional_days(session, scope, read) if read else pd.DataFrame()
    past = read_past(scope, published, read) if published is not None and len(published) else None
    for day in days:
        with scope.warehouse.reading() as session:
            origin = origins[day] if past is not None else None
            yield read_day(session, scope, day, origin=origin, past=past, fractions=fractions, master=master)


def newest_origin(session: Session, scope: TenantScope, day: date) -> date | None:
    """The newest origin whose forecasts reach beyond ``day``."""
    return session.scalar(ORIGIN, reach_of(scope, day))


def reach_of(scope: TenantScope, day: date) -> dict[str, date]:
    """The origins whose forecasts reach beyond ``day``, for ``ORIGIN``."""
    return {"since": day - timedelta(days=scope.tenant.horizon - 1), "day": day}


def read_day(
    session: Session,
    scope: TenantScope,
    day: date,
    *,
    origin: date | None,
    past: Past | None,
    fractions: pd.DataFrame,
    master: MasterData,
) -> Planned:
    """Everything that the plan of ``day`` is made from.

    Of an open day, whose forecasts are of an earlier origin, what is forecast of it and not sold yet counts with the
    day after it.

    Args:
        past: covers ``origin``.
        fractions: days on which something was sold in parts of a unit, up to ``origin``.
    """
    tenant = scope.tenant
    # A count is of the end of its day: that of an open day is none yet, and would hide what is sold after it.
    counted = min(day, scope.today() - timedelta(days=1))
    asked = {"since": _since(day, tenant.inventory.count_lasts_days), "day": day, "counted": counted}
    counts = _named(session.frame(COUNTS, asked))
    published = None
    if origin is not None:
        session.recall([origin], "forecasts")
        published = published_at(session, published_series(session, origin, origin), origin, horizon=tenant.horizon)
    sku, location = _all_series(counts, published)
    names = pd.MultiIndex.from_arrays([sku, location], names=["sku", "location"])
    ahead, pools = _ahead(session, scope, day, names, published, past, fractions)
    resolved = resolve(
        sku,
        location,
        master.items,
        master.suppliers,
        tenant=tenant.inventory.defaults.model_dump(),
        categories=tenant.inventory.terms_of_categories(),
        day=day,
    )
    stock, known, counted_on = _stock(session, scope, day, names, counts, resolved, ahead.horizon)
    deviation = np.full(len(names), np.nan)
    if published is not None and not has_paths(ahead, pools).all():
        deviation[_rows_of(names, published)] = error_deviations(session, scope, published)
    return Planned(*(day, origin, sku, location, ahead, pools, stock, known, counted_on, resolved), deviation=deviation)


def _since(day: date, days: int) -> date:
    return day - timedelta(days=days - 1)


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.astype({"sku": object, "location": object}).set_index(["sku", "location"])


def _all_series(counts: pd.DataFrame, published: Published | None) -> tuple[np.ndarray, np.ndarray]:
    """Every series that is forecast or was counted, by name."""
    forecast = [] if published is None else zip(published.series.sku, published.series.location, strict=True)
    names = sorted({*counts.index, *forecast})
    return tuple(np.array([each[at] for each in names], dtype=object) for at in (0, 1))


def _ahead(
    session: Session,
    scope: TenantScope,
    day: date,
    names: pd.MultiIndex,
    published: Published | None,
    past: Past | None,
    fractions: pd.DataFrame,
) -> tuple[Ahead, SpanPools]:
    """The forecasts of all series, 0 and without a model where there is none, and the paths around them."""
    tenant, n = scope.tenant, len(names)
    gone = 0 if published is None else (day - published.origin).days
    horizon = tenant.horizon - gone
    mean, scale = np.zeros((n, horizon)), np.full(n, np.nan)
    model, demand_class = (np.full(n, "", dtype=object) for _ in range(2))
    whole, pools = np.ones(n, dtype=bool), {}
    if published is not None and past is not None:
        origin, ids = published.origin, published.series.series_id
        rows = _rows_of(names, published)
        seen = past.at(origin, ids)
        mean[rows] = published.mean[:, gone:]
        if gone:
            sold = _named(session.frame(SOLD_TODAY, {"day": day}))["units"].astype(np.float64)
            rest = published.mean[:, gone - 1] - sold.reindex(names[rows]).fillna(0.0).to_numpy()
            mean[rows, 0] += np.maximum(rest, 0.0)
        scale[rows], model[rows], demand_class[rows] = seen.scale, published.model, seen.demand_class
        whole[rows] = ~np.isin(ids, sold_in_parts(fractions, origin, tenant.training_window))
        first = origin - timedelta(days=tenant.calibration_window - 1)
        pools = {
            days: pools_of(seen.paths, seen.standing_class, Span(1, days), first=first, last=origin)
            for days in range(1, horizon + 1)
        }
    return Ahead(mean=mean, scale=scale, model=model, demand_class=demand_class, whole=whole), pools


def _rows_of(names: pd.MultiIndex, published: Published) -> np.ndarray:
    """Where the published series are among all."""
    return names.get_indexer(pd.MultiIndex.from_arrays([published.series.sku, published.series.location]))


def error_deviations(session: Session, scope: TenantScope, published: Published) -> np.ndarray:
    """Root mean squared error of a day, by published series: of the model that is published, at any horizon."""
    if "error_sums" not in session.relations():
        return np.full(len(published.model), np.nan)  # nothing was ever scored, and dbt has not made the table
    first = published.origin - timedelta(days=scope.tenant.calibration_window - 1)
    rows = session.frame(DEVIATIONS, {"first": first, "last": published.origin})
    known = rows.set_index([rows["series_id"].astype(np.int64), rows["model"].astype(object)])["deviation"]
    wanted = pd.MultiIndex.from_arrays([published.series.series_id.astype(np.int64), published.model])
    return known.reindex(wanted).to_numpy(dtype=np.float64)


def _stock(
    session: Session,
    scope: TenantScope,
    day: date,
    names: pd.MultiIndex,
    counts: pd.DataFrame,
    resolved: Resolved,
    horizon: int,
) -> tuple[Stock, np.ndarray, np.ndarray]:
    lead_time = resolved.terms.lead_time
    here = counts.reindex(names)
    counted_on = here["counted_on"].to_numpy(dtype="datetime64[D]")
    lines = session.frame(LINES, {"since": _since(day, LINES_KNOWN_DAYS), "day": day}, like=tables.open_orders)
    row = names.get_indexer(pd.MultiIndex.from_arrays([lines["sku"].astype(object), lines["location"].astype(object)]))
    lines, row = lines[row >= 0], row[row >= 0]
    quantity = lines["quantity"].to_numpy(dtype=np.float64)
    received_on = lines["received_on"].to_numpy(dtype="datetime64[D]")
    came = received_on <= np.datetime64(day, "D")
    received = np.zeros(len(names))
    since = came & (received_on > counted_on[row])
    np.add.at(received, row[since], quantity[since])
    sold = np.nan_to_num(here["sold"].to_numpy(dtype=np.float64, na_value=np.nan))
    units, known = on_hand(here, sold, received, day)
    due, later = deliveries(
        row[~came],
        expected_on(lines[~came], lead_time[row[~came]]),
        quantity[~came],
        n=len(names),
        day=day,
        horizon=horizon,
    )
    if "open_orders" in scope.unfed_facts():
        # A count that also says what was on order is all there is; it comes once the lead time has gone by.
        told = np.nan_to_num(here["on_order"].to_numpy(dtype=np.float64, na_value=np.nan))
        expected = counted_on + np.ceil(lead_time).astype("timedelta64[D]")
        some = np.flatnonzero(told > 0)
        due, later = deliveries(some, expected[some], told[some], n=len(names), day=day, horizon=horizon)
    stock = Stock(on_hand=units, deliveries=due, later=later, days_unsold=_days_unsold(session, scope, day, here))
    return stock, known, counted_on


def _days_unsold(session: Session, scope: TenantScope, day: date, counts: pd.DataFrame) -> np.ndarray:
    """Days since the last sale, or since the first count of what never sold; no more than make dead stock."""
    settings = scope.tenant.inventory
    most, counted = settings.dead_stock_days, settings.dead_stock_days + settings.count_lasts_days
    sold = _named(session.frame(LAST_SOLD, {"since": day - timedelta(days=most), "day": day}))
    began = _named(session.frame(FIRST_COUNTED, {"since": day - timedelta(days=counted), "day": day}))
    last = sold["last_sold"].reindex(counts.index).to_numpy(dtype="datetime64[D]")
    first = began["first_counted"].reindex(counts.index).to_numpy(dtype="datetime64[D]")
    since = np.where(np.isnat(last), first, last)
    gone = (np.datetime64(day, "D") - since).astype(np.float64)
    return np.where(np.isnat(since), float(most), np.minimum(gone, float(most)))
