# ruff: noqa: E501
"""Open orders, the inventory plan and its simulation, and the terms of items and suppliers that it is made by."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

REPLACED_BY_DAY = {"inventory_plan": "as_of", "inventory_simulation": "as_of", "open_orders": "known_from"}

ADDED = {
    "items": [
        ("policy", sa.Text()),
        ("service_metric", sa.Text()),
        ("underage_cost", sa.Numeric(precision=18, scale=6)),
        ("least_cover_days", sa.Double()),
        ("most_cover_days", sa.Double()),
        ("stocked", sa.Boolean()),
    ],
    "suppliers": [
        ("review_period_days", sa.Double()),
        ("order_days", sa.Double()),
        ("order_std_days", sa.Double()),
        ("transit_days", sa.Double()),
        ("transit_std_days", sa.Double()),
        ("customs_days", sa.Double()),
        ("customs_std_days", sa.Double()),
    ],
}


def upgrade() -> None:
    for table, columns in ADDED.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind, nullable=True))
    create_tables()
    if op.get_bind().dialect.name == "postgresql":
        for table, day in REPLACED_BY_DAY.items():
            op.create_index(f"ix_{table}_{day}", table, [day])


def create_tables() -> None:
    op.create_table(
        "inventory_plan",
        sa.Column("as_of", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("sku", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("location", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("action", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("priority", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("order_quantity", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("expected_on", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("supplier", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("stock_known", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("counted_on", sa.Date(), nullable=True),
        sa.Column("on_hand", sa.Double(), nullable=True),
        sa.Column("on_order", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("origin_date", sa.Date(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("method", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("demand_daily", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("demand_lead_time", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("demand_protection", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("demand_std", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("safety_stock", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("reorder_point", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("order_up_to", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("eoq", sa.Double(), nullable=True),
        sa.Column("days_of_inventory", sa.Double(), nullable=True),
        sa.Column("days_unsold", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("stockout_probability", sa.Double(), nullable=True),
        sa.Column("stockout_on", sa.Date(), nullable=True),
        sa.Column("inventory_value", sa.Double(), nullable=True),
        sa.Column("order_value", sa.Double(), nullable=True),
        sa.Column("lead_time_days", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("lead_time_std_days", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("review_period_days", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("policy", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("service_metric", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("service_level", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("moq", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("order_multiple", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("unit_cost", sa.Double(), nullable=True),
        sa.Column("order_cost", sa.Double(), nullable=True),
        sa.Column("holding_rate", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("underage_cost", sa.Double(), nullable=True),
        sa.Column("least_cover_days", sa.Double(), nullable=True),
        sa.Column("most_cover_days", sa.Double(), nullable=True),
        sa.Column("stocked", sa.Boolean(), autoincrement=False, nullable=False),
        sa.Column("defaults", sa.Text(), autoincrement=False, nullable=False),
        comment="What to order at the end of a day, and why: demand until the next delivery but one, levels, what there is, and the terms it was planned by. `defaults` is JSON of the terms that are not the item's own: whose they are.",
    )
    op.create_table(
        "open_orders",
        sa.Column("known_from", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("order_id", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("sku", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("location", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("quantity", sa.Numeric(precision=18, scale=4), autoincrement=False, nullable=False),
        sa.Column("supplier", sa.Text(), nullable=True),
        sa.Column("ordered_on", sa.Date(), nullable=True),
        sa.Column("expected_on", sa.Date(), nullable=True),
        sa.Column("received_on", sa.Date(), nullable=True),
        comment="Lines of purchase orders as known from a day on; the newest known row of a line counts, one of quantity 0 is cancelled. A line that is delivered in parts is a line a part.",
    )
    op.create_table(
        "inventory_simulation",
        sa.Column("as_of", sa.Date(), autoincrement=False, nullable=False),
        sa.Column("rule", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("policy", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("days", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("series", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("demand", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("met", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("fill_rate", sa.Double(), nullable=True),
        sa.Column("cycle_service", sa.Double(), nullable=True),
        sa.Column("stockout_days", sa.Double(), nullable=True),
        sa.Column("stock_units", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("orders", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("ordered", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("censored_days", sa.Double(), autoincrement=False, nullable=False),
        sa.Column("stock_value", sa.Double(), nullable=True),
        sa.Column("holding_cost", sa.Double(), nullable=True),
        sa.Column("ordering_cost", sa.Double(), nullable=True),
        comment="The days up to a day played again: by each evening's plan, by a simple rule and as it was; what each came to, for the items of a policy and `all`. `censored_days` counts days whose demand is only what was expected.",
    )
