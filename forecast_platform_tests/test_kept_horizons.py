"""Models that are not kept in full: what is kept of them, from when on, and that nothing of a part is published."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
import yaml
from click.testing import Result
from pydantic import ValidationError

from forecast_platform.assets.champions import champion_rules
from forecast_platform.assets.publications import choose_versions
from forecast_platform.io_managers.columns import FrameRefused
from forecast_platform.io_managers.ledger import log_origin
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform.tenant import Tenant
from forecast_platform_tests.faults.invariants import assert_sound
from forecast_platform_tests.io_managers.test_ledger import DAY, A, B, append, candidate, know_series, numbers
from forecast_platform_tests.test_cli import command  # noqa: F401

KEPT = (1, 3)


def tenant(**given: Any) -> Tenant:
    return Tenant.model_validate({"start": "2026-01-01", "source": {"kind": "demo"}} | given)


def held(warehouse: Warehouse) -> dict[int, list[int]]:
    """The horizons on record by version, of all series together."""
    with warehouse.reading() as session:
        rows = session.execute("select version_id, horizon from forecasts order by 1, 2")
    return {version: [step for each, step in rows if each == version] for version, _ in rows}


def test_of_a_model_that_is_not_kept_in_full_its_horizons_are_kept_and_the_log_counts_them(warehouse: Warehouse):
    know_series(warehouse)
    assert append(warehouse, candidate(A, "a", kept=KEPT)).series == 4
    assert held(warehouse) == {1: [1] * 4 + [3] * 4}
    with warehouse.transaction() as session:
        assert log_origin(session, DAY, run_id="run", complete=True).rows == 8
    assert_sound(warehouse)


def test_what_is_computed_is_checked_whole_whatever_is_kept(warehouse: Warehouse):
    know_series(warehouse)
    frame = numbers(A)
    with pytest.raises(FrameRefused, match="each horizon of 1 to 3"):
        append(warehouse, candidate(frame[frame["horizon"] != 2], "a", kept=KEPT))


def test_a_change_of_the_setting_rewrites_nothing_and_counts_from_then_on(warehouse: Warehouse):
    know_series(warehouse)
    append(warehouse, candidate(A, "a"))
    assert append(warehouse, candidate(A, "a", kept=KEPT)).outcome == "on record"
    assert append(warehouse, candidate(A, "same numbers of other inputs", kept=KEPT)).outcome == "unchanged"
    assert append(warehouse, candidate(B, "b", kept=KEPT)).series == 1
    assert held(warehouse) == {1: [1] * 4 + [2] * 4 + [3] * 4, 3: [1, 3]}
    assert append(warehouse, candidate(B, "whole again")).series == 1
    assert held(warehouse)[4] == [1, 2, 3]
    assert_sound(warehouse)


def test_only_what_is_kept_in_full_is_published(warehouse: Warehouse):
    know_series(warehouse)
    append(warehouse, candidate(A, "part", model="linear", kept=KEPT))
    append(warehouse, candidate(A, "whole", model="seasonal_naive_7"))
    with warehouse.transaction() as session:
        session.execute(
            "insert into ledger_batches (batch_id, digest, asset, origin_date, part, code_version, inputs, rows)"
            " values (1, 'd', 'forecast_intervals', :day, '', '1', '{}', 24)",
            {"day": DAY},
        )
        session.months(_intervals(), [DAY])
        session.execute(
            "insert into forecast_intervals select origin_date, version_id, series_id, horizon, 1, 0, 1, 2, 3, 4"
            " from forecasts"
        )
    with warehouse.reading() as session:
        chosen = choose_versions(session, DAY, ("linear", "seasonal_naive_7"))
    assert chosen["model"].tolist() == ["seasonal_naive_7"] * 4


def _intervals():
    from forecast_platform.tables import forecast_intervals

    return forecast_intervals


def test_by_default_every_model_is_kept_in_full():
    plain = tenant()
    assert plain.kept_horizons("linear") is None
    assert champion_rules(plain).models == plain.publishable_models != ()


def test_champions_are_chosen_among_the_models_that_are_kept_in_full():
    given = tenant(kept_in_full=["linear", "seasonal_naive_7"], scored_horizons=[1, 7, 28])
    assert champion_rules(given).models == ("seasonal_naive_7", "linear")
    assert champion_rules(given).default_model == "linear"
    assert given.kept_horizons("naive") == (1, 7, 28)
    assert given.kept_horizons("linear") is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scored_horizons": [1]}, "kept_in_full and scored_horizons go together"),
        ({"kept_in_full": ["seasonal_naive_7"]}, "kept_in_full and scored_horizons go together"),
        ({"kept_in_full": ["linear"], "scored_horizons": [1]}, "kept_in_full lacks seasonal_naive_7"),
        ({"kept_in_full": ["seasonal_naive_7", "lin"], "scored_horizons": [1]}, "kept_in_full names lin; the models"),
        ({"kept_in_full": ["seasonal_naive_7"], "scored_horizons": [7, 29]}, r"\[7, 29\] must be days 1 to 28"),
        ({"kept_in_full": ["seasonal_naive_7"], "scored_horizons": [7, 1]}, "each once, in order"),
        (
            {
                "kept_in_full": ["seasonal_naive_7"],
                "scored_horizons": [1],
                "publication": {"default_model": "linear"},
            },
            "kept_in_full lacks linear",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any], words: str):
    with pytest.raises(ValidationError, match=words):
        tenant(**given)


def test_a_model_that_is_kept_in_part_is_not_pinned(command: Callable[..., Result], tmp_path):  # noqa: F811
    path = tmp_path / "tenants" / "corner" / "defs.yaml"
    given = yaml.safe_load(path.read_text())
    given["attributes"] |= {"kept_in_full": ["seasonal_naive_7", "linear"], "scored_horizons": [1, 7]}
    path.write_text(yaml.safe_dump(given))
    result = command("models", "pin", "--tenant", "corner", "--model", "ensemble", "--from", f"{date(2026, 2, 1)}")
    assert (result.exit_code, "publishes seasonal_naive_7, linear; add it to kept_in_full" in result.output) == (
        2,
        True,
    )
