# ruff: noqa: E501
"""The large ledgers by month, the log of months that move to the archive and back, and of days pruned for their age."""

import sqlalchemy as sa
from alembic import op

from forecast_platform.migrations.months import keep_by_month
from forecast_platform.migrations.protection import protect

revision = "0003"
down_revision = "0002"

APPEND_ONLY = ("ledger_moves",)
BY_MONTH = {
    "forecast_explanations": ["origin_date", "batch_id"],
    "forecast_intervals": ["origin_date", "calibration_id"],
    "forecasts": ["origin_date", "version_id"],
}


def upgrade() -> None:
    create_tables()
    protect(*APPEND_ONLY)
    if op.get_bind().dialect.name == "postgresql":
        keep_by_month(BY_MONTH)


def create_tables() -> None:
    op.create_table(
        "ledger_moves",
        sa.Column("move_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("asset", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("month", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("restored", sa.Boolean(), autoincrement=False, nullable=False),
        sa.Column("location", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("bytes", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("move_id"),
        comment="Months of a ledger that moved to a Parquet file, or from it back (`restored`); the newest move of a location counts. `digest` is that of the rows' content, `month` its first day.",
        info={"key": ("move_id",), "write": "append", "partition": None, "owner": "python"},
    )
    op.create_table(
        "pruned_days",
        sa.Column("asset", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pruned_at", sa.DateTime(timezone=True), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("asset", "day"),
        comment="Partitions whose rows were taken away for their age, as the tenant's settings say; not on record.",
        info={"key": ("asset", "day"), "write": "log", "partition": None, "owner": "python"},
    )
