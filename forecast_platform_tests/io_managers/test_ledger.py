"""The ledger only grows, never doubles, and its newest numbers are those of the last full inputs."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forecast_platform.digest import combine
from forecast_platform.io_managers.columns import FrameRefused
from forecast_platform.io_managers.ledger import (
    Appended,
    RecordedVersions,
    Version,
    VersionCandidate,
    append_version,
    differing_series,
    log_origin,
    next_digest,
    on_record,
    recorded_versions,
)
from forecast_platform.io_managers.reads import InputsChanged
from forecast_platform.io_managers.warehouse import Session, Warehouse
from forecast_platform.tables import raw_sales
from forecast_platform_tests.faults.invariants import assert_sound
from forecast_platform_tests.sales_frames import DAY, sales

HORIZON = 3
SKUS = [f"sku {number:04d}" for number in range(4)]
_clock = itertools.count()


def know_series(warehouse: Warehouse, rows: int = len(SKUS)) -> None:
    with warehouse.transaction() as session:
        session.replace_days(raw_sales, sales(DAY, rows=rows), DAY, DAY, asset="raw_sales", run_id="run")


def numbers(means: Mapping[str, float], *, status: str = "model") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"sku": sku, "location": "all", "horizon": step, "mean": mean + step, "status": status}
            for sku, mean in means.items()
            for step in range(1, HORIZON + 1)
        ],
        columns=["sku", "location", "horizon", "mean", "status"],
    )


def candidate(means: Mapping[str, float] | pd.DataFrame | None, digest: str, *, model: str = "naive", **more):
    frame = means if means is None or isinstance(means, pd.DataFrame) else numbers(means)
    return VersionCandidate(
        origin_date=DAY, model=model, model_spec="Naive()", code_version="1", horizon=HORIZON, inputs={"a": 1},
        input_digest=digest, live=True, forecasts=frame,
        started_at=datetime(2026, 1, 6, tzinfo=UTC) + pd.Timedelta(seconds=next(_clock)), **more,
    )  # fmt: skip


def append(warehouse: Warehouse, each: VersionCandidate) -> Appended:
    with warehouse.transaction() as session:
        session.lock("forecast_versions")
        return append_version(session, each, run_id="run")


def newest(warehouse: Warehouse, model: str = "naive") -> dict[str, list[float]]:
    with warehouse.reading() as session:
        return newest_means(session, model)


def newest_means(session: Session, model: str) -> dict[str, list[float]]:
    """The newest means of each SKU by horizon, found by plain SQL."""
    rows = session.frame(
        "select s.sku, f.horizon, f.mean from forecasts f join series s on s.series_id = f.series_id"
        " join forecast_versions v on v.version_id = f.version_id where v.model = :model and f.version_id ="
        " (select max(g.version_id) from forecasts g join forecast_versions w on w.version_id = g.version_id where"
        " w.model = :model and g.series_id = f.series_id and g.origin_date = f.origin_date) order by 1, 2",
        {"model": model},
    )
    return {sku: group["mean"].tolist() for sku, group in rows.groupby("sku")}


def expected(means: Mapping[str, float]) -> dict[str, list[float]]:
    return {sku: [mean + step for step in range(1, HORIZON + 1)] for sku, mean in sorted(means.items())}


def ledger_rows(warehouse: Warehouse) -> set[tuple]:
    with warehouse.reading() as session:
        return set(session.execute("select * from forecasts"))


def versions(warehouse: Warehouse) -> pd.DataFrame:
    return warehouse.read("select * from forecast_versions order by version_id")


A = dict.fromkeys(SKUS, 10.0)
B = A | {SKUS[1]: 20.0}


def test_the_same_inputs_append_once(warehouse: Warehouse):
    know_series(warehouse)
    assert append(warehouse, candidate(A, "a")) == Appended(1, 4, "appended")
    assert recorded_versions(warehouse, DAY, DAY).holds(DAY, "naive", "a")
    before = ledger_rows(warehouse)
    assert append(warehouse, candidate(A, "a")) == Appended(1, 0, "on record")
    assert append(warehouse, candidate(None, "a", outcome="on record")) == Appended(1, 0, "on record")
    assert ledger_rows(warehouse) == before and len(versions(warehouse)) == 1
    assert newest(warehouse) == expected(A)


def test_a_correction_appends_the_series_it_moved_and_no_others(warehouse: Warehouse):
    know_series(warehouse)
    append(warehouse, candidate(A, "a"))
    assert append(warehouse, candidate(B, "b")) == Appended(2, 1, "appended")
    assert len(ledger_rows(warehouse)) == 5 * HORIZON
    assert newest(warehouse) == expected(B)
    assert versions(warehouse)["series"].tolist() == [4, 1]


def test_a_correction_that_is_taken_back_is_a_third_version(warehouse: Warehouse):
    know_series(warehouse)
    for means, digest in ((A, "a"), (B, "b"), (A, "a")):
        append(warehouse, candidate(means, digest))
    assert versions(warehouse)["digest"].tolist() == ["a", "b", combine("a", "b")]
    assert newest(warehouse) == expected(A)
    assert append(warehouse, candidate(A, "a")) == Appended(3, 0, "on record")
    assert append(warehouse, candidate(B, "b")) == Appended(4, 1, "appended")
    assert newest(warehouse) == expected(B)


def test_inputs_that_change_no_number_leave_a_version_without_rows(warehouse: Warehouse):
    know_series(warehouse)
    append(warehouse, candidate(A, "a"))
    before = ledger_rows(warehouse)
    assert append(warehouse, candidate(A, "a2")) == Appended(2, 0, "unchanged")
    assert ledger_rows(warehouse) == before
    for digest in ("a", "a2", "a"):
        assert append(warehouse, candidate(A, digest)).outcome == "on record"
    assert len(versions(warehouse)) == 2


def test_a_run_over_some_series_does_not_stand_in_the_way_of_a_run_over_all(warehouse: Warehouse):
    know_series(warehouse)
    some = {SKUS[0]: 10.0}
    assert append(warehouse, candidate(some, "some")) == Appended(1, 1, "appended")
    assert append(warehouse, candidate(A, "all")) == Appended(2, 3, "appended")
    assert append(warehouse, candidate(some, "some")).series == 0
    assert append(warehouse, candidate(A, "all")).series == 0
    count = len(versions(warehouse))
    for _ in range(3):
        assert append(warehouse, candidate(some, "some")).outcome == "on record"
        assert append(warehouse, candidate(A, "all")).outcome == "on record"
    assert len(versions(warehouse)) == count
    assert newest(warehouse) == expected(A) and len(ledger_rows(warehouse)) == 4 * HORIZON


def test_the_last_bit_of_a_mean_and_the_status_are_differences(warehouse: Warehouse):
    know_series(warehouse)
    append(warehouse, candidate(A, "a"))
    nudged = numbers(A)
    nudged.loc[4, "mean"] = np.nextafter(nudged.loc[4, "mean"], np.inf)
    assert append(warehouse, candidate(nudged, "b")).series == 1
    nudged.loc[nudged["sku"] == SKUS[2], "status"] = "capped"
    assert append(warehouse, candidate(nudged, "c")).series == 1


def test_models_and_origins_do_not_see_each_other(warehouse: Warehouse):
    know_series(warehouse)
    append(warehouse, candidate(A, "a"))
    assert append(warehouse, candidate(B, "b", model="linear")) == Appended(2, 4, "appended")
    assert newest(warehouse) == expected(A) and newest(warehouse, "linear") == expected(B)
    recorded = recorded_versions(warehouse, DAY, DAY)
    assert not recorded.holds(DAY, "linear", "a") and not recorded.holds(date(2026, 1, 6), "naive", "a")
    with pytest.raises(ValueError, match="must hold the origin and the model"):
        append(warehouse, candidate(A, "a", model="linear"))


def test_a_failed_model_leaves_a_line_in_the_log_and_nothing_else(warehouse: Warehouse):
    know_series(warehouse)
    assert append(warehouse, candidate(None, "a", outcome="failed: singular")) == Appended(None, 0, "failed: singular")
    asked = warehouse.read("select outcome, version_id, appended, ended_at from forecast_runs")
    assert asked["outcome"].tolist() == ["failed: singular"] and asked["version_id"].isna().all()
    assert versions(warehouse).empty and not ledger_rows(warehouse)
    assert not recorded_versions(warehouse, DAY, DAY).holds(DAY, "naive", "a")


def test_every_asking_is_logged_once_with_its_outcome(warehouse: Warehouse):
    know_series(warehouse)
    asked = candidate(A, "a", requested_by="cli", reason="because", fallbacks=2)
    append(warehouse, asked)
    append(warehouse, asked)
    append(warehouse, candidate(None, "a", outcome="on record"))
    log = warehouse.read("select * from forecast_runs order by started_at")
    assert log[["outcome", "appended", "version_id"]].values.tolist() == [["appended", 4, 1], ["on record", 0, 1]]
    assert log.loc[0, ["requested_by", "reason", "fallbacks"]].tolist() == ["cli", "because", 2]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.assign(mean=[np.nan, *f["mean"][1:]]), "forecasts.mean is never null"),
        (lambda f: f.assign(mean=[np.inf, *f["mean"][1:]]), "forecasts.mean: an infinite value"),
        (lambda f: f.iloc[1:], "each horizon of 1 to 3"),
        (lambda f: f.assign(horizon=f["horizon"] + 1), "each horizon of 1 to 3"),
        (lambda f: pd.concat([f, f.head(1)]), "repeat a key"),
        (lambda f: f.assign(sku="unheard of"), "series_id is never null"),
        (lambda f: f.drop(columns="sku"), "no column series_id, nor sku"),
        (lambda f: f.drop(columns=["sku", "location"]).assign(series_id=99), "series_id 99 is not in series"),
        (lambda f: f.drop(columns="status"), "missing status"),
    ],
    ids=["nan", "infinite", "hole", "shifted", "twice", "unknown sku", "unnamed", "unknown id", "no status"],
)
def test_numbers_that_are_not_whole_are_refused_and_nothing_is_kept(warehouse: Warehouse, spoil, message):
    know_series(warehouse)
    with pytest.raises(FrameRefused, match=message):
        append(warehouse, candidate(spoil(numbers({SKUS[0]: 1.0})), "a"))
    assert versions(warehouse).empty and warehouse.read("select * from forecast_runs").empty


def test_a_candidate_without_numbers_that_is_not_on_record_is_refused(warehouse: Warehouse):
    with pytest.raises(InputsChanged, match="another run appended"):
        append(warehouse, candidate(None, "a", outcome="on record"))


def test_an_origin_is_logged_after_its_last_model_and_kept_up_to_date(warehouse: Warehouse):
    know_series(warehouse)

    def log(complete: bool):
        with warehouse.transaction() as session:
            return log_origin(session, DAY, run_id="run", complete=complete)

    append(warehouse, candidate(A, "a"))
    assert log(False) is None and warehouse.logged("forecasts", DAY, DAY) == {}
    first = log(True)
    assert first.rows == 4 * HORIZON
    append(warehouse, candidate(A, "a2"))
    assert log(True) == first
    append(warehouse, candidate(B, "b"))
    later = log(False)
    assert later.rows == 5 * HORIZON and later.digest != first.digest


def test_an_empty_panel_is_a_version_without_series(warehouse: Warehouse):
    empty = numbers({}).astype({"horizon": "int64", "mean": "float64"})
    assert append(warehouse, candidate(empty, "a")) == Appended(1, 0, "unchanged")
    assert append(warehouse, candidate(empty, "a")).outcome == "on record"


def test_both_warehouses_keep_the_same_versions(duckdb_warehouse: Warehouse, postgres_warehouse: Warehouse):
    logged = []
    for warehouse in (duckdb_warehouse, postgres_warehouse):
        know_series(warehouse)
        for means, digest in ((A, "a"), (B, "b"), (A, "a")):
            append(warehouse, candidate(means, digest))
        with warehouse.transaction() as session:
            logged.append(log_origin(session, DAY, run_id="run", complete=True))
    assert logged[0] == logged[1]
    pd.testing.assert_frame_equal(versions(duckdb_warehouse), versions(postgres_warehouse))


HISTORY = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=8)


@given(HISTORY)
def test_a_version_just_written_is_on_record_and_digests_never_repeat(steps):
    history: list[Version] = []
    for digest, appended in steps:
        if on_record(history, digest) is None:
            history.append(Version(len(history) + 1, next_digest(history, digest), int(appended), int(appended)))
            assert on_record(history, digest) == len(history)
    assert len({version.digest for version in history}) == len(history)


RUN = st.tuples(
    st.sampled_from(["all", "some", "others"]), st.dictionaries(st.sampled_from(SKUS), st.integers(0, 2), max_size=2)
)
SCOPES = {"all": SKUS, "some": SKUS[:2], "others": SKUS[1:]}


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(steps=[("all", {}), ("all", {SKUS[1]: 1}), ("all", {SKUS[1]: 0}), ("all", {SKUS[1]: 1})], pooled=False)
@example(steps=[("all", {}), ("some", {}), ("all", {}), ("some", {}), ("all", {})], pooled=True)
@given(steps=st.lists(RUN, min_size=1, max_size=6), pooled=st.booleans())
def test_whatever_ran_before_the_newest_numbers_are_those_of_the_last_inputs(
    warehouse: Warehouse, steps: list[tuple[str, dict[str, int]]], pooled: bool
):
    """``pooled``: a series' number depends on the others in the run, so that runs over some and over all disagree."""
    if warehouse.first_day("raw_sales") is None:
        know_series(warehouse)
    model = f"model {uuid.uuid4().hex}"
    facts = dict.fromkeys(SKUS, 0)
    rows, shown = ledger_rows(warehouse), {}
    for scope, corrections in steps:
        facts |= corrections
        asked = {sku: facts[sku] for sku in SCOPES[scope]}
        means = {sku: float(value + (100 * sum(asked.values()) if pooled else 0)) for sku, value in asked.items()}
        digest = combine(model, scope, *(f"{sku}={value}" for sku, value in asked.items()))
        for repeat in (False, True):
            with warehouse.transaction() as session:
                before = recorded_versions(session, DAY, DAY)
                held = before.holds(DAY, model, digest)
                assert held or not repeat
                asking = candidate(None if held else means, digest, model=model)
                result = append_version(session, asking, run_id="run")
                after = recorded_versions(session, DAY, DAY)
                assert count_of(after) == count_of(before) + (not held)
                shown |= expected(means)
                assert newest_means(session, model) == shown
                grown = set(session.execute("select * from forecasts"))
            assert rows <= grown and len(grown) - len(rows) == result.series * HORIZON
            rows = grown
    assert_sound(warehouse)


