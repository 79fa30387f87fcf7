# ruff: noqa: E501
"""What planners expect instead of the published forecast."""

import sqlalchemy as sa
from alembic import op

from forecast_platform.migrations.protection import protect

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "planner_overrides",
        sa.Column("entry", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), autoincrement=False, nullable=False),
        sa.Column("received_on", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("target_date", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("sku", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("location", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("units", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("withdraws", sa.Text(), nullable=True),
        sa.Column("author", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("holds_through", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("entry"),
        sa.CheckConstraint("(units IS NULL) <> (withdraws IS NULL)"),
        sa.CheckConstraint("units >= 0"),
        comment="What planners expect instead of the published forecast, which stays as it is. A row without units withdraws the entry that it names. `received_on` is the day that was open by then, `holds_through` the last day that begins before `expires_at`. Of a series and day the greatest entry holds that is neither withdrawn nor expired.",
    )
    protect("planner_overrides")
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_planner_overrides_target_date", "planner_overrides", ["target_date"])
