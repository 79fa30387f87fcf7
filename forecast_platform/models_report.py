"""Tables of a tenant's models for people at a terminal: what they are, how they compare. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from forecast_platform.accuracy.champions import FLOOR, MIN_COVERAGE
from forecast_platform.accuracy.pins import Pin, PinsOfDay
from forecast_platform.assets.champions import pins_up_to
from forecast_platform.assets.scope import TenantScope
from forecast_platform.forecasting import model_specs
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.report import ratio, signed, text_table

NEWEST = """
    select model, origin_date, digest from (
      select model, origin_date, digest,
        row_number() over (partition by model order by origin_date desc, version_id desc) as age
      from forecast_versions where series > 0
    ) as ranked where age = 1
"""

ARTIFACTS = """
    select days.model, artifacts.digest, artifacts.trained_to, days.chosen from (
      select *, row_number() over (partition by model order by as_of desc) as age from artifact_days
    ) as days join model_artifacts artifacts on artifacts.digest = days.digest where days.age = 1
"""

PUBLISHED = """
    select versions.model, count(*) as series
    from published_latest latest join forecast_versions versions on versions.version_id = latest.version_id
    group by versions.model
"""

PUBLISHED_ACCURACY = "select model, horizon_bucket, n, wape, mean_rmsse, bias from published_accuracy"
ACCURACY = "select model, horizon_bucket, n, wape, mean_rmsse, bias from forecast_accuracy_total"
COVERAGE = """
    select model, horizon_bucket, inside_80, inside_95 from interval_coverage
    where segment = 'all' and window_days = 28 and as_of = (select max(as_of) from interval_coverage)
"""


DIGITS = 12
"""Of a digest, as people read it."""


class NothingScored(RuntimeError):
    """There are no errors yet by which models could be compared."""


def models_table(scope: TenantScope) -> str:
    """Every model of a tenant: spec, newest version, artefact, series published, and the pins that hold today."""
    with scope.warehouse.reading() as session:
        newest = _by_model(session, NEWEST)
        artifacts = _by_model(session, ARTIFACTS)
        published = _by_model(session, PUBLISHED)
        pins = PinsOfDay(pins_up_to(session, scope.today()), scope.today()).all()
    lines = [
        {
            "model": model.name,
            "spec": model.spec,
            "code": model.code_version,
            "version": _version(newest.get(model.name)),
            "artifact": _artifact(artifacts.get(model.name)),
            "published": str(published.get(model.name, (0,))[0]),
            "pins": str(sum(pin.model == model.name for pin in pins)),
        }
        for model in model_specs(scope.tenant.models)
    ]
    columns = [
        *(("model", "model", str), ("spec", "spec", str), ("code", "code version", str)),
        *(("version", "newest version", str), ("artifact", "artefact", str)),
        *(("published", "series published", str), ("pins", "pins", str)),
    ]
    table = text_table(f"{scope.name}: models", pd.DataFrame(lines), columns)
    return "\n".join([table, *(_pin_line(pin) for pin in pins)])


def comparison_table(scope: TenantScope) -> str:
    """Accuracy by horizon bucket: of everything scored, of what was published beside each model, and coverage.

    Raises:
        NothingScored: nothing has met its actual.
    """
    with scope.warehouse.reading() as session:
        views = session.relations()
        scores, published, coverage = (
            session.arrow(query).to_pandas() if view in views else pd.DataFrame()
            for view, query in (
                ("forecast_accuracy_total", ACCURACY),
                ("published_accuracy", PUBLISHED_ACCURACY),
                ("interval_coverage", COVERAGE),
            )
        )
    if scores.empty:
        raise NothingScored(f"no forecast of {scope.name} has met its actual yet: materialize forecast_errors first")
    if len(coverage):
        scores = scores.merge(coverage, on=["model", "horizon_bucket"], how="left")
    tables = [_accuracy("Everything scored; FVA: better than seasonal_naive_7 by", scores)]
    if len(published):
        title = "What was published, and what each model alone would have given for the same"
        tables.append(_accuracy(title, published))
    return "\n\n".join(tables)


def _by_model(session: Session, query: str) -> dict[str, Sequence]:
    return {row[0]: row[1:] for row in session.execute(query)}


def _version(newest: Sequence | None) -> str:
    return "-" if newest is None else f"{newest[1][:DIGITS]} of {newest[0]}"


def _artifact(artifact: Sequence | None) -> str:
    if artifact is None:
        return "-"
    digest, trained_to, chosen = artifact
    return f"{digest[:DIGITS]} to {trained_to}{', chosen' if chosen else ''}"


def _pin_line(pin: Pin) -> str:
    return f"{pin.model} is {pin.in_words()}"


def _accuracy(title: str, scores: pd.DataFrame) -> str:
    """By bucket, the best RMSSE first."""
    buckets: Mapping[str, int] = {name: place for place, name in enumerate(("all", "1", "2-7", "8-14", "15-28", "29+"))}
    floor = scores[scores["model"] == FLOOR].set_index("horizon_bucket")
    # As in the accuracy views: one that is new has other weeks, and only its easy first horizons.
    compared = scores["n"] >= MIN_COVERAGE * scores["horizon_bucket"].map(floor["n"])
    rows = scores.assign(
        place=scores["horizon_bucket"].map(buckets),
        fva_wape=(scores["horizon_bucket"].map(floor["wape"]) - scores["wape"]).where(compared),
        fva_rmsse=(scores["horizon_bucket"].map(floor["mean_rmsse"]) - scores["mean_rmsse"]).where(compared),
    ).sort_values(["place", "mean_rmsse", "model"])
    columns = [
        *(("horizon_bucket", "days ahead", str), ("model", "model", str), ("n", "scored", lambda n: f"{int(n):,}")),
        *(("wape", "WAPE", ratio), ("mean_rmsse", "RMSSE", ratio), ("bias", "bias", signed)),
        *(("fva_wape", "FVA (WAPE)", signed), ("fva_rmsse", "FVA (RMSSE)", signed)),
    ]
    if "inside_80" in rows:
        columns += [("inside_80", "in 80 %", ratio), ("inside_95", "in 95 %", ratio)]
    return text_table(title, rows, columns)
