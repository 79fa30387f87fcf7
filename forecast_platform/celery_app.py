"""The application of Celery's workers, told what the executor is told.

Use: ``celery -A forecast_platform.celery_app worker``.

Imported by workers alone. A worker has the environment of the code location (``FORECAST_*`` and ``DAGSTER_HOME``) and
executes single steps of runs; what a step does is no business of this module.
"""

from __future__ import annotations

from dagster_celery.executor import CeleryExecutor
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_task

from forecast_platform import settings as platform_settings
from forecast_platform.executors import celery_options

app = make_app(CeleryExecutor.for_cli(**celery_options(platform_settings.load())).app_args())

execute_plan = create_task(app)
