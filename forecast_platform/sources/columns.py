"""Our names of columns, for each kind of fact; the values in a tenant's YAML are the source's names.

What may be mapped is here. How the values are written and which rows count is in ``shapes``.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """Base of every settings model of the sources: read once, never changed, no unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Columns(Settings):
    """Our names of columns with the source's names of them."""

    updated_at: str | None = Field(None, description="when the row was last changed: the newest state wins")


class SalesColumns(Columns):
    """Columns of sales events: when, what, where, how many."""

    sold_at: str | None = Field(None, description="date and time of the sale; give this or sale_date")
    sale_date: str | None = Field(None, description="business day of the sale, where the source has no time")
    sku: str = Field(description="what was sold")
    location: str | None = Field(None, description="where; without it every row is at the location 'all'")
    quantity: str = Field(description="units sold; returns are negative, or marked (see returns)")
    unit_price: str | None = Field(None, description="price of one unit")
    revenue: str | None = Field(None, description="price of the whole row, divided by the quantity; or give unit_price")
    on_promotion: str | None = Field(None, description="whether the row was sold on promotion")
    order_id: str | None = Field(None, description="order, invoice or receipt the row belongs to")
    event_id: str | tuple[str, ...] | None = Field(
        None, description="column or columns that name the event for good; without it equal rows are told by number"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.sold_at is None) == (self.sale_date is None):
            raise ValueError("map either sold_at or sale_date, whichever the source has")
        if self.unit_price is not None and self.revenue is not None:
            raise ValueError("map either unit_price or revenue: one follows from the other")
        return self


class ItemColumns(Columns):
    """Columns of item master data."""

    valid_from: str | None = Field(None, description="day from which the row holds; without it the day it arrived")
    sku: str = Field(description="the item")
    location: str | None = Field(None, description="where it holds; without it 'all'")
    name: str | None = Field(None, description="what people call it")
    category: str | None = Field(None, description="group of items that sell alike")
    supplier: str | None = Field(None, description="who delivers it")
    active: str | None = Field(None, description="whether it is still ordered")
    unit_cost: str | None = Field(None, description="purchase price of one unit")
    lead_time_days: str | None = Field(None, description="days from order to delivery")
    lead_time_std_days: str | None = Field(None, description="standard deviation of the lead time, in days")
    review_period_days: str | None = Field(None, description="days between two looks at the stock")
    moq: str | None = Field(None, description="least quantity of an order")
    order_multiple: str | None = Field(None, description="orders are multiples of this")
    order_cost: str | None = Field(None, description="fixed cost of an order")
    holding_rate: str | None = Field(None, description="yearly cost of holding stock, as a share of its value")
    service_level: str | None = Field(None, description="wanted probability of no stock-out, in (0, 1)")
    policy: str | None = Field(None, description="order_up_to, fixed_quantity or newsvendor")
    service_metric: str | None = Field(None, description="what the service level is of: cycle or fill")
    underage_cost: str | None = Field(None, description="what a unit too few costs, for newsvendor")
    least_cover_days: str | None = Field(None, description="days of demand to hold at least")
    most_cover_days: str | None = Field(None, description="days of demand to hold at most")
    stocked: str | None = Field(None, description="whether stock is held of it at all")


class LocationColumns(Columns):
    """Columns of location master data."""

    valid_from: str | None = Field(None, description="day from which the row holds; without it the day it arrived")
    location: str = Field(description="the location")
    name: str | None = Field(None, description="what people call it")
    region: str | None = Field(None, description="region, state or city")
    country: str | None = Field(None, description="ISO country code, for holidays")


class SupplierColumns(Columns):
    """Columns of supplier master data."""

    valid_from: str | None = Field(None, description="day from which the row holds; without it the day it arrived")
    supplier: str = Field(description="the supplier")
    name: str | None = Field(None, description="what people call it")
    country: str | None = Field(None, description="ISO country code")
    lead_time_days: str | None = Field(None, description="days from order to delivery")
    lead_time_std_days: str | None = Field(None, description="standard deviation of the lead time, in days")
    moq: str | None = Field(None, description="least quantity of an order")
    order_cost: str | None = Field(None, description="fixed cost of an order")
    review_period_days: str | None = Field(None, description="days between two orders")
    order_days: str | None = Field(None, description="days until an order leaves; stages go before lead_time_days")
    order_std_days: str | None = Field(None, description="their standard deviation")
    transit_days: str | None = Field(None, description="days on the way")
    transit_std_days: str | None = Field(None, description="their standard deviation")
    customs_days: str | None = Field(None, description="days in customs")
    customs_std_days: str | None = Field(None, description="their standard deviation")


class PlanColumns(Columns):
    """Columns of what is planned for days to come."""

    known_from: str | None = Field(None, description="day from which the plan is known; without it the day it arrived")
    target_date: str = Field(description="the day planned for")
    sku: str = Field(description="the item")
    location: str | None = Field(None, description="where it holds; without it 'all'")
    on_promotion: str | None = Field(None, description="whether a promotion is planned")
    price: str | None = Field(None, description="planned price of one unit")


class CovariateColumns(Columns):
    """Columns of the tenant's own covariates, of days gone by and to come."""

    known_from: str | None = Field(None, description="day from which the value is known; without it the day it arrived")
    target_date: str = Field(description="the day the value is of")
    name: str | None = Field(None, description="what is measured or planned, as temperature; or give it as a constant")
    sku: str | None = Field(None, description="the item it concerns; without it every one, 'all'")
    location: str | None = Field(None, description="where; without it everywhere, 'all'")
    category: str | None = Field(None, description="the category of items it concerns; without it every one, 'all'")
    value: str = Field(description="the value, a number")


class InventoryColumns(Columns):
    """Columns of stock at the end of a day."""

    snapshot_date: str | None = Field(None, description="day of the count; without it the day it arrived")
    sku: str = Field(description="the item")
    location: str | None = Field(None, description="where; without it 'all'")
    on_hand: str = Field(description="units in stock")
    on_order: str | None = Field(None, description="units ordered and not delivered")


class ActualColumns(Columns):
    """Columns of a day's totals that count instead of its sales."""

    sale_date: str = Field(description="the day")
    sku: str = Field(description="the item")
    location: str | None = Field(None, description="where; without it 'all'")
    entry: str = Field(description="name of the entry; of two of a series and day the greater one holds")
    units: str = Field(description="the day's total; empty withdraws the entries before")
    author: str = Field(description="who says so")
    because: str = Field(description="why")


class OpenOrderColumns(Columns):
    """Columns of purchase orders, one row a line; a later row of the same line replaces the earlier one."""

    known_from: str | None = Field(None, description="day from which the row is known; without it the day it arrived")
    order_id: str = Field(description="the order; with item and location the name of a line")
    sku: str = Field(description="the item")
    location: str | None = Field(None, description="where it is delivered; without it 'all'")
    quantity: str = Field(description="units of the line; 0 cancels it")
    supplier: str | None = Field(None, description="who delivers it")
    ordered_on: str | None = Field(None, description="day of the order")
    expected_on: str | None = Field(None, description="day on which it is expected; without it after the lead time")
    received_on: str | None = Field(None, description="day on which it came; empty while it is on its way")
