"""The accuracy of reports: of a range of days each one's is what it is alone, and what adding up by hand gives."""

from __future__ import annotations

import math
import random
from datetime import date, timedelta
from fractions import Fraction
from typing import NamedTuple

import pytest

from forecast_platform.assets.report_accuracy import SPAN, WORST, Accuracy, read_accuracy
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform.reporting.figures import CHAMPIONS, FLOOR, PUBLISHED, SOURCES, WINDOWS

FIRST, DAYS = date(2026, 1, 1), 112
REPORTED = [FIRST + timedelta(days=DAYS - SPAN + number) for number in range(SPAN)]
MODELS, BUCKETS, SERIES = (FLOOR, "linear", "naive"), ("1", "2-7"), range(1, WORST + 4)
COLUMNS = """
    target_date date, series_id integer, {model} horizon_bucket text, n integer, sum_error double precision,
    sum_abs_error double precision, sum_actual double precision, n_scaled integer, sum_scaled_sq double precision
"""


class Cell(NamedTuple):
    """A row of ``error_sums`` or, without a model, of ``published_sums``."""

    day: date
    series: int
    model: str | None
    bucket: str
    n: int
    error: float
    abs_error: float
    actual: float
    n_scaled: int
    scaled_sq: float

    @property
    def values(self) -> str:
        model = [] if self.model is None else [repr(self.model)]
        named = [f"date '{self.day}'", str(self.series), *model, repr(self.bucket), *map(repr, self[4:])]
        return f"({', '.join(named)})"


def scored() -> tuple[list[Cell], list[Cell], dict[tuple[date, int], str]]:
    """Errors of a hundred days by model, what was published, and the champions of the reported days.

    One series has no scale, another is new in the last week, some cells of a model are of other origins.
    """
    chance = random.Random(7)
    errors, published = [], []
    for day in (FIRST + timedelta(days=number) for number in range(DAYS)):
        for series in SERIES:
            if series == SERIES[1] and day < REPORTED[-5]:
                continue
            for bucket in BUCKETS:
                for model in (None, *MODELS):
                    error = round(chance.gauss(0, 50), chance.choice([0, 1, 13]))
                    scale = 0 if series == SERIES[0] else 2
                    n = 2 if model is None or chance.random() < 0.9 else 1
                    scaled = round(error * error / 7, 14) if scale else 0.0
                    actual = float(chance.randint(0, 90))
                    cell = Cell(day, series, model, bucket, n, error, abs(error), actual, scale, scaled)
                    (published if model is None else errors).append(cell)
    champions = {(day, series): chance.choice(MODELS) for day in REPORTED for series in SERIES}
    return errors, published, champions


@pytest.fixture
def held(warehouse: Warehouse) -> tuple[Warehouse, list[Cell], list[Cell], dict[tuple[date, int], str]]:
    errors, published, champions = scored()
    with warehouse.transaction() as session:
        session.execute(f"create table error_sums ({COLUMNS.format(model='model text,')})")
        session.execute(f"create table published_sums ({COLUMNS.format(model='')})")
        for table, cells in (("error_sums", errors), ("published_sums", published)):
            session.execute(f"insert into {table} values {', '.join(cell.values for cell in cells)}")
        ids = ", ".join(f"({series}, 'sku {series}', 'all', date '{FIRST}')" for series in SERIES)
        session.execute(f"insert into series (series_id, sku, location, first_seen) values {ids}")
        rows = ", ".join(
            f"(date '{day}', {series}, '{model}', '{model}', 'held', 'all', 1, 1, 0.5)"
            for (day, series), model in champions.items()
        )
        names = "as_of, series_id, model, incumbent, reason, segment, days_held, n, confidence"
        session.execute(f"insert into champions ({names}) values {rows}")
    return warehouse, errors, published, champions


def read(warehouse: Warehouse, first: date, last: date) -> dict[date, Accuracy]:
    with warehouse.reading() as session:
        found = read_accuracy(session, first, last)
        return {day: found.of(session, day) for day in REPORTED if first <= day <= last}


def test_days_of_a_range_are_told_as_each_one_alone_to_the_bit(held):
    warehouse, *_ = held
    together = read(warehouse, REPORTED[0], REPORTED[-1])
    for day in (REPORTED[0], REPORTED[6], REPORTED[-1]):
        assert read(warehouse, day, day)[day] == together[day]
    assert read(warehouse, REPORTED[3], REPORTED[5])[REPORTED[4]] == together[REPORTED[4]]


def test_sums_are_those_of_the_origins_that_were_published(held):
    warehouse, errors, published, champions = held
    of = {(cell.day, cell.series, cell.bucket): cell.n for cell in published}
    for day, told in read(warehouse, REPORTED[2], REPORTED[9]).items():
        chosen = {
            PUBLISHED: published,
            FLOOR: [cell for cell in errors if cell.model == FLOOR],
            CHAMPIONS: [cell for cell in errors if cell.model == champions[day, cell.series]],
        }
        for source in SOURCES:
            cells = [cell for cell in chosen[source] if of[cell.day, cell.series, cell.bucket] == cell.n]
            for window in WINDOWS:
                recent = [cell for cell in cells if 0 <= (day - cell.day).days < window]
                assert_same(told.accuracy[window, source], recent)
                assert told.accuracy[window, source].rmsse == pytest.approx(mean_rmsse(recent), rel=1e-12)
            if source != CHAMPIONS:
                month = [cell for cell in cells if 0 <= (day - cell.day).days < 28]
                for bucket in BUCKETS:
                    assert_same(told.buckets[bucket, source], [cell for cell in month if cell.bucket == bucket])
                assert_same(told.daily[day, source], [cell for cell in cells if cell.day == day])
                assert sum(each == source for _, each in told.daily) == 90
        assert set(told.worst) == {7, 28}
        for window, worst in told.worst.items():
            missed = {
                series: [cell for cell in published if cell.series == series and 0 <= (day - cell.day).days < window]
                for series in SERIES
            }
            order = sorted(missed, key=lambda series: (-sum(Fraction(c.abs_error) for c in missed[series]), series))
            assert list(worst) == order[:WORST]
            for series, scores in worst.items():
                assert_same(scores, missed[series])


def assert_same(scores, cells: list[Cell]) -> None:
    assert scores.n == sum(cell.n for cell in cells)
    for found, name in ((scores.error, "error"), (scores.abs_error, "abs_error"), (scores.actual, "actual")):
        assert found == pytest.approx(float(sum(Fraction(getattr(cell, name)) for cell in cells)), rel=1e-12, abs=1e-9)


def mean_rmsse(cells: list[Cell]) -> float:
    sums: dict[int, tuple[float, int]] = {}
    for cell in cells:
        total, n = sums.get(cell.series, (0.0, 0))
        sums[cell.series] = total + cell.scaled_sq, n + cell.n_scaled
    values = [math.sqrt(total / n) for total, n in sums.values() if n]
    return sum(values) / len(values)


def test_before_anything_was_scored_nothing_is_told(held):
    warehouse, *_ = held
    with warehouse.reading() as session:
        assert read_accuracy(session, FIRST - timedelta(days=3), FIRST - timedelta(days=1)).of(
            session, FIRST - timedelta(days=2)
        ) == Accuracy(worst={7: {}, 28: {}})
