"""The newest publication of a series counts, and its version's forecasts are all there or it is an error."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from forecast_platform import tables
from forecast_platform.assets.published import PublishedForecasts, published_digest, published_series
from forecast_platform.io_managers.batches import Batch, append_batch
from forecast_platform.io_managers.warehouse import Warehouse

ORIGIN, BEFORE = date(2026, 3, 2), date(2026, 3, 1)
NAMES = {1: ("b", "north"), 2: ("a", "south"), 3: ("a", "north")}


@pytest.fixture
def ledger(warehouse: Warehouse) -> Warehouse:
    """Three series; two versions of each of two origins, the second of series 1 only."""
    series = pd.DataFrame(
        [(number, *name, pd.Timestamp(BEFORE)) for number, name in NAMES.items()],
        columns=["series_id", "sku", "location", "first_seen"],
    )
    with warehouse.transaction() as session:
        session.append(tables.series, series)
        for number, (origin, model, held) in enumerate(
            [(BEFORE, "naive", (1, 2, 3)), (ORIGIN, "naive", (1, 2, 3)), (ORIGIN, "linear", (1,))], start=1
        ):
            version = {
                "version_id": [number],
                "digest": [f"digest {number}"],
                "origin_date": [pd.Timestamp(origin)],
                "model": [model],
                "model_spec": [f"{model}()"],
                "code_version": ["1"],
                "horizon": [2],
                "inputs": ["{}"],
                "series": [len(held)],
                "live": [True],
                "horizons": [None],
            }
            session.append(tables.forecast_versions, pd.DataFrame(version))
            rows = [
                (pd.Timestamp(origin), number, each, day, 10.0 * number + each, "model")
                for each in held
                for day in (1, 2)
            ]
            session.append(tables.forecasts, pd.DataFrame(rows, columns=tables.forecasts.columns.keys()))
    return warehouse


def publish(warehouse: Warehouse, origin: date, versions: dict[int, int], inputs: str) -> None:
    rows = pd.DataFrame(
        {
            "origin_date": pd.Timestamp(origin),
            "series_id": list(versions),
            "version_id": list(versions.values()),
            "calibration_id": 1,
            "confidence": 0.5,
            "published_at": datetime(2026, 3, 3, tzinfo=UTC),
        }
    )
    with warehouse.transaction() as session:
        append_batch(session, tables.publications, Batch(origin, "", "1", {}, f"{origin} {inputs}", rows))


def read(warehouse: Warehouse, horizon: int = 2) -> PublishedForecasts:
    with warehouse.reading() as session:
        rows = published_series(session, BEFORE, ORIGIN)
    return PublishedForecasts(warehouse, rows, horizon=horizon)


def test_the_newest_publication_of_each_series_is_read_in_order_of_names(ledger: Warehouse):
    publish(ledger, BEFORE, {1: 1, 2: 1, 3: 1}, "first")
    publish(ledger, ORIGIN, {1: 2, 2: 2, 3: 2}, "first")
    then = published_digest(read(ledger).named(ORIGIN))
    publish(ledger, ORIGIN, {1: 3}, "second")
    forecasts = read(ledger)
    assert published_digest(forecasts.named(ORIGIN)) != then != published_digest(forecasts.named(date(2026, 3, 9)))
    found = forecasts.at(ORIGIN)
    names = list(zip(found.series.sku, found.series.location, strict=True))
    assert names == [("a", "north"), ("a", "south"), ("b", "north")]
    assert found.model.tolist() == ["naive", "naive", "linear"] and found.version_id.tolist() == [2, 2, 3]
    assert found.spec.tolist() == ["naive()", "naive()", "linear()"]
    assert found.mean.tolist() == [[23.0, 23.0], [22.0, 22.0], [31.0, 31.0]]
    assert forecasts.at(BEFORE).mean[:, 0].tolist() == [13.0, 12.0, 11.0]


def test_an_origin_without_publications_is_empty_and_a_damaged_ledger_an_error(ledger: Warehouse):
    forecasts = read(ledger)
    assert forecasts.named(ORIGIN).empty and forecasts.at(ORIGIN).mean.shape == (0, 2)
    publish(ledger, ORIGIN, {1: 2}, "first")
    longer = read(ledger, horizon=3)
    with pytest.raises(ValueError, match="version 2 of 2026-03-02 does not hold days 1 to 3 of b at north"):
        longer.at(ORIGIN)
    whole = read(ledger)
    assert np.array_equal(whole.at(ORIGIN).mean, [[21.0, 21.0]])
