"""``POST /inventory/calculate``: what the plan would say of a series on other terms, or with another stock."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from starlette.responses import Response

from forecast_platform.api.access import Here
from forecast_platform.api.answers import answer
from forecast_platform.api.keys import Scope
from forecast_platform.api.parameters import LONGEST_NAME, TEXT
from forecast_platform.api.problems import Problem
from forecast_platform.api.reading.what_if import Changes, basis_of, reckoned
from forecast_platform.api.routes.inventory import EXAMPLE, NO_PLAN, PlanFigures, shown
from forecast_platform.api.routing import api_router
from forecast_platform.inventory.formulas import InventoryError
from forecast_platform.inventory.settings import CategoryTerms
from forecast_platform.io_managers.columns import FrameRefused

router = api_router(Scope.READ, tags=["inventory"])

MOST = 1e12
"""Of any number that is given: what is reckoned from it stays a number."""

LEAST, LEAST_COST = 1e-3, 1e-6
"""Of any number of days, and of an order's multiple, that is not 0; of costs and rates."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME, pattern=TEXT)]
Units = Annotated[float, Field(ge=-MOST, le=MOST)]
Ordered = Annotated[float, Field(ge=0, le=MOST)]


class Delivery(BaseModel):
    """Units on their way."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    expected_on: date = Field(description="A day that has passed: it is overdue, and expected tomorrow.")
    quantity: Ordered


class WhatIf(CategoryTerms):
    """A series, and what is other than in its plan; what is left out, or null, is as it is there."""

    model_config = ConfigDict(
        allow_inf_nan=False,
        json_schema_extra={
            "example": {
                **{"sku": "sku 1", "location": "north", "on_hand": 40, "lead_time_days": 9, "service_level": 0.98},
                "deliveries": [{"expected_on": "2026-02-03", "quantity": 24}],
            }
        },
    )

    sku: Name
    location: Name
    on_hand: Units | None = Field(None, description="Units there are; below 0 is owed to customers.")
    on_order: Ordered | None = Field(
        None, description="Units that come a lead time after the plan's day, instead of what is on its way."
    )
    deliveries: Annotated[list[Delivery], Field(max_length=400)] | None = Field(
        None, description="Instead of what is on its way."
    )
    demand_factor: Annotated[float, Field(ge=0, le=1_000)] = Field(1.0, description="Expected demand times this.")

    @field_validator("*")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        if isinstance(value, float) and abs(value) > MOST:
            raise ValueError(f"is beyond {MOST:g}")
        return value

    @field_validator("lead_time_days", "lead_time_std_days", "order_multiple")
    @classmethod
    def _no_instant(cls, value: float | None) -> float | None:
        return _zero_or(value, LEAST)

    @field_validator("moq", "unit_cost", "order_cost", "holding_rate", "underage_cost")
    @classmethod
    def _no_trifle(cls, value: float | None) -> float | None:
        return _zero_or(value, LEAST_COST)

    @model_validator(mode="after")
    def _one_way(self) -> WhatIf:
        if self.on_order is not None and self.deliveries is not None:
            raise ValueError("on_order and deliveries both say what is on its way: give one")
        return self

    def changes(self) -> Changes:
        """What is given."""
        terms = {name: getattr(self, name) for name in CategoryTerms.model_fields}
        coming = self.deliveries
        return Changes(
            on_hand=self.on_hand,
            on_order=self.on_order,
            deliveries=None if coming is None else [(each.expected_on, each.quantity) for each in coming],
            demand_factor=self.demand_factor,
            terms={name: value for name, value in terms.items() if value is not None},
        )


def _zero_or(value: float | None, least: float) -> float | None:
    if value is not None and 0 < value < least:
        raise ValueError(f"is neither 0 nor at least {least:g}")
    return value


_ROW = {name: value for name, value in EXAMPLE.items() if name in PlanFigures.model_fields}


class Reckoned(BaseModel):
    """What the plan says, and what it would say."""

    model_config = ConfigDict(json_schema_extra={"example": {"what_if": _ROW, "plan": _ROW}})

    what_if: PlanFigures = Field(description="`stock_known` and `defaults` say what was `given`.")  # type: ignore[valid-type]
    plan: PlanFigures = Field(description="The row on record.")  # type: ignore[valid-type]


@router.post(
    "/inventory/calculate",
    operation_id="calculate_inventory",
    summary="The plan on other terms",
    response_model=Reckoned,
    responses=NO_PLAN,
)
def calculate(request: Request, at: Here, given: WhatIf) -> Response:
    """What the newest plan would say of a series with another stock, other deliveries, lead time, service level, review
    period, minimum order or demand: by the plan's own functions, from what it was made from. With nothing given it is
    the plan's row. Nothing is written."""
    if not at.tenant.plans_stock:
        raise Problem(404, "no-inventory-plan", "no stock is planned here: nobody says what there is of it")
    with at.reading.session() as session:
        basis = basis_of(session, given.sku, given.location)
    if basis is None:
        raise Problem(404, "unknown-sku", "the plan has no row of this SKU there; GET /api/v1/inventory lists them")
    try:
        row = reckoned(basis, given.changes(), at.tenant)
    except InventoryError as error:
        raise Problem(422, "invalid-request", str(error)) from error
    except FrameRefused as error:
        raise Problem(422, "invalid-request", "these numbers together come to more than numbers hold") from error
    return answer(request, {"what_if": shown(row), "plan": shown(basis.row)})
