"""A table with a column of every type that ``tables`` may declare, for the tests alone."""

from __future__ import annotations

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform_tests.sales_frames import DAY

EVERY_TYPE = sa.Table(
    "every_type",
    sa.MetaData(),
    sa.Column("needed_day", sa.Date, nullable=False),
    sa.Column("needed_text", sa.Text, nullable=False),
    sa.Column("needed_double", sa.Double, nullable=False),
    sa.Column("needed_flag", sa.Boolean, nullable=False),
    sa.Column("needed_int", sa.Integer, nullable=False),
    sa.Column("a_day", sa.Date),
    sa.Column("a_time", sa.DateTime(timezone=True)),
    sa.Column("a_text", sa.Text),
    sa.Column("a_decimal", sa.Numeric(18, 4)),
    sa.Column("a_bigint", sa.BigInteger),
    sa.Column("an_int", sa.Integer),
    sa.Column("a_short", sa.SmallInteger),
    sa.Column("a_double", sa.Double),
    sa.Column("a_flag", sa.Boolean),
    info={"key": ("needed_day", "needed_text"), "write": "replace", "partition": "needed_day", "owner": "python"},
)


def every_type(rows: int) -> pd.DataFrame:
    """``rows`` ordinary rows: values in the needed columns, null in the others."""
    frame = pd.DataFrame(
        {
            "needed_day": pd.Series([pd.Timestamp(DAY)] * rows, dtype="datetime64[ns]"),
            "needed_text": pd.Series([f"row {number}" for number in range(rows)], dtype="object"),
            "needed_double": pd.Series([0.5] * rows, dtype="float64"),
            "needed_flag": pd.Series([True] * rows, dtype="bool"),
            "needed_int": pd.Series([1] * rows, dtype="int64"),
        }
    )
    for column in EVERY_TYPE.columns:
        if column.nullable:
            frame[column.name] = None
    return frame


def create_every_type(warehouse: Warehouse) -> None:
    """Create the table; the tenant's role owns it."""
    with warehouse.transaction() as session:
        session.execute(str(CreateTable(EVERY_TYPE).compile(dialect=session.dialect)))
