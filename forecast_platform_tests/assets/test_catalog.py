"""What the UI shows of an asset: its columns, and each day's own figures."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from forecast_platform import tables
from forecast_platform.assets.catalog import origin_figures, queried_figures, table_metadata
from forecast_platform.assets.lineage import made_from
from forecast_platform.assets.scope import TenantScope
from forecast_platform.forecasting import ModelForecast, ModelSpec, model_specs
from forecast_platform.forecasting.guards import CAPPED, COLD_START, FALLBACK, MODEL
from forecast_platform.forecasting.panel import SeriesIndex
from forecast_platform.settings import Settings
from forecast_platform.tenant import Tenant

ORIGIN = date(2026, 3, 1)


@pytest.fixture
def scope(warehouse_url: str, tenant: str, warehouse, tmp_path) -> TenantScope:
    """A tenant over a fresh warehouse."""
    settings = Settings(home=str(tmp_path), warehouse=warehouse_url, landing=tmp_path.as_uri())
    given = {"start": "2026-01-01", "source": {"kind": "demo", "seed": 1, "opens": "2026-01-01"}}
    return TenantScope(tenant, Tenant.model_validate(given), settings)


def made(model: ModelSpec, status: list[list[int]] | None, *, error: str | None = None) -> ModelForecast:
    """What a model gave for two series and two days, by the status of each."""
    names = np.array(["a", "b"], dtype=object)
    return ModelForecast(
        origin=ORIGIN,
        model=model.name,
        spec=model.spec,
        code_version=model.code_version,
        series=SeriesIndex(series_id=np.array([1, 2]), sku=names, location=names, category=names),
        mean=None if status is None else np.ones((2, 2)),
        status=None if status is None else np.array(status, dtype=np.uint8),
        fallbacks=0 if status is None else int((np.array(status) != MODEL).any(axis=1).sum()),
        error=error,
        seconds=0.25,
    )


def shown_of(scope: TenantScope, name: str) -> dict:
    return table_metadata(scope, name, made_from(tables.metadata.tables[name].columns.keys(), "daily_sales.units"))


def test_columns_are_those_of_the_declaration_with_their_types_and_nulls(scope: TenantScope):
    shown = shown_of(scope, "raw_sales")
    columns = {column.name: column for column in shown["dagster/column_schema"].columns}
    assert list(columns) == [column.name for column in tables.raw_sales.columns]
    assert {name: columns[name].type for name in ("sale_date", "sold_at", "quantity", "sku", "on_promotion")} == {
        "sale_date": "date",
        "sold_at": "timestamp with time zone",
        "quantity": "numeric(18, 4)",
        "sku": "text",
        "on_promotion": "boolean",
    }
    assert [name for name, column in columns.items() if not column.constraints.nullable] == [
        column.name for column in tables.raw_sales.columns if not column.nullable
    ]
    features = shown_of(scope, "features")["dagster/column_schema"].columns
    assert {column.type for column in features if column.name.startswith("lag_")} == {"double precision"}


def test_what_a_column_is_made_from_stands_in_its_description_too(scope: TenantScope):
    shown = shown_of(scope, "raw_sales")
    described = {column.name: column.description for column in shown["dagster/column_schema"].columns}
    assert described["event_id"] == "Part of the key. From `daily_sales.units`."
    assert described["quantity"] == "From `daily_sales.units`."


def test_a_column_whose_origins_nobody_told_is_refused(scope: TenantScope):
    with pytest.raises(ValueError, match="unit_price"):
        table_metadata(scope, "raw_sales", made_from({*tables.raw_sales.columns.keys()} - {"unit_price"}))


def test_the_table_name_shown_is_one_that_sql_finds(scope: TenantScope):
    name = shown_of(scope, "forecasts")["dagster/table_name"]
    assert scope.warehouse.read(f"select count(*) as n from {name}")["n"].item() == 0


def test_figures_of_a_query_go_to_their_days_and_nothing_is_shown_for_null(scope: TenantScope):
    query = """
        select cast('2026-03-01' as date), 'wape', 0.123456 where :first <= :last
        union all select cast('2026-03-02' as date), 'wape', null
        union all select cast('2026-03-02' as date), 'units', 7
    """
    assert queried_figures(scope, query, ORIGIN, date(2026, 3, 2)) == {
        ORIGIN: {"wape": 0.1235},
        date(2026, 3, 2): {"units": 7.0},
    }


def test_an_origin_shows_what_became_of_each_model():
    naive, seasonal, average, linear = model_specs(None)[:4]
    forecasts = [
        made(naive, [[MODEL, MODEL], [MODEL, MODEL]]),
        made(seasonal, [[COLD_START, COLD_START], [FALLBACK, CAPPED]]),
        made(average, None, error="it | broke"),
    ]
    shown = origin_figures((naive, seasonal, average, linear), {each.model: each for each in forecasts}, series=2)
    assert {name: shown[name] for name in ("series", "models_computed", "fallbacks", "compute_seconds")} == {
        "series": 2,
        "models_computed": 2,
        "fallbacks": 2,
        "compute_seconds": 0.5,
    }
    assert shown["models"].value.splitlines() == [
        "| model | outcome | series | as modelled | fallback | cold_start | capped | seconds |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
        f"| `{naive.name}` | computed | 2 | 2 | 0 | 0 | 0 | 0.250 |",
        f"| `{seasonal.name}` | computed | 2 | 0 | 1 | 1 | 1 | 0.250 |",
        f"| `{average.name}` | failed: it \\| broke |  |  |  |  |  |  |",
        f"| `{linear.name}` | on record |  |  |  |  |  |  |",
    ]


def test_an_origin_that_is_on_record_tells_no_fallbacks():
    models = model_specs(None)
    shown = origin_figures(models, {}, series=2)
    assert shown["models_computed"] == 0 and not {"fallbacks", "compute_seconds"} & set(shown)
