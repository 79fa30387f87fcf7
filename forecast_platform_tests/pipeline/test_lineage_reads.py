"""What assets written in Python say their columns are made from is what they read: seen in the SQL of a real run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time

import pytest
from dagster._core.test_utils import freeze_time
from sqlglot import exp, parse_one
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from forecast_platform import tables
from forecast_platform.io_managers.duckdb_dialect import DuckDBSession
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

pytestmark = pytest.mark.slow

LAST = 9
NO_ASSETS = {
    *("partition_log", "series", "forecast_versions", "forecast_runs", "ledger_batches", "landed_batches"),
    *("model_pins", "published_latest", "served_forecasts", "artifact_choices", "pruned_days"),
    *("accuracy_sums", "plan_inputs", "plan_paths"),
}
"""Tables that are no assets: logs, ids, a tenant's choices."""

WAYS_TO_ROWS = {
    *("sale_date", "target_date", "origin_date", "as_of", "valid_from", "known_from", "batch_id"),
    *("series_id", "version_id", "calibration_id", "horizon", "sku", "location"),
}
"""Columns by which rows are found, joined and told apart; what is made may be made without their values."""

NOT_IN_THE_VALUES = {
    # A query without rows, as nothing here plans prices.
    "forecasts": {("daily_sales", "avg_price")},
    # Only the order in which sums are added.
    "champions": {("error_sums", "horizon_bucket")},
    # What the UI is told of a day, and whether what is published is finite and in order.
    "publications": {
        *(("champions", "days_held"), ("forecasts", "mean")),
        *(("forecast_intervals", name) for name in ("q025", "q10", "q50", "q90", "q975")),
    },
    # An errors' filter.
    "weekly_forecasts": {("forecast_errors", "in_stock")},
    # Model cards, which are metadata.
    "forecast_explanations": {
        ("daily_sales", "avg_price"),
        *(("forecast_intervals", name) for name in ("q025", "q10", "q90", "q975")),
        *(("error_sums", name) for name in ("model", "n", "n_scaled")),
        *(("error_sums", f"sum_{name}") for name in ("error", "abs_error", "actual", "scaled_sq")),
    },
}
"""Columns that are read, and on purpose not told: none of the asset's values comes from them."""

SCHEMA = {name: dict.fromkeys(table.columns.keys(), "text") for name, table in tables.metadata.tables.items()}
# Tables of dbt's that `tables` does not declare.
DBT = {"forecast_errors": "target_date version_id series_id origin_date horizon forecast actual error in_stock"}
DBT["error_sums"] = (
    "target_date series_id model horizon_bucket n sum_error sum_abs_error sum_sq_error sum_actual n_positive"
    " sum_ape_positive n_scaled sum_scaled_abs sum_scaled_sq n_out_of_stock"
)
SCHEMA |= {name: dict.fromkeys(columns.split(), "text") for name, columns in DBT.items()}


def columns_read(sql: str) -> set[tuple[str, str]]:
    """The columns of tables that a query names."""
    try:
        query = parse_one(sql, dialect="duckdb")
    except Exception:
        return set()  # no query: a statement about the session
    if not isinstance(query, exp.Query):
        return set()
    query = qualify(query, schema=SCHEMA, dialect="duckdb", validate_qualify_columns=False)
    found = set()
    for scope in traverse_scope(query):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table):
                found.add((source.name, column.name))
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("lineage")
    shop = Shop(folder, f"duckdb:///{folder / 'warehouse'}", name="reads")
    shop.put("sales.csv", sales_lines(day(0), day(LAST)))
    return shop


@pytest.fixture(scope="module")
def reads(shop: Shop) -> Mapping[str, set[tuple[str, str]]]:
    """By asset, the columns that one run over all days reads in its step: of other assets' tables."""
    seen: dict[str, set[str]] = {}

    def noting(run):
        def noted(self: DuckDBSession, query, parameters=None):
            # Steps run one after the other, and the shop is told when each begins.
            if shop.told:
                seen.setdefault(shop.told[-1].step.partition("__")[2], set()).add(str(query))
            return run(self, query, parameters)

        return noted

    with pytest.MonkeyPatch.context() as patch, freeze_time(datetime.combine(day(LAST + 1), time(12), tzinfo=UTC)):
        for name in ("execute", "arrow", "stream"):
            patch.setattr(DuckDBSession, name, noting(getattr(DuckDBSession, name)))
        shop.run_chain(day(0), day(LAST))
    return {
        asset: {each for each in set().union(*map(columns_read, queries)) if each[0] not in NO_ASSETS | {asset}}
        for asset, queries in seen.items()
    }


@pytest.mark.parametrize(
    "asset",
    [
        *("forecasts", "forecast_intervals", "champions", "publications", "weekly_forecasts"),
        *("hierarchy_forecasts", "forecast_explanations"),
    ],
)
def test_columns_are_said_to_be_made_from_what_the_asset_reads(shop: Shop, reads: Mapping, asset: str):
    lineage = shop.definitions.resolve_asset_graph().get(shop.scope.key(asset)).metadata["dagster/column_lineage"]
    told = {(dep.asset_key.path[1], dep.column_name) for deps in lineage.deps_by_column.values() for dep in deps}
    unread = told - reads[asset]
    assert not unread, f"{asset} is said to be made from {unread}, which it does not read"
    unfed = shop.scope.unfed_facts()
    untold = {each for each in reads[asset] - told if each[1] not in WAYS_TO_ROWS and each[0] not in unfed}
    assert untold == NOT_IN_THE_VALUES.get(asset, set())
