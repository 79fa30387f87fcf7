"""The bare fit and predict of other libraries on the data of ``m5_shape``, in memory.

    python -m forecast_platform_tests.benchmarks.peers mlforecast --threads 1

mlforecast fits one ridge regression to all series, with the lags, rolling means and weekdays that ``linear`` looks at
(``linear`` fits one a series, around a base); statsforecast repeats the week and averages, as ``seasonal_naive_7`` and
``moving_average_7`` do; sktime's own loop fits a ridge regression of the last 28 days to each of ``SAMPLE`` series
(its reduction takes no chosen lags there), and what it takes is told for all of them. None reads, checks or keeps
anything.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pandas as pd

from forecast_platform_tests.benchmarks.m5_shape import SERIES, Market
from forecast_platform_tests.benchmarks.m5_tenant import HISTORY

WINDOW, HORIZON = 120, 28
LAGS, MEANS = (1, 7, 14, 28), (7, 28)
SAMPLE = 200
"""Series that sktime forecasts; its figures are multiplied by how many there are for each of them."""


@click.command()
@click.argument("library", type=click.Choice(["mlforecast", "statsforecast", "sktime"]))
@click.option("--threads", default=1, show_default=True)
@click.option("--series", default=SERIES, show_default=True)
@click.option("--times", default=1, show_default=True, help="How often it fits and predicts.")
@click.option("--figures", type=click.Path(path_type=Path), help="File for the last time's seconds of CPU and wall.")
def main(library: str, threads: int, series: int, times: int, figures: Path | None) -> None:
    """Fit and predict."""
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    data = _history(Market(series))
    share = min(1.0, SAMPLE / series) if library == "sktime" else 1.0
    data = data[data["unique_id"] < share * series]
    forecast = {"mlforecast": _mlforecast, "statsforecast": _statsforecast, "sktime": _sktime}[library]
    for _ in range(times):
        begun, used = time.monotonic(), time.process_time()
        rows = forecast(data, threads)
        cpu, wall = ((now - then) / share for now, then in ((time.process_time(), used), (time.monotonic(), begun)))
        of_sample = "" if share == 1 else f", extrapolated from {rows} rows of {SAMPLE} series"
        click.echo(f"{library}: {cpu:.2f} CPU s, {wall:.2f} s, {round(rows / share)} rows{of_sample}", err=True)
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
        lags=list(LAGS),
        lag_transforms={1: [RollingMean(days) for days in MEANS]},
        date_features=[_weekday(number) for number in range(6)],
        num_threads=threads,
    )
    return len(forecaster.fit(data).predict(HORIZON))


def _weekday(number: int) -> Callable[[pd.DatetimeIndex], np.ndarray]:
    """A feature that is 1 on one day of the week."""

    def weekday(dates: pd.DatetimeIndex) -> np.ndarray:
        return (dates.dayofweek == number).astype(np.float64)

    weekday.__name__ = f"weekday_{number}"
    return weekday


def _sktime(data: pd.DataFrame, threads: int) -> int:
    from sklearn.linear_model import Ridge
    from sktime.forecasting.compose import make_reduction

    forecaster = make_reduction(Ridge(), window_length=max(LAGS), strategy="recursive")
    y = data.set_index(["unique_id", "ds"])[["y"]]
    return len(forecaster.fit(y, fh=np.arange(1, HORIZON + 1)).predict())


def _statsforecast(data: pd.DataFrame, threads: int) -> int:
    from statsforecast import StatsForecast
    from statsforecast.models import Naive, SeasonalNaive, WindowAverage

    models = [Naive(), SeasonalNaive(season_length=7), WindowAverage(window_size=7)]
    return len(StatsForecast(models=models, freq="D", n_jobs=threads).forecast(df=data, h=HORIZON))


if __name__ == "__main__":
    main()
