"""A shop with a drop folder under a simulated daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest
import yaml

from forecast_platform_tests.automation.simulated_daemon import SimulatedDaemon, simulated_daemon
from forecast_platform_tests.pipeline.conftest import at, new_shop, parsed_projects  # noqa: F401
from forecast_platform_tests.pipeline.shop import Shop


@pytest.fixture
def daemon_of(tmp_path: Path) -> Iterator[Callable[[Shop, datetime], SimulatedDaemon]]:
    """Start a daemon over one shop: ``daemon_of(shop, start)``."""
    with ExitStack() as stack:

        def start(shop: Shop, begins: datetime) -> SimulatedDaemon:
            tenants = tmp_path / "tenants"
            (tenants / shop.name).mkdir(parents=True)
            document = {"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": shop.attributes}
            (tenants / shop.name / "defs.yaml").write_text(yaml.safe_dump(document))
            environment = {**shop.environment, "FORECAST_TENANTS": str(tenants)}
            daemon = stack.enter_context(simulated_daemon(tmp_path / "daemon", environment, begins))
            # The same instance, so that what the shop makes by hand is known to the daemon.
            shop.instance = daemon.instance
            return daemon

        yield start


def clock(day: date, hour: int = 12, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), tzinfo=UTC)
