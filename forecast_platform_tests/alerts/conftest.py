"""A webhook and a mailbox that are up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forecast_platform_tests.alerts.servers import Mailbox, Webhook

# The shops of the pipeline's tests, by the names under which tests ask for them.
from forecast_platform_tests.pipeline.conftest import new_shop, parsed_projects  # noqa: F401


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    hook.start()
    yield hook
    hook.stop()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox().running() as box:
        yield box
