"""The bare fit and predict of other libraries on the data of ``m5_shape``, in memory.

    python -m forecast_platform_tests.benchmarks.peers mlforecast --threads 1

mlforecast fits one ridge regression to all series, with the lags, rolling means and weekdays that ``linear`` looks at
(``linear`` fits one a series, around a base); statsforecast repeats the week and averages, as ``seasonal_naive_7`` and
``moving_average_7`` do. Neither reads, checks nor keeps anything.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import click
import numpy as np
import pandas as pd

from forecast_platform_tests.benchmarks.m5_shape import SERIES, Market
from forecast_platform_tests.benchmarks.m5_tenant import HISTORY

WINDOW, HORIZON = 120, 28


@click.command()
@click.argument("library", type=click.Choice(["mlforecast", "statsforecast"]))
@click.option("--threads", default=1, show_default=True)
@click.option("--series", default=SERIES, show_default=True)
@click.option("--times", default=1, show_default=True, help="How often it fits and predicts.")
@click.option("--figures", type=click.Path(path_type=Path), help="File for the last time's seconds of CPU and wall.")
def main(library: str, threads: int, series: int, times: int, figures: Path | None) -> None:
    """Fit and predict."""
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    data = _history(Market(series))
    for _ in range(times):
        begun, used = time.monotonic(), time.process_time()
        rows = {"mlforecast": _mlforecast, "statsforecast": _statsforecast}[library](data, threads)
        cpu, wall = time.process_time() - used, time.monotonic() - begun
        click.echo(f"{library}: {cpu:.2f} CPU s, {wall:.2f} s, {rows} rows", err=True)
    if figures is not None:
        figures.write_text(json.dumps([cpu, wall]))


def _history(market: Market) -> pd.DataFrame:
    """The training window up to the last day of the history: ``unique_id``, ``ds``, ``y``."""
    numbers = range(HISTORY - WINDOW, HISTORY)
    units = np.stack([market.units(number).reshape(-1) for number in numbers], axis=1)
    days = pd.to_datetime([market.day_of(number) for number in numbers])
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(len(units)), WINDOW),
            "ds": np.tile(days, len(units)),
            "y": units.reshape(-1).astype(np.float64),
        }
    )


def _mlforecast(data: pd.DataFrame, threads: int) -> int:
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import RollingMean
    from sklearn.linear_model import Ridge

    forecaster = MLForecast(
        models=[Ridge()],
        freq="D",
        lags=[1, 7, 14, 28],
        lag_transforms={1: [RollingMean(7), RollingMean(28)]},
        date_features=["dayofweek"],
        num_threads=threads,
    )
    return len(forecaster.fit(data).predict(HORIZON))


def _statsforecast(data: pd.DataFrame, threads: int) -> int:
    from statsforecast import StatsForecast
    from statsforecast.models import Naive, SeasonalNaive, WindowAverage

    models = [Naive(), SeasonalNaive(season_length=7), WindowAverage(window_size=7)]
    return len(StatsForecast(models=models, freq="D", n_jobs=threads).forecast(df=data, h=HORIZON))


if __name__ == "__main__":
    main()
