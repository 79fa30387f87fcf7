"""The endpoints, a file a subject. ``ROUTERS`` lists their routers, in the order in which they stand in the OpenAPI.

A path with a parameter takes everything that fits: where two fit, as ``/inventory/exceptions`` and
``/inventory/{sku}``, the particular one is declared first.
"""

from forecast_platform.api.routes import (
    actuals,
    audits,
    events,
    forecast_lists,
    forecasts,
    inventory,
    inventory_reports,
    jobs,
    me,
    overrides,
    sales,
    series,
    service,
    sessions,
    settings,
    shopify_orders,
    skus,
    uploads,
    webhooks,
    what_if,
)

ROUTERS = (
    forecast_lists.router,
    audits.router,
    forecasts.router,
    forecasts.alias,
    series.router,
    skus.router,
    inventory_reports.router,
    inventory.router,
    what_if.router,
    sales.router,
    actuals.router,
    actuals.reading,
    overrides.router,
    overrides.reads,
    uploads.router,
    shopify_orders.router,
    jobs.router,
    events.router,
    webhooks.router,
    sessions.public,
    sessions.router,
    me.router,
    settings.router,
    service.router,
)
