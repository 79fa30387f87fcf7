# ruff: noqa: E501
"""The first tables, the triggers that keep ledgers append-only, and PostgreSQL's indexes by day."""

import sqlalchemy as sa
from alembic import op

from forecast_platform.migrations.protection import protect

revision = "0001"
down_revision = None

APPEND_ONLY = ("forecast_versions", "forecasts", "landed_batches", "series")
REPLACED_BY_DAY = {
    "features": "sale_date",
    "inventory_levels": "snapshot_date",
    "items": "valid_from",
    "locations": "valid_from",
    "plan": "known_from",
    "raw_sales": "sale_date",
    "sales_rejects": "sale_date",
    "suppliers": "valid_from",
}


def upgrade() -> None:
    create_tables()
    protect(*APPEND_ONLY)
    if op.get_bind().dialect.name == "postgresql":
        create_postgres_indexes()


def create_postgres_indexes() -> None:
    """Days are deleted and read by their column. DuckDB keeps the least and greatest value of each block by itself.

    The ledger grows by origin and version, so that a block range index, some kilobytes, finds an origin's rows.
    """
    for table, day in REPLACED_BY_DAY.items():
        op.create_index(f"ix_{table}_{day}", table, [day])
    op.create_index("ix_forecast_versions_origin_date", "forecast_versions", ["origin_date"])
    op.create_index(
        "ix_forecasts_origin_date",
        "forecasts",
        ["origin_date", "version_id"],
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32},
    )


def create_tables() -> None:
    op.create_table(
        "features",
        sa.Column("sale_date", sa.Date(), nullable=False),
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("units", sa.Double(), nullable=False),
        sa.Column("lag_1", sa.Double(), nullable=False),
        sa.Column("lag_7", sa.Double(), nullable=False),
        sa.Column("lag_14", sa.Double(), nullable=False),
        sa.Column("lag_28", sa.Double(), nullable=False),
        sa.Column("rolling_mean_7", sa.Double(), nullable=False),
        sa.Column("rolling_mean_28", sa.Double(), nullable=False),
        sa.Column("trend_index", sa.Double(), nullable=False),
        sa.Column("day_of_week", sa.SmallInteger(), nullable=False),
        sa.Column("is_weekend", sa.Boolean(), nullable=False),
        sa.Column("month", sa.SmallInteger(), nullable=False),
        sa.Column("is_holiday", sa.Boolean(), nullable=False),
        sa.Column("on_promotion", sa.Boolean(), nullable=False),
        sa.Column("price_ratio", sa.Double(), nullable=False),
        sa.Column("in_stock", sa.Boolean(), nullable=False),
        comment="What a model may know of a series and day: past data only, no nulls.",
    )
    op.create_table(
        "forecast_runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("origin_date", sa.Date(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=True),
        sa.Column("appended", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("fallbacks", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "origin_date", "model", "started_at"),
        comment="The log of asking: failures and repeats too.",
    )
    op.create_table(
        "forecast_versions",
        sa.Column("version_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("origin_date", sa.Date(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_spec", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("horizon", sa.SmallInteger(), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("series", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("version_id"),
        sa.UniqueConstraint("digest"),
        comment="What made one model's forecasts of one origin. `inputs` is a JSON summary of what was read; `series` counts the series this version appended; `live` says it was made before its first target day closed.",
    )
    op.create_table(
        "forecasts",
        sa.Column("origin_date", sa.Date(), nullable=False),
        sa.Column("version_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("horizon", sa.SmallInteger(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "mean > CAST('-Infinity' AS DOUBLE PRECISION) AND mean < CAST('Infinity' AS DOUBLE PRECISION)"
        ),
        comment="Every prediction ever made. Rows are appended and never changed.",
    )
    op.create_table(
        "inventory_levels",
        sa.Column("snapshot_date", sa.Date(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("on_hand", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("on_order", sa.Numeric(precision=18, scale=4), nullable=True),
        comment="Stock at the end of a day.",
    )
    op.create_table(
        "items",
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("supplier", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=True),
        sa.Column("unit_cost", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("lead_time_days", sa.Double(), nullable=True),
        sa.Column("lead_time_std_days", sa.Double(), nullable=True),
        sa.Column("review_period_days", sa.Double(), nullable=True),
        sa.Column("moq", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("order_multiple", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("order_cost", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("holding_rate", sa.Double(), nullable=True),
        sa.Column("service_level", sa.Double(), nullable=True),
        comment="Master data of an item from a day on; location `all` where it holds everywhere.",
    )
    op.create_table(
        "landed_batches",
        sa.Column("batch_digest", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("reading", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("days", sa.Text(), nullable=False),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("asset", "batch_digest"),
        comment="What has arrived, as it came. `days` is a JSON list of the days the batch touches; `reading` the digest of the settings those days were read with; `refused` why nothing in it could be read; `ordinal` the order of arrival in this tenant.",
    )
    op.create_table(
        "locations",
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        comment="Master data of a location from a day on.",
    )
    op.create_table(
        "partition_log",
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("asset", "day"),
        comment="Which partition holds what, written in the transaction of the data itself.",
    )
    op.create_table(
        "plan",
        sa.Column("known_from", sa.Date(), nullable=False),
        sa.Column("target_date", sa.Date(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("on_promotion", sa.Boolean(), nullable=True),
        sa.Column("price", sa.Numeric(precision=18, scale=6), nullable=True),
        comment="What is planned for a day to come, as known from a day on; the newest known row counts.",
    )
    op.create_table(
        "raw_sales",
        sa.Column("sale_date", sa.Date(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("sold_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("unit_price", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("on_promotion", sa.Boolean(), nullable=True),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        comment="Sales events by business day; returns are negative.",
    )
    op.create_table(
        "sales_rejects",
        sa.Column("sale_date", sa.Date(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("row_number", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        comment="Rows that are no sale, with the reason; `source` names the batch as <file name>@<first 12 of its digest>. `ignored` marks rows the settings leave out.",
    )
    op.create_table(
        "series",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("first_seen", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("series_id"),
        sa.UniqueConstraint("sku", "location"),
        comment="One row a series; its integer in this warehouse. Never compare ids between warehouses.",
    )
    op.create_table(
        "suppliers",
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("supplier", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("lead_time_days", sa.Double(), nullable=True),
        sa.Column("lead_time_std_days", sa.Double(), nullable=True),
        sa.Column("moq", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("order_cost", sa.Numeric(precision=18, scale=6), nullable=True),
        comment="Master data of a supplier from a day on: defaults under item values.",
    )