def count_of(recorded: RecordedVersions) -> int:
    return sum(map(len, recorded.histories.values()))


@pytest.mark.slow
def test_thirty_thousand_series_are_compared_in_seconds(warehouse: Warehouse):
    count, horizon = 30_000, 28
    know_series(warehouse, rows=count)
    ids = np.repeat(np.arange(1, count + 1), horizon)
    frame = pd.DataFrame(
        {
            "series_id": ids,
            "horizon": np.tile(np.arange(1, horizon + 1), count),
            "mean": np.random.default_rng(5).gamma(2.0, 3.0, len(ids)),
            "status": pd.Series(["model"] * len(ids), dtype=pd.ArrowDtype(pa.string())),
        }
    )

    def timed(each: pd.DataFrame, digest: str) -> tuple[int, float]:
        asked = candidate(each, digest)
        started = time.monotonic()
        result = append(warehouse, replace(asked, horizon=horizon))
        return result.series, time.monotonic() - started

    assert timed(frame, "a")[0] == count
    changed = frame.assign(mean=np.where(frame["series_id"] == 777, frame["mean"] + 1, frame["mean"]))
    series, seconds = timed(changed, "b")
    assert series == 1 and seconds < 20


def test_a_longer_horizon_than_on_record_differs_for_every_series():
    def rows(horizon: int) -> pa.Table:
        return pa.table(
            {
                "series_id": pa.array(np.repeat([1, 2], horizon), pa.int32()),
                "horizon": pa.array(np.tile(np.arange(1, horizon + 1), 2), pa.int16()),
                "mean": np.ones(2 * horizon),
                "status": pa.array(["model"] * 2 * horizon),
            }
        )

    assert differing_series(rows(3), rows(2)).tolist() == [1, 2]
    assert differing_series(rows(2), rows(3)).tolist() == [1, 2]
    assert differing_series(rows(3), rows(3)).tolist() == []
    assert differing_series(rows(3), rows(3).slice(0, 3)).tolist() == [2]
