"""``Chronos2``: a pretrained model of time series, over a whole panel in batches, behind sktime's interface.

sktime's own wrapper takes one series a call and gives points only. The weights come from a folder or from a model hub;
nothing is fetched before a forecast is asked for. torch and chronos are imported then; importing this module imports
sktime.

Every batch has the same shape, on a fixed number of threads, so that a series' bits do not depend on how many others
there are. Weights in a folder must not be changed in place: their folder's name stands for them in a version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from forecast_platform.forecasting.forecasters import _PanelForecaster
from forecast_platform.forecasting.parameters import at_least

Array = np.ndarray
DTYPES = ("float32", "bfloat16")


class Chronos2(_PanelForecaster):
    """Amazon's Chronos-2, zero-shot: nothing is learned from the panel.

    The point forecast is the mean of the quantiles that the model was trained on, each weighed by the probability
    around it. The library's own is the median, which is 0 for every slow seller.

    Parameters
    ----------
    path : str, default="amazon/chronos-2"
        A folder that holds a checkpoint, or an id on the hub.
    revision : str, optional
        Which revision of a hub id; name one, so that a forecast can be repeated.
    device : str, default="cpu"
        ``cpu``, ``cuda``, ``cuda:1``, ...
    dtype : str, default="float32"
        ``float32`` or ``bfloat16``.
    batch_size : int, default=256
        Series a batch.
    context_length : int, default=512
        Days looked back on, at most.
    threads : int, default=1
        Threads of torch on the processor.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast_platform.forecasting.chronos import Chronos2
    >>> y = pd.Series([4.0, 1.0, 1.0, 1.0, 1.0, 6.0, 7.0] * 12)
    >>> Chronos2(path="amazon/chronos-2").fit(y).predict(fh=[1, 2])  # doctest: +SKIP

    References
    ----------
    Ansari et al., "Chronos-2: From Univariate to Universal Forecasting", 2025.
    """

    _tags: ClassVar[dict[str, Any]] = {"python_dependencies": ["torch", "chronos-forecasting"]}

    def __init__(
        self,
        path="amazon/chronos-2",
        revision=None,
        device="cpu",
        dtype="float32",
        batch_size=256,
        context_length=512,
        threads=1,
    ):
        self.path = path
        self.revision = revision
        self.device = device
        self.dtype = dtype
        self.batch_size = batch_size
        self.context_length = context_length
        self.threads = threads
        super().__init__()
        if dtype not in DTYPES:
            raise ValueError(f"dtype is {dtype!r}; it must be one of {', '.join(DTYPES)}")
        for name in ("batch_size", "context_length", "threads"):
            at_least(name, getattr(self, name), 1)

    def _fit_matrix(self, y, covariates):
        self._units = y[:, -self.context_length :]

    def _predict_matrix(self, horizon, covariates):
        levels, values = self._told(horizon)
        weights = _probability_around(levels)
        mean = np.zeros(values.shape[:2])
        for place, weight in enumerate(weights):
            mean += weight * values[:, :, place]
        return mean

    def quantiles(self, levels: Sequence[float], horizon: int) -> Array | None:
        """The model's own quantiles of each day ahead.

        Args:
            levels: L of them. Between the model's own ones they lie on a line; beyond them they are the outermost.
            horizon: days ahead, H.

        Returns:
            n x H x L, not below 0 and not crossing; NaN for a series without an observed day.
        """
        own, values = self._told(horizon)
        ranked = np.maximum(np.maximum.accumulate(values, axis=2), 0.0)
        above = np.clip(np.searchsorted(own, levels), 1, len(own) - 1)
        share = np.clip((np.asarray(levels) - own[above - 1]) / (own[above] - own[above - 1]), 0.0, 1.0)
        return ranked[:, :, above - 1] + share * (ranked[:, :, above] - ranked[:, :, above - 1])

    def _told(self, horizon: int) -> tuple[Array, Array]:
        """Levels that the model was trained on, Q, and its quantiles, n x horizon x Q of float64."""
        with _threads(self.threads):
            pipeline = _pipeline(self.path, self.revision, self.device, self.dtype)
            levels = np.array(pipeline.quantiles, dtype=np.float64)
            values = np.full((len(self._units), horizon, len(levels)), np.nan)
            rows = np.flatnonzero((~np.isnan(self._units)).any(axis=1))
            for start in range(0, len(rows), self.batch_size):
                chosen = rows[start : start + self.batch_size]
                batch = np.zeros((self.batch_size, 1, self._units.shape[1]), dtype=np.float32)
                batch[: len(chosen), 0] = self._units[chosen]
                given = pipeline.predict(batch, prediction_length=horizon, batch_size=self.batch_size)
                for place, row in enumerate(chosen):
                    values[row] = given[place][0].float().cpu().numpy().T
        return levels, values

    @classmethod
    def get_test_params(cls, parameter_set="default"):
        """Settings of sktime's conformance suite, which needs the weights."""
        return {}


def _probability_around(levels: Array) -> Array:
    """The probability that each quantile stands for: half way to its neighbours, 0 and 1 beyond the last; sums to 1."""
    edges = np.concatenate([[0.0], levels, [1.0]])
    around = (edges[2:] - edges[:-2]) / 2.0
    return around / around.sum()


@lru_cache(maxsize=2)
def _pipeline(path: str, revision: str | None, device: str, dtype: str) -> Any:
    """The checkpoint, loaded once a process."""
    import torch
    from chronos import Chronos2Pipeline

    named = {} if revision is None else {"revision": revision}
    return Chronos2Pipeline.from_pretrained(path, device_map=device, dtype=getattr(torch, dtype), **named)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` threads, and put the number back."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)
