"""The endpoints, a file a subject. ``ROUTERS`` lists their routers, in the order in which they stand in the OpenAPI.

A path with a parameter takes everything that fits: where two fit, as ``/inventory/exceptions`` and
``/inventory/{sku}``, the particular one is declared first.
"""

from forecast_platform.api.routes import forecasts, service

ROUTERS = (forecasts.router, forecasts.alias, service.router)
