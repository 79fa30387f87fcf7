"""``features[D]``: what a model may know of each series on day D."""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import date
from itertools import groupby

import dagster as dg
import pandas as pd
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.assets.catalog import table_metadata
from forecast_platform.assets.lineage import columns_of
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.days import days_between
from forecast_platform.features import LOOK_BACK_DAYS, HolidayCalendar, build_features
from forecast_platform.features.build import READ_FROM, REQUIRED
from forecast_platform.io_managers.reads import RECORDED, reads_of
from forecast_platform.partitions import DayWindow

MADE_FROM = {name: columns_of("daily_sales", *read) for name, read in READ_FROM.items()}
MADE_FROM["is_holiday"] += columns_of("locations", "valid_from", "location", "country")


def build_features_asset(scope: TenantScope) -> dg.AssetsDefinition:
    fed = "locations" not in scope.unfed_facts()
    countries = [dg.AssetDep(scope.key("locations"), partition_mapping=DayWindow(0, 0))] if fed else []

    @dg.asset(
        key=scope.key("features"),
        ins={"daily_sales": scope.window("daily_sales", -LOOK_BACK_DAYS, columns=REQUIRED)},
        deps=countries,
        io_manager_key=scope.replace_key,
        metadata=table_metadata(scope, "features", MADE_FROM),
        code_version="1",
        group_name=scope.name,
        kinds={"pandas", scope.settings.backend},
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def features(context: dg.AssetExecutionContext, daily_sales: pd.DataFrame) -> pd.DataFrame:
        """Lags, rolling means, calendar, promotion and price of every series and day: past data only, no nulls."""
        first, last = day_range(context)
        with scope.warehouse.reading() as session:
            locations = session.frame(sa.select(tables.locations).where(tables.locations.c.valid_from <= last))
            reads_of(context).saw_rows(session, "locations", RECORDED, {"asset": "locations", "last": last})
        parts = [
            build_features(daily_sales, first=begin, last=end, holidays=calendar)
            for begin, end, calendar in _calendars(locations, scope.tenant.country, first, last)
        ]
        return pd.concat(parts, ignore_index=True)

    return features


def _calendars(
    locations: pd.DataFrame, country: str | None, first: date, last: date
) -> Iterator[tuple[date, date, HolidayCalendar]]:
    """Runs of days with the holidays that held on them: a location may get its country on a day within the range."""
    changes = sorted({first, *(day.date() for day in locations["valid_from"] if first < day.date() <= last)})
    calendars = [HolidayCalendar.known_on(day, locations, country=country) for day in changes]

    def known(day: date) -> HolidayCalendar:
        return calendars[bisect_right(changes, day) - 1]

    for calendar, days in groupby(days_between(first, last), key=known):
        run = list(days)
        yield run[0], run[-1], calendar
