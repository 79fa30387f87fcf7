"""How routes are declared: a router demands a scope, and every operation is complete in the OpenAPI."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute, RouteContext

from forecast_platform.api.access import Requires
from forecast_platform.api.keys import Scope
from forecast_platform.api.problems import RESPONSES

API = "/api/v1"


def api_router(scope: Scope, *, tags: list[str], prefix: str = API) -> APIRouter:
    """A router whose routes demand ``scope``; more may be demanded of one: ``dependencies=[Depends(Requires(…))]``."""
    return APIRouter(
        prefix=prefix, tags=tags, dependencies=[Depends(Requires(scope))], responses=RESPONSES, redirect_slashes=False
    )


def incomplete(routes: Sequence[RouteContext]) -> list[str]:
    """Operations of the OpenAPI that lack an id of their own, a summary or a description."""
    shown = [route for route in routes if isinstance(route.original_route, APIRoute) and route.include_in_schema]
    lacking = [route.path for route in shown if not (route.operation_id and route.summary and route.description)]
    ids = [route.operation_id for route in shown]
    return lacking + [route.path for route in shown if ids.count(route.operation_id) > 1]
