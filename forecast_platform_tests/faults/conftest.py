"""Whole shops, for faults that only a run can meet."""

from forecast_platform_tests.pipeline.conftest import at, backend, new_shop, parsed_projects, shop, till

__all__ = ["at", "backend", "new_shop", "parsed_projects", "shop", "till"]
