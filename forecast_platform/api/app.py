"""The application: middlewares, routers and errors put together. What an endpoint does is in ``routes``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio.to_thread
import dagster as dg
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from starlette.middleware.cors import CORSMiddleware

from forecast_platform import logs
from forecast_platform import settings as platform_settings
from forecast_platform.api import problems
from forecast_platform.api.access import (
    REMEMBERED_SECONDS,
    Access,
    Gate,
    KeyAuthenticator,
    is_public,
    unguarded,
)
from forecast_platform.api.dashboard import Dashboard
from forecast_platform.api.edge import Bounded, Observed
from forecast_platform.api.hot import HotForecasts
from forecast_platform.api.issuers import Issuer
from forecast_platform.api.metrics import Metrics
from forecast_platform.api.platform import Platform
from forecast_platform.api.platform_figures import PlatformFigures
from forecast_platform.api.principal import Authenticator
from forecast_platform.api.problems import ProblemDetails
from forecast_platform.api.reading.latest import LatestForecasts
from forecast_platform.api.routes import ROUTERS
from forecast_platform.api.routing import API, incomplete
from forecast_platform.api.slashes import EncodedSlashes
from forecast_platform.api.tokens import JwtAuthenticator
from forecast_platform.api.watching import watching
from forecast_platform.settings import Settings

DESCRIPTION = """
Forecasts of demand by day, SKU and location, as they were published: a read never trains. Every request carries a
credential of one tenant, `Authorization: Bearer <key or token>` or `X-API-Key: <key>`; errors are problem details
(RFC 9457), and every answer has an `X-Request-Id` that the log knows.
"""


def create_app(
    settings: Settings,
    *,
    remembered_seconds: float = REMEMBERED_SECONDS,
    shared: Path | None = None,
    dagster: Callable[[], dg.DagsterInstance] | None = None,
) -> FastAPI:
    """The application of one process.

    Args:
        remembered_seconds: how long a credential that was found valid is not looked at again.
        shared: the folder through which the metrics of several processes add up; None: there is one process.
        dagster: gives Dagster's instance, for jobs; None: this process takes none.

    Raises:
        RuntimeError: a route demands no scope, or lacks a part of its documentation.
    """
    platform, metrics = Platform(settings, dagster=dagster), Metrics(shared=shared)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(platform.load_tenants)
        with watching(platform):
            yield
        platform.close()

    app = FastAPI(
        title="forecast-platform",
        version=version("forecast-platform"),
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.platform, app.state.metrics = platform, metrics
    app.state.figures = PlatformFigures(platform)
    app.state.latest = LatestForecasts(platform.readings)
    app.state.gate = Gate(authenticators(platform), remembered_seconds=remembered_seconds)
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    # The last that is added is the outermost.
    app.add_middleware(EncodedSlashes)
    app.add_middleware(HotForecasts, platform=platform, latest=app.state.latest)
    app.add_middleware(Access, gate=app.state.gate, rates=platform.rates)
    app.add_middleware(Dashboard)
    app.add_middleware(Bounded, most=settings.api_body_bytes)
    _allow_origins(app, settings)
    app.add_middleware(Observed, metrics=metrics)
    _require_whole(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def authenticators(platform: Platform) -> list[Authenticator]:
    """The kinds of credentials, in the order in which they are asked."""
    others = [] if platform.settings.api_jwt_issuer is None else [Issuer(platform.settings)]
    return [KeyAuthenticator(platform.keys), JwtAuthenticator(platform.sessions, *others)]


def from_environment() -> FastAPI:
    """What each worker of ``forecast-platform serve`` runs."""
    settings = platform_settings.load()
    logs.configure(settings)
    home = platform_settings.dagster_home()
    dagster = None if home is None else dg.DagsterInstance.get
    return create_app(settings, shared=platform_settings.metrics_folder(), dagster=dagster)


def _allow_origins(app: FastAPI, settings: Settings) -> None:
    origins = [each.strip() for each in (settings.api_origins or "").split(",") if each.strip()]
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", "If-None-Match"],
            expose_headers=["ETag", "X-Request-Id", "Retry-After"],
            max_age=600,
        )


def _require_whole(app: FastAPI) -> None:
    """A route without a scope, or without its documentation, is a mistake of ours: it is not served."""
    routes = list(iter_route_contexts(app.routes))
    open_ones, lacking = unguarded(routes), incomplete(routes)
    if open_ones or lacking:
        raise RuntimeError(
            f"routes that demand no scope and are not public in access: {open_ones}; without an operation_id of their"
            f" own, a summary or a docstring: {lacking}"
        )


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {})["ProblemDetails"] = ProblemDetails.model_json_schema(
            ref_template="#/components/schemas/{model}"
        )
        components["securitySchemes"] = {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key, or a token of a session or of your own issuer.",
            },
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
        }
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                operation["security"] = [] if is_public(method.upper(), path) else [{"bearer": []}, {"key": []}]
                for parameter in operation.get("parameters", ()):
                    parameter["schema"] = _as_sent(parameter["schema"])
                responses = operation["responses"]
                if "requestBody" in operation:
                    responses = {**problems.OF_A_BODY, **responses}
                operation["responses"] = {
                    status: _as_problem(response) if status >= "400" else response
                    for status, response in responses.items()
                }
        app.openapi_schema = schema
    return app.openapi_schema


def _as_sent(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema without null: it is sent or left out, and the text "null" is a value of its own."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]}


def _as_problem(response: dict[str, Any]) -> dict[str, Any]:
    """The framework documents its own form of errors; ours is another."""
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {"description": response["description"], "content": content}
