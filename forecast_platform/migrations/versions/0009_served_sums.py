# ruff: noqa: E501
"""What the API adds up and reckons with: errors of a day over all series, and what the newest plan was made from."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "accuracy_sums",
        sa.Column("target_date", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("horizon_bucket", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sum_error", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("sum_abs_error", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("sum_sq_error", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("sum_actual", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("n_positive", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sum_ape_positive", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("n_out_of_stock", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("made_from", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("target_date", "model", "horizon_bucket"),
        comment="`error_sums` over all series, for serving; the model `published` is what was published, from `published_sums`. `made_from` names the content of both on that day.",
    )
    op.create_table(
        "plan_inputs",
        sa.Column("sku", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("location", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("as_of", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("demand_class", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("mean", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("scale", sa.Double(), nullable=True),
        sa.Column("whole", sa.Boolean(), autoincrement=False, nullable=False),
        sa.Column("deviation", sa.Double(), nullable=True),
        sa.Column("deliveries", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("later", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("made_from", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("sku", "location"),
        comment="What the newest inventory plan was made from beside its terms, for serving: expected units of the days ahead (`mean`, JSON), what is known of the errors, deliveries as JSON pairs of day ahead and units. `made_from` names the plan's content.",
    )
    op.create_table(
        "plan_paths",
        sa.Column("model", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("demand_class", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("as_of", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("paths", sa.Text(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("model", "demand_class"),
        comment="The pools of paths that the newest inventory plan rests on, by model and demand class, for serving.",
    )
