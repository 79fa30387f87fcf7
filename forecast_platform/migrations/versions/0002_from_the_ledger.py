# ruff: noqa: E501
"""What is made from the ledger of forecasts: intervals, champions, publications, explanations, what models learned."""

import sqlalchemy as sa
from alembic import op

from forecast_platform.migrations.protection import protect

revision = "0002"
down_revision = "0001"

APPEND_ONLY = (
    "artifact_choices",
    "forecast_explanations",
    "forecast_intervals",
    "hierarchy_forecasts",
    "ledger_batches",
    "model_artifacts",
    "model_pins",
    "publications",
    "weekly_forecasts",
)
REPLACED_BY_DAY = {"champions": "as_of", "covariates": "known_from", "demand_classes": "as_of"}
BY_ORIGIN = {
    "forecast_explanations": ["origin_date", "batch_id"],
    "forecast_intervals": ["origin_date", "calibration_id"],
    "hierarchy_forecasts": ["origin_date", "batch_id"],
    "publications": ["origin_date", "batch_id"],
    "weekly_forecasts": ["origin_date", "batch_id"],
}


def upgrade() -> None:
    create_tables()
    protect(*APPEND_ONLY)
    if op.get_bind().dialect.name == "postgresql":
        create_postgres_indexes()


def create_postgres_indexes() -> None:
    """As for the first tables: by day where days are replaced, block ranges where rows are only appended."""
    for table, day in REPLACED_BY_DAY.items():
        op.create_index(f"ix_{table}_{day}", table, [day])
    op.create_index("ix_ledger_batches_origin_date", "ledger_batches", ["origin_date"])
    for table, columns in BY_ORIGIN.items():
        op.create_index(
            f"ix_{table}_origin_date",
            table,
            columns,
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 32},
        )


