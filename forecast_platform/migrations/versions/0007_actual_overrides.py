# ruff: noqa: E501
"""Totals of a day that people give for a series instead of its events."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "actual_overrides",
        sa.Column("sale_date", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("sku", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("location", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("entry", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("units", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("author", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("because", sa.Text(), autoincrement=False, nullable=False),
        comment="Totals of a day that people have given for a series: they count instead of its events. The newest `entry` of a series and day holds; one without units withdraws those before it. Entries are added and never changed.",
    )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_actual_overrides_sale_date", "actual_overrides", ["sale_date"])
