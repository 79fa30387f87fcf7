"""``GET /skus``: SKUs by a part of their code or name, as a field that completes what is typed asks for them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import Here
from forecast_platform.api.answers import LATEST, answer
from forecast_platform.api.keys import Scope
from forecast_platform.api.parameters import LONGEST_NAME
from forecast_platform.api.reading.skus import matching
from forecast_platform.api.routing import api_router

router = api_router(Scope.READ, tags=["series"])

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"


class KnownSku(BaseModel):
    """One SKU."""

    sku: str
    name: str | None = Field(description="As the newest master data that has one names it.")
    category: str | None
    locations: int = Field(description="Locations that have ever sold it.")


class KnownSkus(BaseModel):
    """The SKUs that match best."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"items": [{"sku": "sku 1", "name": "Running shoe", "category": "shoes", "locations": 2}]}
        }
    )

    items: list[KnownSku]


@router.get("/skus", operation_id="find_skus", summary="Find SKUs", response_model=KnownSkus)
def skus(
    request: Request,
    at: Here,
    text: Annotated[
        str,
        Query(max_length=LONGEST_NAME, pattern=PRINTABLE, description="Part of a SKU or its name.", examples=["shoe"]),
    ] = "",
    limit: Annotated[int, Query(ge=1, le=100, description="The most that are answered.", examples=[20])] = 20,
) -> Response:
    """SKUs that have a text in their code or name, whatever its case: those that begin with it first."""
    with at.reading.session() as session:
        found = matching(session, text, most=limit)
    return answer(request, {"items": found}, cache=LATEST)
