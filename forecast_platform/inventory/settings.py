"""A tenant's settings of its stock: terms where master data has none, limits, how far back is looked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Policy = Literal["order_up_to", "fixed_quantity", "newsvendor"]
Metric = Literal["cycle", "fill"]
Days = Annotated[float, Field(ge=0, le=3660)]
Cost = Annotated[float, Field(ge=0)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("service_level", check_fields=False)
    @classmethod
    def _inside(cls, level: float | None) -> float | None:
        if level is not None and not 0 < level < 1:
            raise ValueError(f"{level:g} is not between 0 and 1: at 1 no stock is enough, at 0 none is needed")
        return level


class CategoryTerms(_Settings):
    """Terms of a category's items, where neither the item nor its supplier has its own."""

    lead_time_days: Days | None = Field(None, description="days from order to delivery")
    lead_time_std_days: Days | None = Field(None, description="standard deviation of the lead time; with it, else 0")
    review_period_days: Days | None = Field(None, description="days between two orders")
    policy: Policy | None = Field(
        None, description="how much is ordered: up to a level, in fixed lots, or at least cost"
    )
    service_metric: Metric | None = Field(None, description="what the service level is of: cycles or units of demand")
    service_level: float | None = Field(None, description="wanted service, between 0 and 1")
    moq: Cost | None = Field(None, description="least quantity of an order")
    order_multiple: Cost | None = Field(None, description="orders are multiples of this")
    unit_cost: Cost | None = Field(None, description="purchase price of one unit")
    order_cost: Cost | None = Field(None, description="fixed cost of an order")
    holding_rate: Cost | None = Field(None, description="yearly cost of holding stock, as a share of its value")
    underage_cost: Cost | None = Field(None, description="what a unit too few costs, for newsvendor")
    least_cover_days: Days | None = Field(None, description="days of demand to hold at least")
    most_cover_days: Days | None = Field(None, description="days of demand to hold at most")
    stocked: bool | None = Field(None, description="whether stock is held at all")


class TenantTerms(_Settings):
    """Terms where nobody else has any; each that was used is named in the plan."""

    lead_time_days: Days = Field(7, description="days from order to delivery")
    lead_time_std_days: Days = Field(0, description="standard deviation of the lead time")
    review_period_days: Days = Field(1, description="days between two orders")
    policy: Policy = Field(
        "order_up_to", description="how much is ordered: up to a level, in fixed lots, at least cost"
    )
    service_metric: Metric = Field("cycle", description="what the service level is of: cycles or units of demand")
    service_level: float = Field(0.95, description="wanted service, between 0 and 1")
    moq: Cost = Field(0, description="least quantity of an order")
    order_multiple: Cost = Field(0, description="orders are multiples of this; 0: any quantity")
    unit_cost: Cost | None = Field(None, description="purchase price of one unit")
    order_cost: Cost | None = Field(None, description="fixed cost of an order")
    holding_rate: Cost = Field(0.25, description="yearly cost of holding stock, as a share of its value")
    underage_cost: Cost | None = Field(None, description="what a unit too few costs, for newsvendor")
    least_cover_days: Days | None = Field(None, description="days of demand to hold at least")
    most_cover_days: Days | None = Field(None, description="days of demand to hold at most")
    stocked: bool = Field(True, description="whether stock is held at all")


class Inventory(_Settings):
    """How stock is planned. Without a source of ``inventory_levels`` none is."""

    defaults: TenantTerms = Field(TenantTerms(), description="terms where item, supplier and category have none")
    categories: dict[str, CategoryTerms] = Field({}, description="terms of the items of a category, by its name")
    overstocked_days: Annotated[float, Field(gt=0)] = Field(
        90, description="days of demand above which stock is too much"
    )
    dead_stock_days: Annotated[int, Field(ge=1, le=3660)] = Field(90, description="days without a sale: dead stock")
    count_lasts_days: Annotated[int, Field(ge=1, le=3660)] = Field(
        90, description="days for which a count of stock is carried on with sales and deliveries"
    )
    simulated_days: Annotated[int, Field(ge=7, le=366)] = Field(
        28, description="days up to a day that its simulation plays again"
    )

    def terms_of_categories(self) -> dict[str, dict[str, Any]]:
        """What the categories are given, by name."""
        return {name: terms.model_dump(exclude_none=True) for name, terms in self.categories.items()}
