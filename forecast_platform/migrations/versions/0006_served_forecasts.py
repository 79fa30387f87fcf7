# ruff: noqa: E501
"""The newest publication of each series as the API answers with it, and the role that reads it (``tenants``)."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "served_forecasts",
        sa.Column("sku", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("location", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("origin_date", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("version_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("calibration_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("explained_by", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("sku", "location"),
        comment="The newest publication of each series as the API answers with it: `body` is JSON, ready but for its age. `explained_by` is the ledger batch of its explanation, 0 where it has none.",
    )