def create_tables() -> None:
    op.create_table(
        "covariates",
        sa.Column("known_from", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("target_date", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("sku", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("location", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("category", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Double(), autoincrement=False, nullable=False),
        comment="The tenant's own covariates (marketing, weather, ...) of past and coming days, known from a day on; `all` for every SKU, location or category. The newest known row counts, the most particular one first.",
        info={
            "key": ("known_from", "target_date", "name", "sku", "location", "category"),
            "write": "replace",
            "partition": "known_from",
            "owner": "python",
        },
    )
    op.create_table(
        "demand_classes",
        sa.Column("as_of", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("demand_class", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("adi", sa.Double(), nullable=True),
        sa.Column("cv2", sa.Double(), nullable=True),
        sa.Column("abc", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("xyz", sa.Text(), autoincrement=False, nullable=False),
        comment="What kind of demand a series has: smooth, erratic, intermittent, lumpy, new or inactive, by mean interval between sales (adi) and squared variation of their sizes (cv2); A, B, C by revenue, X, Y, Z by steadiness.",
        info={"key": ("as_of", "series_id"), "write": "replace", "partition": "as_of", "owner": "python"},
    )
    op.create_table(
        "ledger_batches",
        sa.Column("batch_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("asset", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("origin_date", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("part", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("code_version", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("inputs", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("batch_id"),
        sa.UniqueConstraint("digest"),
        comment="What made the rows that a ledger asset (`forecasts` apart) appended for an origin: `part` is the model, or empty; `inputs` a JSON summary of what was read; `rows` counts what was appended.",
        info={"key": ("batch_id",), "write": "append", "partition": None, "owner": "python"},
    )
    op.create_table(
        "forecast_intervals",
        sa.Column("origin_date", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("version_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("horizon", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("calibration_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("q025", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("q10", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("q50", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("q90", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("q975", sa.Double(), autoincrement=False, nullable=False),
        sa.CheckConstraint("q025 >= 0 AND q025 <= q10 AND q10 <= q50 AND q50 <= q90 AND q90 <= q975"),
        comment="Quantiles of demand around each forecast; `calibration_id` is the ledger batch that calibrated them.",
        info={
            "key": ("origin_date", "version_id", "series_id", "horizon", "calibration_id"),
            "write": "append",
            "partition": "origin_date",
            "owner": "python",
        },
    )
    op.create_table(
        "champions",
        sa.Column("as_of", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("incumbent", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("segment", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("days_held", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rmsse", sa.Double(), nullable=True),
        sa.Column("incumbent_rmsse", sa.Double(), nullable=True),
        sa.Column("floor_rmsse", sa.Double(), nullable=True),
        sa.Column("bias", sa.Double(), nullable=True),
        sa.Column("confidence", sa.Double(), autoincrement=False, nullable=False),
        comment="The model to publish for a series as of a day, the one before it, why, and the figures that decided: rolling RMSSE of the model, of incumbent and seasonal_naive_7, bias, and skill over seasonal_naive_7 in [0, 1].",
        info={"key": ("as_of", "series_id"), "write": "replace", "partition": "as_of", "owner": "python"},
    )
    op.create_table(
        "model_pins",
        sa.Column("pin_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("valid_from", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("sku", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("location", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("set_by", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("pin_id"),
        comment="A tenant's own choice of a model, from a day on; `all` for every SKU or location, a null model lets go again. The newest pin of the most particular scope counts.",
        info={"key": ("pin_id",), "write": "append", "partition": None, "owner": "python"},
    )
    op.create_table(
        "publications",
        sa.Column("origin_date", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("calibration_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("confidence", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), autoincrement=False, nullable=False),
        sa.CheckConstraint("confidence >= 0 AND confidence <= 1"),
        comment="What was published for a series from an origin, and when; the newest batch counts.",
        info={
            "key": ("origin_date", "series_id", "version_id", "calibration_id", "batch_id"),
            "write": "append",
            "partition": "origin_date",
            "owner": "python",
        },
    )
    op.create_table(
        "published_latest",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("origin_date", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("version_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("calibration_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("confidence", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("series_id"),
        comment="The newest publication of each series, for serving.",
        info={"key": ("series_id",), "write": "upsert", "partition": None, "owner": "python"},
    )
    op.create_table(
        "weekly_forecasts",
        sa.Column("origin_date", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("week_ending", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("version_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mean", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("q025", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("q10", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("q50", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("q90", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("q975", sa.Double(), autoincrement=False, nullable=False),
        sa.CheckConstraint("q025 >= 0 AND q025 <= q10 AND q10 <= q50 AND q50 <= q90 AND q90 <= q975"),
        comment="Published forecasts of whole weeks ending on Saturday: means summed, quantiles of summed paths.",
        info={
            "key": ("origin_date", "series_id", "week_ending", "batch_id"),
            "write": "append",
            "partition": "origin_date",
            "owner": "python",
        },
    )
    op.create_table(
        "hierarchy_forecasts",
        sa.Column("origin_date", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("node", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("horizon", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("mean", sa.Double(), autoincrement=False, nullable=False),
        comment="Published forecasts of locations, categories and the total that add up; `node` names one of its `level`, and the batch's inputs the method.",
        info={
            "key": ("origin_date", "level", "node", "horizon", "batch_id"),
            "write": "append",
            "partition": "origin_date",
            "owner": "python",
        },
    )
    op.create_table(
        "forecast_explanations",
        sa.Column("origin_date", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("version_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("summary", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("contributions", sa.Text(), autoincrement=False, nullable=False),
        comment="Why a published forecast is what it is: a sentence, and JSON of what each part adds to the mean of each day.",
        info={
            "key": ("origin_date", "version_id", "series_id", "batch_id"),
            "write": "append",
            "partition": "origin_date",
            "owner": "python",
        },
    )
    op.create_table(
        "model_artifacts",
        sa.Column("digest", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("spec", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("code_version", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("trained_to", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("input_digest", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("libraries", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("location", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("bytes", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        comment="What a model learned on a refit day: where its bytes are, from which inputs and by which libraries.",
        info={"key": ("digest",), "write": "append", "partition": None, "owner": "python"},
    )
    op.create_table(
        "artifact_days",
        sa.Column("as_of", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("chosen", sa.Boolean(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("as_of", "model"),
        comment="The artefact that each model which refits uses on a day, and whether a tenant chose it.",
        info={"key": ("as_of", "model"), "write": "replace", "partition": "as_of", "owner": "python"},
    )
    op.create_table(
        "artifact_choices",
        sa.Column("choice_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("valid_from", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("set_by", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("choice_id"),
        comment="An artefact that a tenant keeps a model at, from a day on; a null digest lets go again.",
        info={"key": ("choice_id",), "write": "append", "partition": None, "owner": "python"},
    )
