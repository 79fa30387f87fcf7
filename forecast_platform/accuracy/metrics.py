"""Point-forecast metrics over frames of errors.

``errors`` has one row for each forecast that met its actual, with ``forecast`` and ``actual`` in units and
whatever it is reported by. Sums are taken over the whole scope reported, never means of ratios. An undefined
metric is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

METRICS = ("wape", "mape", "mape_coverage", "bias", "mae", "rmse")


def error_metrics(errors: pd.DataFrame, *, by: Sequence[str] = ()) -> pd.DataFrame:
    """WAPE, MAPE, bias, MAE and RMSE, for the whole frame or by group.

    - WAPE = Σ|e| / Σ|a|; bias = Σe / Σa, positive where too much was forecast; e = forecast - actual.
    - MAPE = mean of |e| / a over a > 0 only; ``mape_coverage`` is the share of rows with a > 0.
    - MAE = mean |e|, RMSE = √mean e², zeros included.

    Args:
        errors: ``forecast``, ``actual`` and the columns of ``by``. Rows without an actual are an error of the caller.
        by: columns to report by; none for one row over everything.

    Returns:
        One row a group, sorted by ``by``: its columns, ``n`` and ``METRICS``.

    Raises:
        ValueError: a forecast or an actual is null.
    """
    forecast, actual = _numbers(errors, "forecast"), _numbers(errors, "actual")
    error = forecast - actual
    above = actual > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        percentage = np.where(above, np.abs(error) / actual, 0.0)
    terms = {
        "n": np.ones(len(errors)),
        "error": error,
        "absolute": np.abs(error),
        "square": error * error,
        "actual": actual,
        "size": np.abs(actual),
        "above": above.astype(float),
        "percentage": percentage,
    }
    sums = _sum_by(errors, terms, by)
    result = sums[list(by)].copy()
    result["n"] = sums["n"].astype(np.int64)
    result["wape"] = _ratio(sums["absolute"], sums["size"])
    result["mape"] = _ratio(sums["percentage"], sums["above"])
    result["mape_coverage"] = _ratio(sums["above"], sums["n"])
    result["bias"] = _ratio(sums["error"], sums["actual"])
    result["mae"] = _ratio(sums["absolute"], sums["n"])
    result["rmse"] = np.sqrt(_ratio(sums["square"], sums["n"]))
    return result


def series_scaled_errors(errors: pd.DataFrame, *, by: Sequence[str] = ()) -> pd.DataFrame:
    """MASE and RMSSE of each series: MAE over ``scale_abs``, √(MSE / ``scale_sq``), scales as of each row's origin.

    A series whose rows have several origins averages |e| / scale and e² / scale over its rows.

    Args:
        errors: ``series_id``, ``forecast``, ``actual``, ``scale_abs``, ``scale_sq`` and the columns of ``by``. A zero
            or null scale leaves its row out of that metric.

    Returns:
        One row a group and series: ``by``, ``series_id``, ``mase``, ``rmsse``; NaN where no row has a scale.
    """
    error = _numbers(errors, "forecast") - _numbers(errors, "actual")
    terms = {}
    for name, size, scale in (("mase", np.abs(error), "scale_abs"), ("rmsse", error * error, "scale_sq")):
        values = errors[scale].to_numpy(dtype=np.float64, na_value=np.nan)
        known = values > 0
        terms[name] = np.where(known, size / np.where(known, values, 1.0), 0.0)
        terms[f"{name}_rows"] = known.astype(float)
    sums = _sum_by(errors, terms, (*by, "series_id"))
    result = sums[[*by, "series_id"]].copy()
    result["mase"] = _ratio(sums["mase"], sums["mase_rows"])
    result["rmsse"] = np.sqrt(_ratio(sums["rmsse"], sums["rmsse_rows"]))
    return result


def scaled_metrics(errors: pd.DataFrame, *, by: Sequence[str] = (), weights: pd.Series | None = None) -> pd.DataFrame:
    """Mean MASE and RMSSE over series, plain and weighted.

    Args:
        errors: as for ``series_scaled_errors``.
        by: columns to report by.
        weights: by ``series_id``, such as the revenue of the last 28 days; None for the plain means only. A series
            without a weight weighs 0.

    Returns:
        One row a group: ``by``, ``mase``, ``rmsse``, ``series`` (with a defined RMSSE), ``undefined`` (without), and
        with weights ``weighted_mase``, ``weighted_rmsse``.
    """
    each = series_scaled_errors(errors, by=by)
    weight = np.ones(len(each)) if weights is None else each["series_id"].map(weights).fillna(0.0).to_numpy(dtype=float)
    terms = {}
    for name in ("mase", "rmsse"):
        values = each[name].to_numpy()
        defined = ~np.isnan(values)
        terms[name] = np.where(defined, values, 0.0)
        terms[f"{name}_n"] = defined.astype(float)
        terms[f"{name}_weighted"] = np.where(defined, values, 0.0) * weight
        terms[f"{name}_weight"] = defined * weight
    terms["rows"] = np.ones(len(each))
    sums = _sum_by(each, terms, by)
    result = sums[list(by)].copy()
    for name in ("mase", "rmsse"):
        result[name] = _ratio(sums[name], sums[f"{name}_n"])
    result["series"] = sums["rmsse_n"].astype(np.int64)
    result["undefined"] = (sums["rows"] - sums["rmsse_n"]).astype(np.int64)
    if weights is not None:
        for name in ("mase", "rmsse"):
            result[f"weighted_{name}"] = _ratio(sums[f"{name}_weighted"], sums[f"{name}_weight"])
    return result


def forecast_value_added(
    metrics: pd.DataFrame, *, metric: str, benchmark: str = "seasonal_naive_7", by: Sequence[str] = ()
) -> pd.Series:
    """A metric of the benchmark minus the model's: what the model is worth; positive is better.

    Args:
        metrics: ``model``, ``metric`` and the columns of ``by``; one row each.
        metric: an error metric, smaller is better.
        benchmark: the model to beat.
        by: columns that, with ``model``, name a row.

    Returns:
        One value a row of ``metrics``, with its index; NaN where the benchmark has no such row.
    """
    floor = metrics.loc[metrics["model"] == benchmark, [*by, metric]]
    if by:
        joined = metrics[list(by)].merge(floor, on=list(by), how="left", validate="many_to_one")[metric].to_numpy()
    else:
        joined = np.full(len(metrics), floor[metric].iloc[0] if len(floor) else np.nan)
    return pd.Series(joined - metrics[metric].to_numpy(), index=metrics.index, name=f"{metric}_fva")


def _numbers(errors: pd.DataFrame, name: str) -> np.ndarray:
    values = errors[name].to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isnan(values).any():
        raise ValueError(f"{int(np.isnan(values).sum())} rows of errors have no {name}; leave out what met no actual")
    return values


def _sum_by(frame: pd.DataFrame, terms: dict[str, np.ndarray], by: Sequence[str]) -> pd.DataFrame:
    columns = pd.DataFrame(terms, index=frame.index)
    if not by:
        return columns.sum().to_frame().T
    keys = [frame[name] for name in by]
    return columns.groupby(keys, sort=True, observed=True, dropna=False).sum().reset_index()


def _ratio(top: pd.Series, bottom: pd.Series) -> pd.Series:
    return top / bottom.where(bottom != 0)
