"""What a step tries again: inputs that changed meanwhile, a lock, a lost connection. Nothing else.

A ``RetryPolicy`` on the assets would try bad input and missing days again too, and make a person wait for the error.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from dagster import RetryRequested

from forecast_platform.io_managers.reads import InputsChanged
from forecast_platform.io_managers.warehouse import WarehouseUnavailable

MAX_RETRIES = 3
TRANSIENT: tuple[type[Exception], ...] = (
    InputsChanged,
    WarehouseUnavailable,
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
    ConnectionError,
    TimeoutError,
)


@contextmanager
def retrying() -> Iterator[None]:
    """Ask Dagster to run the step again, after a jittered pause, if what went wrong can pass.

    Raises:
        RetryRequested: in place of a transient error, which stays its cause.
    """
    try:
        yield
    except TRANSIENT as error:
        raise RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=random.uniform(1, 8)) from error
