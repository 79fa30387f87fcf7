"""Every table written from Python, declared once.

The declarations are the source of the DDL in both warehouses, of the casts on write, of the types on
read and of the schema checks. Tables that dbt owns are declared here only where Python reads them
(``info["owner"] == "dbt"``); a test holds both declarations together. No SQL is executed here and no
connection is opened.

How a column's type looks in a DataFrame, on write and on read:

============================  =====================================================================
``Date``                      ``datetime64[ns]`` at midnight, without a zone
``DateTime(timezone=True)``   ``datetime64[us, UTC]``
``Text``                      ``pd.ArrowDtype(pa.string())``; null is ``pd.NA``, never ``"nan"``
``Numeric(p, s)``             ``pd.ArrowDtype(pa.decimal128(p, s))``: exact
``Boolean``                   ``bool``; ``pd.ArrowDtype(pa.bool_())`` where nullable
integers                      ``int64``/``int32``/``int16``; ``pd.ArrowDtype`` of the same where nullable
``Double``                    ``float64``; null is ``NaN`` where nullable. Infinite values are refused
============================  =====================================================================
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from forecast_platform.inventory.lead_times import STAGES

QUANTITY = Numeric(18, 4)
PRICE = Numeric(18, 6)
REVENUE = Numeric(38, 10)
"""Scale of quantity times scale of price: a product, and so a sum of products, is exact."""
TIMESTAMP = DateTime(timezone=True)

metadata = MetaData()

Writing = Literal["replace", "append", "log", "upsert"]


def _table(
    name: str,
    *columns: Column,
    key: tuple[str, ...],
    write: Writing = "replace",
    partition: str | None = None,
    owner: Literal["python", "dbt"] = "python",
    enforce_key: bool = True,
    unique: tuple[tuple[str, ...], ...] = (),
    checks: tuple[str, ...] = (),
    by_month: bool = False,
    order: tuple[str, ...] = (),
    description: str,
) -> Table:
    """Declare a table. ``enforce_key=False`` leaves the key to the IO manager's check (see ``forecasts``).

    ``order``: columns of the key by which rows are kept, and which no two share, where that is not the key itself.

    ``by_month``: PostgreSQL keeps the months of the partition column apart, and old months may move to the archive.

    ``checks`` are conditions that each row meets, in SQL that both databases read alike (NaN is greater than infinity
    in both).
    """
    return Table(
        name,
        metadata,
        *columns,
        *([PrimaryKeyConstraint(*key)] if enforce_key else []),
        *(UniqueConstraint(*names) for names in unique),
        *(CheckConstraint(condition) for condition in checks),
        info={
            **{"key": key, "order": order or key, "write": write, "partition": partition, "owner": owner},
            "by_month": by_month,
        },
        comment=description,
    )


def _required(name: str, kind) -> Column:
    """A column that is never null. Ids are given by the IO managers: no database counts them up."""
    return Column(name, kind, nullable=False, autoincrement=False)


partition_log = _table(
    "partition_log",
    _required("asset", Text),
    _required("day", Date),
    _required("rows", BigInteger),
    _required("digest", Text),
    _required("run_id", Text),
    _required("written_at", TIMESTAMP),
    key=("asset", "day"),
    write="log",
    description="Which partition holds what, written in the transaction of the data itself.",
)

pruned_days = _table(
    "pruned_days",
    _required("asset", Text),
    _required("day", Date),
    _required("rows", BigInteger),
    _required("pruned_at", TIMESTAMP),
    key=("asset", "day"),
    write="log",
    description="Partitions whose rows were taken away for their age, as the tenant's settings say; not on record.",
)

landed_batches = _table(
    "landed_batches",
    _required("batch_digest", Text),
    _required("asset", Text),
    _required("source", Text),
    _required("name", Text),
    _required("reading", Text),
    _required("rows", BigInteger),
    _required("days", Text),
    Column("refused", Text),
    _required("received_at", TIMESTAMP),
    _required("ordinal", BigInteger),
    key=("asset", "batch_digest"),
    write="append",
    description=(
        "What has arrived, as it came. `days` is a JSON list of the days the batch touches; `reading` the digest of"
        " the settings those days were read with; `refused` why nothing in it could be read; `ordinal` the order of"
        " arrival in this tenant."
    ),
)

series = _table(
    "series",
    _required("series_id", Integer),
    _required("sku", Text),
    _required("location", Text),
    _required("first_seen", Date),
    key=("series_id",),
    write="append",
    unique=(("sku", "location"),),
    description="One row a series; its integer in this warehouse. Never compare ids between warehouses.",
)

raw_sales = _table(
    "raw_sales",
    _required("sale_date", Date),
    _required("event_id", Text),
    Column("sold_at", TIMESTAMP),
    _required("sku", Text),
    _required("location", Text),
    _required("quantity", QUANTITY),
    Column("unit_price", PRICE),
    Column("on_promotion", Boolean),
    Column("order_id", Text),
    _required("source", Text),
    key=("sale_date", "event_id"),
    partition="sale_date",
    enforce_key=False,
    description="Sales events by business day; returns are negative.",
)

sales_rejects = _table(
    "sales_rejects",
    _required("sale_date", Date),
    _required("source", Text),
    _required("row_number", BigInteger),
    _required("reason", Text),
    _required("payload", Text),
    key=("sale_date", "source", "row_number"),
    partition="sale_date",
    enforce_key=False,
    description=(
        "Rows that are no sale, with the reason; `source` names the batch as <file name>@<first 12 of its digest>."
        " `ignored` marks rows the settings leave out."
    ),
)

daily_sales = _table(
    "daily_sales",
    _required("sale_date", Date),
    _required("sku", Text),
    _required("location", Text),
    _required("series_id", Integer),
    _required("units", QUANTITY),
    _required("units_sold", QUANTITY),
    _required("units_returned", QUANTITY),
    _required("revenue", REVENUE),
    _required("orders", Integer),
    Column("avg_price", Double),
    _required("on_promotion", Boolean),
    _required("in_stock", Boolean),
    key=("sale_date", "sku", "location"),
    partition="sale_date",
    owner="dbt",
    description="One row per active series and day, zeros included.",
)

series_scales = _table(
    "series_scales",
    _required("as_of", Date),
    _required("series_id", Integer),
    Column("scale_abs", Double),
    Column("scale_sq", Double),
    key=("as_of", "series_id"),
    partition="as_of",
    owner="dbt",
    description="Mean absolute and mean squared one-day difference over the training window.",
)

features = _table(
    "features",
    _required("sale_date", Date),
    _required("series_id", Integer),
    _required("units", Double),
    *(_required(name, Double) for name in ("lag_1", "lag_7", "lag_14", "lag_28")),
    *(_required(name, Double) for name in ("rolling_mean_7", "rolling_mean_28", "trend_index")),
    _required("day_of_week", SmallInteger),
    _required("is_weekend", Boolean),
    _required("month", SmallInteger),
    _required("is_holiday", Boolean),
    _required("on_promotion", Boolean),
    _required("price_ratio", Double),
    _required("in_stock", Boolean),
    key=("sale_date", "series_id"),
    partition="sale_date",
    enforce_key=False,
    description="What a model may know of a series and day: past data only, no nulls.",
)

forecast_versions = _table(
    "forecast_versions",
    _required("version_id", Integer),
    _required("digest", Text),
    _required("origin_date", Date),
    _required("model", Text),
    _required("model_spec", Text),
    _required("code_version", Text),
    _required("horizon", SmallInteger),
    _required("inputs", Text),
    _required("series", Integer),
    _required("live", Boolean),
    Column("horizons", SmallInteger),
    key=("version_id",),
    write="append",
    unique=(("digest",),),
    description=(
        "What made one model's forecasts of one origin. `inputs` is a JSON summary of what was read; `series` counts"
        " the series this version appended; `live` says it was made before its first target day closed; `horizons`"
        " counts those kept of each series, and is null where all are."
    ),
)

LEDGER_ORDER = ("version_id", "horizon", "series_id")
"""A day that is scored asks each origin for one horizon, and reads that part of a version."""

forecasts = _table(
    "forecasts",
    _required("origin_date", Date),
    _required("version_id", Integer),
    _required("series_id", Integer),
    _required("horizon", SmallInteger),
    _required("mean", Double),
    _required("status", Text),
    key=("origin_date", "version_id", "series_id", "horizon"),
    order=LEDGER_ORDER,
    write="append",
    partition="origin_date",
    # A row-level key costs DuckDB four times the time and space; versions are unique and written whole.
    enforce_key=False,
    by_month=True,
    checks=("mean > CAST('-Infinity' AS DOUBLE PRECISION) AND mean < CAST('Infinity' AS DOUBLE PRECISION)",),
    description="Every prediction ever made. Rows are appended and never changed.",
)

forecast_runs = _table(
    "forecast_runs",
    _required("run_id", Text),
    _required("origin_date", Date),
    _required("model", Text),
    Column("version_id", Integer),
    _required("appended", Integer),
    _required("fallbacks", Integer),
    _required("requested_by", Text),
    Column("reason", Text),
    _required("outcome", Text),
    _required("started_at", TIMESTAMP),
    Column("ended_at", TIMESTAMP),
    key=("run_id", "origin_date", "model", "started_at"),
    write="log",
    description="The log of asking: failures and repeats too.",
)

QUANTILES = ("q025", "q10", "q50", "q90", "q975")

demand_classes = _table(
    "demand_classes",
    _required("as_of", Date),
    _required("series_id", Integer),
    _required("demand_class", Text),
    Column("adi", Double),
    Column("cv2", Double),
    _required("abc", Text),
    _required("xyz", Text),
    key=("as_of", "series_id"),
    partition="as_of",
    enforce_key=False,
    description=(
        "What kind of demand a series has: smooth, erratic, intermittent, lumpy, new or inactive, by mean interval"
        " between sales (adi) and squared variation of their sizes (cv2); A, B, C by revenue, X, Y, Z by steadiness."
    ),
)

ledger_batches = _table(
    "ledger_batches",
    _required("batch_id", Integer),
    _required("digest", Text),
    _required("asset", Text),
    _required("origin_date", Date),
    _required("part", Text),
    _required("code_version", Text),
    _required("inputs", Text),
    _required("rows", BigInteger),
    key=("batch_id",),
    write="append",
    unique=(("digest",),),
    description=(
        "What made the rows that an append-only asset holds of an origin (not `forecasts`); `part`: the model, if any;"
        " `inputs` a JSON summary of what was read; `rows` counts what was appended."
    ),
)

forecast_intervals = _table(
    "forecast_intervals",
    _required("origin_date", Date),
    _required("version_id", Integer),
    _required("series_id", Integer),
    _required("horizon", SmallInteger),
    _required("calibration_id", Integer),
    *(_required(name, Double) for name in QUANTILES),
    key=("origin_date", "version_id", "series_id", "horizon", "calibration_id"),
    order=LEDGER_ORDER,
    write="append",
    partition="origin_date",
    enforce_key=False,
    by_month=True,
    checks=("q025 >= 0 AND q025 <= q10 AND q10 <= q50 AND q50 <= q90 AND q90 <= q975",),
    description="Quantiles of demand around each forecast; `calibration_id` is the ledger batch that calibrated them.",
)

champions = _table(
    "champions",
    _required("as_of", Date),
    _required("series_id", Integer),
    _required("model", Text),
    _required("incumbent", Text),
    _required("reason", Text),
    _required("segment", Text),
    _required("days_held", SmallInteger),
    _required("n", Integer),
    Column("rmsse", Double),
    Column("incumbent_rmsse", Double),
    Column("floor_rmsse", Double),
    Column("bias", Double),
    _required("confidence", Double),
    key=("as_of", "series_id"),
    partition="as_of",
    enforce_key=False,
    description=(
        "The model to publish for a series as of a day, the one before it, why, and the figures that decided: rolling"
        " RMSSE of the model, of incumbent and seasonal_naive_7, bias, and skill over seasonal_naive_7 in [0, 1]."
    ),
)

model_pins = _table(
    "model_pins",
    _required("pin_id", Integer),
    _required("valid_from", Date),
    _required("sku", Text),
    _required("location", Text),
    Column("model", Text),
    Column("reason", Text),
    _required("set_by", Text),
    _required("set_at", TIMESTAMP),
    key=("pin_id",),
    write="append",
    description=(
        "A tenant's own choice of a model, from a day on; `all` for every SKU or location, a null model lets go again."
        " The newest pin of the most particular scope counts."
    ),
)

publications = _table(
    "publications",
    _required("origin_date", Date),
    _required("series_id", Integer),
    _required("version_id", Integer),
    _required("calibration_id", Integer),
    _required("batch_id", Integer),
    _required("confidence", Double),
    _required("published_at", TIMESTAMP),
    key=("origin_date", "series_id", "version_id", "calibration_id", "batch_id"),
    write="append",
    partition="origin_date",
    enforce_key=False,
    checks=("confidence >= 0 AND confidence <= 1",),
    description="What was published for a series from an origin, and when; the newest batch counts.",
)

published_latest = _table(
    "published_latest",
    _required("series_id", Integer),
    _required("origin_date", Date),
    _required("version_id", Integer),
    _required("calibration_id", Integer),
    _required("confidence", Double),
    _required("published_at", TIMESTAMP),
    key=("series_id",),
    write="upsert",
    description="The newest publication of each series, for serving.",
)

served_forecasts = _table(
    "served_forecasts",
    _required("sku", Text),
    _required("location", Text),
    _required("series_id", Integer),
    _required("origin_date", Date),
    _required("version_id", Integer),
    _required("calibration_id", Integer),
    _required("explained_by", Integer),
    _required("published_at", TIMESTAMP),
    _required("body", Text),
    key=("sku", "location"),
    write="upsert",
    description=(
        "The newest publication of each series as the API answers with it: `body` is JSON, ready but for its age."
        " `explained_by` is the ledger batch of its explanation, 0 where it has none."
    ),
)

accuracy_sums = _table(
    "accuracy_sums",
    _required("target_date", Date),
    _required("model", Text),
    _required("horizon_bucket", Text),
    _required("n", BigInteger),
    *(_required(name, Double) for name in ("sum_error", "sum_abs_error", "sum_sq_error", "sum_actual")),
    _required("n_positive", BigInteger),
    _required("sum_ape_positive", Double),
    _required("n_out_of_stock", BigInteger),
    _required("made_from", Text),
    key=("target_date", "model", "horizon_bucket"),
    write="upsert",
    description=(
        "`error_sums` over all series, for serving; the model `published` is what was published, from"
        " `published_sums`. `made_from` names the content of both on that day."
    ),
)

weekly_forecasts = _table(
    "weekly_forecasts",
    _required("origin_date", Date),
    _required("series_id", Integer),
    _required("week_ending", Date),
    _required("version_id", Integer),
    _required("batch_id", Integer),
    _required("mean", Double),
    *(_required(name, Double) for name in QUANTILES),
    key=("origin_date", "series_id", "week_ending", "batch_id"),
    write="append",
    partition="origin_date",
    enforce_key=False,
    checks=("q025 >= 0 AND q025 <= q10 AND q10 <= q50 AND q50 <= q90 AND q90 <= q975",),
    description="Published forecasts of whole weeks ending on Saturday: means summed, quantiles of summed paths.",
)

hierarchy_forecasts = _table(
    "hierarchy_forecasts",
    _required("origin_date", Date),
    _required("level", Text),
    _required("node", Text),
    _required("horizon", SmallInteger),
    _required("batch_id", Integer),
    _required("mean", Double),
    key=("origin_date", "level", "node", "horizon", "batch_id"),
    write="append",
    partition="origin_date",
    enforce_key=False,
    description=(
        "Published forecasts of locations, categories and the total that add up; `node` names one of its `level`, and"
        " the batch's inputs the method."
    ),
)

forecast_explanations = _table(
    "forecast_explanations",
    _required("origin_date", Date),
    _required("version_id", Integer),
    _required("series_id", Integer),
    _required("batch_id", Integer),
    _required("summary", Text),
    _required("contributions", Text),
    key=("origin_date", "version_id", "series_id", "batch_id"),
    write="append",
    partition="origin_date",
    enforce_key=False,
    by_month=True,
    description=(
        "Why a published forecast is what it is: a sentence, and JSON of what each part adds to the mean of each day."
    ),
)

ledger_moves = _table(
    "ledger_moves",
    _required("move_id", Integer),
    _required("asset", Text),
    _required("month", Date),
    _required("restored", Boolean),
    _required("location", Text),
    _required("rows", BigInteger),
    _required("digest", Text),
    _required("bytes", BigInteger),
    _required("moved_at", TIMESTAMP),
    key=("move_id",),
    write="append",
    description=(
        "Months of a ledger that moved to a Parquet file, or from it back (`restored`); the newest move of a location"
        " counts. `digest` is that of the rows' content, `month` its first day."
    ),
)

model_artifacts = _table(
    "model_artifacts",
    _required("digest", Text),
    _required("model", Text),
    _required("spec", Text),
    _required("code_version", Text),
    _required("trained_to", Date),
    _required("input_digest", Text),
    _required("libraries", Text),
    _required("location", Text),
    _required("bytes", BigInteger),
    key=("digest",),
    write="append",
    description="What a model learned on a refit day: where its bytes are, from which inputs and by which libraries.",
)

artifact_days = _table(
    "artifact_days",
    _required("as_of", Date),
    _required("model", Text),
    _required("digest", Text),
    _required("chosen", Boolean),
    key=("as_of", "model"),
    partition="as_of",
    description="The artefact that each model which refits uses on a day, and whether a tenant chose it.",
)

artifact_choices = _table(
    "artifact_choices",
    _required("choice_id", Integer),
    _required("valid_from", Date),
    _required("model", Text),
    Column("digest", Text),
    Column("reason", Text),
    _required("set_by", Text),
    _required("set_at", TIMESTAMP),
    key=("choice_id",),
    write="append",
    description="An artefact that a tenant keeps a model at, from a day on; a null digest lets go again.",
)

items = _table(
    "items",
    _required("valid_from", Date),
    _required("sku", Text),
    _required("location", Text),
    Column("name", Text),
    Column("category", Text),
    Column("supplier", Text),
    Column("active", Boolean),
    Column("unit_cost", PRICE),
    Column("lead_time_days", Double),
    Column("lead_time_std_days", Double),
    Column("review_period_days", Double),
    Column("moq", QUANTITY),
    Column("order_multiple", QUANTITY),
    Column("order_cost", PRICE),
    Column("holding_rate", Double),
    Column("service_level", Double),
    Column("policy", Text),
    Column("service_metric", Text),
    Column("underage_cost", PRICE),
    Column("least_cover_days", Double),
    Column("most_cover_days", Double),
    Column("stocked", Boolean),
    key=("valid_from", "sku", "location"),
    partition="valid_from",
    enforce_key=False,
    description="Master data of an item from a day on; location `all` where it holds everywhere.",
)

locations = _table(
    "locations",
    _required("valid_from", Date),
    _required("location", Text),
    Column("name", Text),
    Column("region", Text),
    Column("country", Text),
    key=("valid_from", "location"),
    partition="valid_from",
    enforce_key=False,
    description="Master data of a location from a day on.",
)

suppliers = _table(
    "suppliers",
    _required("valid_from", Date),
    _required("supplier", Text),
    Column("name", Text),
    Column("country", Text),
    Column("lead_time_days", Double),
    Column("lead_time_std_days", Double),
    Column("moq", QUANTITY),
    Column("order_cost", PRICE),
    Column("review_period_days", Double),
    *(Column(f"{stage}_{kind}", Double) for stage in STAGES for kind in ("days", "std_days")),
    key=("valid_from", "supplier"),
    partition="valid_from",
    enforce_key=False,
    description="Master data of a supplier from a day on: defaults under item values.",
)

plan = _table(
    "plan",
    _required("known_from", Date),
    _required("target_date", Date),
    _required("sku", Text),
    _required("location", Text),
    Column("on_promotion", Boolean),
    Column("price", PRICE),
    key=("known_from", "target_date", "sku", "location"),
    partition="known_from",
    enforce_key=False,
    description="What is planned for a day to come, as known from a day on; the newest known row counts.",
)

covariates = _table(
    "covariates",
    _required("known_from", Date),
    _required("target_date", Date),
    _required("name", Text),
    _required("sku", Text),
    _required("location", Text),
    _required("category", Text),
    _required("value", Double),
    key=("known_from", "target_date", "name", "sku", "location", "category"),
    partition="known_from",
    enforce_key=False,
    description=(
        "The tenant's own covariates (marketing, weather, ...) of past and coming days, known from a day on; `all` for"
        " every SKU, location or category. The newest known row counts, the most particular one first."
    ),
)

inventory_levels = _table(
    "inventory_levels",
    _required("snapshot_date", Date),
    _required("sku", Text),
    _required("location", Text),
    _required("on_hand", QUANTITY),
    Column("on_order", QUANTITY),
    key=("snapshot_date", "sku", "location"),
    partition="snapshot_date",
    enforce_key=False,
    description="Stock at the end of a day.",
)

open_orders = _table(
    "open_orders",
    _required("known_from", Date),
    _required("order_id", Text),
    _required("sku", Text),
    _required("location", Text),
    _required("quantity", QUANTITY),
    Column("supplier", Text),
    Column("ordered_on", Date),
    Column("expected_on", Date),
    Column("received_on", Date),
    key=("known_from", "order_id", "sku", "location"),
    partition="known_from",
    enforce_key=False,
    description=(
        "Lines of purchase orders as known from a day on; the newest known row of a line counts, one of quantity 0 is"
        " cancelled. A line that is delivered in parts is a line a part."
    ),
)

actual_overrides = _table(
    "actual_overrides",
    _required("sale_date", Date),
    _required("sku", Text),
    _required("location", Text),
    _required("entry", Text),
    Column("units", QUANTITY),
    _required("author", Text),
    _required("because", Text),
    key=("sale_date", "sku", "location", "entry"),
    partition="sale_date",
    enforce_key=False,
    description=(
        "Totals of a day that people have given for a series: they count instead of its events. The newest `entry` of a"
        " series and day holds; one without units withdraws those before it. Entries are added and never changed."
    ),
)

planner_overrides = _table(
    "planner_overrides",
    _required("entry", Text),
    _required("received_at", TIMESTAMP),
    _required("received_on", Date),
    _required("target_date", Date),
    _required("sku", Text),
    _required("location", Text),
    Column("units", QUANTITY),
    Column("withdraws", Text),
    _required("author", Text),
    _required("reason", Text),
    Column("expires_at", TIMESTAMP),
    Column("holds_through", Date),
    key=("entry",),
    write="append",
    checks=("(units IS NULL) <> (withdraws IS NULL)", "units >= 0"),
    description=(
        "What planners expect instead of the published forecast, which stays as it is. A row without units withdraws"
        " the entry that it names. `received_on` is the day that was open by then, `holds_through` the last day that"
        " begins before `expires_at`. Of a series and day the greatest entry holds that is neither withdrawn nor"
        " expired."
    ),
)

inventory_plan = _table(
    "inventory_plan",
    _required("as_of", Date),
    _required("sku", Text),
    _required("location", Text),
    _required("status", Text),
    _required("action", Text),
    _required("priority", SmallInteger),
    _required("reason", Text),
    _required("order_quantity", Double),
    _required("expected_on", Date),
    Column("supplier", Text),
    Column("category", Text),
    _required("stock_known", Text),
    Column("counted_on", Date),
    Column("on_hand", Double),
    _required("on_order", Double),
    Column("origin_date", Date),
    Column("model", Text),
    _required("method", Text),
    _required("demand_daily", Double),
    _required("demand_lead_time", Double),
    _required("demand_protection", Double),
    _required("demand_std", Double),
    _required("safety_stock", Double),
    _required("reorder_point", Double),
    _required("order_up_to", Double),
    Column("eoq", Double),
    Column("days_of_inventory", Double),
    _required("days_unsold", Double),
    Column("stockout_probability", Double),
    Column("stockout_on", Date),
    Column("inventory_value", Double),
    Column("order_value", Double),
    _required("lead_time_days", Double),
    _required("lead_time_std_days", Double),
    _required("review_period_days", Double),
    _required("policy", Text),
    _required("service_metric", Text),
    _required("service_level", Double),
    _required("moq", Double),
    _required("order_multiple", Double),
    Column("unit_cost", Double),
    Column("order_cost", Double),
    _required("holding_rate", Double),
    Column("underage_cost", Double),
    Column("least_cover_days", Double),
    Column("most_cover_days", Double),
    _required("stocked", Boolean),
    _required("defaults", Text),
    key=("as_of", "sku", "location"),
    partition="as_of",
    enforce_key=False,
    description=(
        "What to order at the end of a day, and why: demand until the next delivery but one, levels, what there is, and"
        " the terms it was planned by. `defaults` is JSON of the terms that are not the item's own: whose they are."
    ),
)

plan_inputs = _table(
    "plan_inputs",
    _required("sku", Text),
    _required("location", Text),
    _required("as_of", Date),
    _required("model", Text),
    _required("demand_class", Text),
    _required("mean", Text),
    Column("scale", Double),
    _required("whole", Boolean),
    Column("deviation", Double),
    _required("deliveries", Text),
    _required("later", Double),
    _required("made_from", Text),
    key=("sku", "location"),
    write="upsert",
    description=(
        "What the newest inventory plan was made from beside its terms, for serving: expected units of the days ahead"
        " (`mean`, JSON), what is known of the errors, deliveries as JSON pairs of day ahead and units. `made_from`"
        " names the plan's content."
    ),
)

plan_paths = _table(
    "plan_paths",
    _required("model", Text),
    _required("demand_class", Text),
    _required("as_of", Date),
    _required("paths", Text),
    key=("model", "demand_class"),
    write="upsert",
    description="The pools of paths that the newest inventory plan rests on, by model and demand class, for serving.",
)

inventory_simulation = _table(
    "inventory_simulation",
    _required("as_of", Date),
    _required("rule", Text),
    _required("policy", Text),
    _required("days", SmallInteger),
    _required("series", Integer),
    *(_required(name, Double) for name in ("demand", "met")),
    *(Column(name, Double) for name in ("fill_rate", "cycle_service")),
    Column("stockout_days", Double),
    *(_required(name, Double) for name in ("stock_units", "orders", "ordered", "censored_days")),
    *(Column(name, Double) for name in ("stock_value", "holding_cost", "ordering_cost")),
    key=("as_of", "rule", "policy"),
    partition="as_of",
    enforce_key=False,
    description=(
        "The days up to a day played again: by each evening's plan, by a simple rule and as it was; what each came to,"
        " for the items of a policy and `all`. `censored_days` counts days whose demand is only what was expected."
    ),
)

APPEND_ONLY: tuple[Table, ...] = tuple(t for t in metadata.sorted_tables if t.info["write"] == "append")
"""Tables that both databases protect against update, delete and truncate."""

BY_MONTH: tuple[Table, ...] = tuple(t for t in metadata.sorted_tables if t.info["by_month"])
"""Ledgers that PostgreSQL partitions by month, and whose old months may move to the archive."""

WRITTEN: tuple[Table, ...] = tuple(t for t in metadata.sorted_tables if t.info["owner"] == "python")
"""Tables that the migrations create."""
