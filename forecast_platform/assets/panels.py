"""The panels of a range of origins: what each of them sees of sales, master data and what is known ahead.

Shared by every asset that fits a model. Rows are read from the warehouse once for a range, and each origin's panel is
cut from them when it is asked for: it holds nothing that became known after that origin. So a plan or covariate that is
known from day K touches the forecasts of origin K and later ones, by models that read covariates, and no earlier ones.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import dagster as dg
import pandas as pd
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.assets.lineage import columns_of
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import days_between, stretches
from forecast_platform.features import HolidayCalendar
from forecast_platform.forecasting import Panel, PanelHistory
from forecast_platform.forecasting.covariates import FROM_FEATURES, PRICE_DAYS, Covariates, KnownFacts
from forecast_platform.forecasting.parts import block_of
from forecast_platform.forecasting.scopes import EVERYTHING
from forecast_platform.io_managers.reads import RECORDED, Reads, reads_of
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.io_managers.windows import materialized
from forecast_platform.partitions import DayWindow

DATED_FACTS = ("items", "locations", "plan", "covariates")
"""Facts of which a panel holds what is known on its origin."""


SALES_COLUMNS = ("sale_date", "series_id", "units", "in_stock")
"""Columns of ``features`` that say what sold, and on which days that tells of demand."""

FEATURE_COLUMNS = (*SALES_COLUMNS, *FROM_FEATURES)
"""Columns of ``features`` that a panel is made of: half of the table."""

ROWS_AT_ONCE = 4_000_000
"""Rows of ``features`` that are read at once, 30,490 series of 131 days: a frame of 250 MB."""

PRICE_COLUMNS = ("sale_date", "series_id", "avg_price")
"""Columns of ``daily_sales`` that planned prices are compared with."""

PANEL_ORIGINS = (
    *columns_of("features", *FEATURE_COLUMNS),
    *columns_of("items", "valid_from", "sku", "location", "category"),
    *columns_of("locations", "valid_from", "location", "country"),
    *columns_of("plan"),
    *columns_of("covariates"),
)


class Panels:
    """The panels of the origins ``first`` .. ``last``, made by ``read_panels``."""

    def __init__(self, history: PanelHistory, covariates: Covariates, items: pd.DataFrame, *, window: int) -> None:
        self._history = history
        self._covariates = covariates
        self._items = items
        self._window = window

    def at(self, origin: date) -> Panel:
        """What one origin sees, its covariates with it: the same bits whatever the range. Not kept."""
        bare = self._history.panel_at(origin, window=self._window, items=self._items)
        return self._covariates.complete(bare)


def panel_deps(scope: TenantScope) -> list[dg.AssetDep]:
    """What a panel is made of beside ``features``, as dependencies of the asset that reads it."""
    fed = [name for name in DATED_FACTS if name not in scope.unfed_facts()]
    deps = [dg.AssetDep(scope.key(name), partition_mapping=DayWindow(0, 0)) for name in fed]
    if "plan" in fed:
        prices = DayWindow(1 - scope.tenant.training_window - PRICE_DAYS, 0)
        deps.append(dg.AssetDep(scope.key("daily_sales"), partition_mapping=prices))
    return deps


def panel_origins(scope: TenantScope) -> tuple[str, ...]:
    """What a panel is made of, column by column: a fitted number may come from any of them."""
    prices = () if "plan" in scope.unfed_facts() else columns_of("daily_sales", *PRICE_COLUMNS)
    return (*PANEL_ORIGINS, *prices)


def read_panels(
    context: dg.AssetExecutionContext,
    scope: TenantScope,
    first: date,
    last: date,
    *,
    wanted_by: str = "a panel",
) -> Panels:
    """Read what the origins ``first`` .. ``last`` may see.

    What was read is remembered with the step, and verified when it commits.

    Args:
        wanted_by: the asset that needs them, for the message where days are missing.

    Raises:
        WindowIncomplete: a day of the window is not materialized.
    """
    tenant = scope.tenant
    seen = first - timedelta(days=tenant.training_window - 1), last + timedelta(days=tenant.horizon)
    reads = reads_of(context)
    with scope.warehouse.reading() as session:
        features = _features(session, reads, scope, seen[0], last, wanted_by)
        series = session.frame(sa.select(tables.series))
        days, origins = (seen[0], last), (first, last)
        history = PanelHistory.from_parts(features, series, days=days, origins=origins, covariates=FROM_FEATURES)
        items, locations = (
            session.frame(sa.select(table).where(table.c.valid_from <= last))
            for table in (tables.items, tables.locations)
        )
        plan, own = (
            session.frame(sa.select(table).where(table.c.known_from <= last, table.c.target_date.between(*seen)))
            for table in (tables.plan, tables.covariates)
        )
        for name in DATED_FACTS:
            reads.saw_rows(session, name, RECORDED, {"asset": name, "last": last})
        prices = _prices(session, reads, scope, plan, seen[0] - timedelta(days=PRICE_DAYS), last)
    facts = KnownFacts(
        calendar_on=lambda day: HolidayCalendar.known_on(day, locations, country=tenant.country),
        plan=plan,
        prices=prices,
        own=own,
        defaults=tenant.covariate_defaults,
    )
    covariates = Covariates(
        history, facts, origins=(first, last), window=tenant.training_window, horizon=tenant.horizon
    )
    return Panels(history, covariates, items, window=tenant.training_window)


def read_block(
    context: dg.AssetExecutionContext, scope: TenantScope, first: date, last: date, *, block: int, blocks: int
) -> PanelHistory:
    """The sales that the origins ``first`` .. ``last`` may see of the series of one block: what a local model reads.

    Raises:
        WindowIncomplete: a day of the window is not materialized.
    """
    seen = first - timedelta(days=scope.tenant.training_window - 1)
    with scope.warehouse.reading() as session:
        features = _features(
            session,
            reads_of(context),
            scope,
            seen,
            last,
            "forecasts",
            columns=SALES_COLUMNS,
            of=block_of(tables.features.c.series_id, blocks) == block,
        )
        series = session.frame(sa.select(tables.series).where(block_of(tables.series.c.series_id, blocks) == block))
        return PanelHistory.from_parts(features, series, days=(seen, last), origins=(first, last))


def _features(
    session: Session,
    reads: Reads,
    scope: TenantScope,
    first: date,
    last: date,
    wanted_by: str,
    *,
    columns: Sequence[str] = FEATURE_COLUMNS,
    of: sa.ColumnElement[bool] | None = None,
) -> Iterator[pd.DataFrame]:
    """The rows of ``features``, so many days at once as have ``ROWS_AT_ONCE``."""
    days = days_between(first, last)
    states = materialized(session, "features", days, start=scope.tenant.start, wanted_by=wanted_by)
    reads.saw_partitions("features", days, states)
    held = tables.features.c
    query = sa.select(*(held[name] for name in columns))
    for begin, end in stretches({day: states[day].rows for day in days if day in states}, at_once=ROWS_AT_ONCE):
        part = query.where(held.sale_date.between(begin, end))
        yield session.frame(part if of is None else part.where(of))


def _prices(
    session: Session, reads: Reads, scope: TenantScope, plan: pd.DataFrame, first: date, last: date
) -> pd.DataFrame:
    """Prices of days that planned ones are compared with: those of the SKUs with a planned price, if there are any."""
    sales, planned = tables.daily_sales.c, tables.plan.c
    query = sa.select(*(sales[name] for name in PRICE_COLUMNS))
    if not plan["price"].notna().any():
        return session.frame(query.where(sa.false()))
    days = days_between(first, last)
    states = materialized(session, "daily_sales", days, start=scope.tenant.start, wanted_by="a planned price")
    reads.saw_partitions("daily_sales", days, states)
    priced = sa.and_(planned.known_from <= last, planned.price.is_not(None))
    everything = sa.select(planned.sku).where(priced, planned.sku == EVERYTHING).exists()
    return session.frame(
        query.where(
            sales.sale_date.between(first, last),
            sales.avg_price.is_not(None),
            sa.or_(sales.sku.in_(sa.select(planned.sku).where(priced)), everything),
        )
    )
