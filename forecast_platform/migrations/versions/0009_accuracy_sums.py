# ruff: noqa: E501
"""The errors of a day over all series, by model and horizon bucket, as the API adds them up."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0006"


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
