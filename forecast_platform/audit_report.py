"""The text of an audit for people at a terminal. What is on record is gathered in ``audit``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
from rich.markup import escape

from forecast_platform.logs import one_line
from forecast_platform.report import signed, text_table

Row = dict[str, Any]

DIGITS = 8
"""Of a run's id or a digest, as people read it."""

DAYS_SHOWN = 10
"""Of changed days in a sentence; ``--json`` has them all."""


def audit_text(found: Row) -> str:
    """An audit as tables and sentences, in the order in which one asks."""
    title = f"{found['tenant']}: SKU {_text(found['sku'])} at {_text(found['location'])}, from {found['origin']}"
    parts = [
        one_line(title.replace("\\[", "[")),
        _asked(found),
        _went_in(found),
        _came_out(found),
        _models(found),
        _section("What later versions changed", [_change(each) for each in found["changes"]]),
        _section("Why it is published", _why_published(found)),
        _section("From the event to the forecast", _chain(found)),
    ]
    return "\n\n".join(part for part in parts if part)


def _asked(found: Row) -> str:
    groups: dict[tuple, list[Row]] = {}
    for each in found["runs"]:
        groups.setdefault((each["run_id"], _outcome(each)), []).append(each)
    rows = [
        {
            "model": "\n".join(f"{each['model']} {_text(each['version_id'])}" for each in alike),
            "outcome": _text(outcome),
            "who": _text(alike[0]["requested_by"]),
            "why": _text(alike[0]["reason"]),
            "began": _time(min(each["started_at"] for each in alike)),
            "run": _short(alike[0]["run_id"]),
            "event": _short(alike[0]["correlation_id"]),
        }
        for (_, outcome), alike in groups.items()
    ]
    columns = [
        *(("model", "model, version", str), ("outcome", "outcome", str), ("who", "asked by", str)),
        *(("why", "reason", str), ("began", "began (UTC)", str), ("run", "run", str), ("event", "event", str)),
    ]
    return text_table("Who asked", pd.DataFrame(rows), columns) if rows else ""


def _outcome(run: Row) -> str:
    if run["ended_at"] is None:
        return f"{run['outcome']}, no end on record (Dagster: {run['status'] or 'no record'})"
    return run["outcome"]


def _went_in(found: Row) -> str:
    """One line for each history: models of one origin share theirs."""
    groups: dict[str, Row] = {}
    for each in found["versions"]:
        key = each["inputs"]["inputs"]["history"]
        line = groups.setdefault(key, {"versions": [], "one": each["went_in"], "all": each["went_in_all_series"]})
        line["versions"].append(each["version_id"])
        line["source"] = each["went_in_source"]
    rows, notes = [], []
    for line in groups.values():
        numbers = _span(line["versions"])
        rows.append({"what": f"this series, version {numbers}"} | (line["one"] or {}))
        if line["all"]:
            rows.append({"what": f"all {line['all']['series']:,} series, as kept"} | line["all"])
        notes.append(f"version {numbers}: {line['source']}")
    names = ("rows", "first_day", "last_day", "mean", "sd", "zeros", "missing")
    table = pd.DataFrame(rows, dtype=object).reindex(columns=["what", *names])
    columns: Sequence[tuple[str, str, Callable]] = [
        ("what", "history of", str),
        *((name, name.replace("_", " "), _number) for name in names),
    ]
    return "\n".join([text_table("What went in", table, columns), *(f"  {one_line(note)}" for note in notes)])


def _span(numbers: Sequence[int]) -> str:
    return f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 2 else " and ".join(map(str, numbers))


def _came_out(found: Row) -> str:
    published = next((each for each in found["versions"] if each["published"]), None)
    if published is None:
        return "Nothing is published of it."
    title = f"What is published: {published['model']}, version {published['version_id']}"
    columns = [
        *(("target_date", "day", str), ("mean", "forecast", _number)),
        *((name, name, _number) for name in ("q025", "q10", "q50", "q90", "q975")),
        *(("sold", "sold", _number), ("error", "error", _signed), ("status", "status", str)),
    ]
    return text_table(title, pd.DataFrame(published["forecasts"], dtype=object), columns)


def _models(found: Row) -> str:
    """A column for each version that holds the series; the published one is marked."""
    holding = [each for each in found["versions"] if each["forecasts"]]
    days: dict[str, Row] = {}
    for version in holding:
        for each in version["forecasts"]:
            day = days.setdefault(each["target_date"], {"day": each["target_date"], "sold": each["sold"]})
            day[f"v{version['version_id']}"] = each["mean"]
    errors: Row = {"day": "mean |error|", "sold": None}
    for version in holding:
        known = [abs(each["error"]) for each in version["forecasts"] if each["error"] is not None]
        errors[f"v{version['version_id']}"] = sum(known) / len(known) if known else None
    rows = [*(days[day] for day in sorted(days)), errors]
    columns = [
        *(("day", "day", str), ("sold", "sold", _number)),
        *(
            (
                f"v{each['version_id']}",
                f"{each['model']} {each['version_id']}{' *' if each['published'] else ''}",
                _number,
            )
            for each in holding
        ),
    ]
    title = "What came out: model and version (* published)"
    return text_table(title, pd.DataFrame(rows, dtype=object), columns) if holding else ""


def _change(change: Row) -> str:
    made = f"{change['model']}: version {change['to']} after {change['from']}, {_time(change['at'])}"
    asked = f", asked by {change['requested_by']}" if change["requested_by"] else ""
    parts = [f"{made}{asked}", f"because of {'; '.join(change['why'])}"]
    parts.append(_list([f"{_day(each)}" for each in change["days"]]) or "no number of this series")
    if change["history"]:
        known = [f"{each['day']}: {_number(each['before'])} -> {_number(each['after'])}" for each in change["history"]]
        parts.append(f"its sales history changed on {_list(known)}")
    return ". ".join(parts)


def _day(each: Row) -> str:
    change = "" if each["change"] is None else f" ({signed(each['change'])})"
    return f"{each['target_date']}: {_number(each['before'])} -> {_number(each['after'])}{change}"


def _list(items: Sequence[str]) -> str:
    more = f" and {len(items) - DAYS_SHOWN} more days" if len(items) > DAYS_SHOWN else ""
    return ", ".join(items[:DAYS_SHOWN]) + more


def _why_published(found: Row) -> list[str]:
    champion = found["champion"]
    lines = []
    if champion is not None:
        figures = f"rolling RMSSE {_number(champion['rmsse'])} against {_number(champion['floor_rmsse'])} of the floor"
        lines.append(
            f"champion {champion['model']} (segment {champion['segment']}, {champion['days_held']} days):"
            f" {champion['reason']}; {figures}; confidence {_number(champion['confidence'])}"
        )
    return [*lines, found["explanation"]] if found["explanation"] else lines


def _chain(found: Row) -> list[str]:
    ids = {each["correlation_id"] for each in [*found["runs"], *found["publications"]] if each["correlation_id"]}
    lines = []
    for each in reversed(found["landed"]):
        led = next((known for known in ids if each["batch_digest"].startswith(known)), None)
        days = each["days"][0] if len(each["days"]) == 1 else f"{each['days'][0]} to {each['days'][-1]}"
        lines.append(
            f"landed {_time(each['received_at'])}: {each['name']} ({each['batch_digest'][:DIGITS]}, {each['rows']:,}"
            f" rows), holds {days}{f'; event {led}' if led else ''}"
        )
    for each in found["publications"]:
        run = f"run {each['run_id']}" if each["run_id"] else "a run that Dagster has no record of"
        event = f", event {each['correlation_id']}" if each["correlation_id"] else ""
        who = f", asked by {each['requested_by']}" if each["requested_by"] else ""
        lines.append(
            f"published {_time(each['published_at'])}: {each['model']}, version {each['version_id']},"
            f" by {run}{who}{event}"
        )
    return lines


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"  {one_line(line)}" for line in lines)]) if lines else ""


def _text(value: object) -> str:
    """Text for a cell: what it holds is neither markup nor an end of line."""
    return "-" if value is None else escape(one_line(str(value)))


def _number(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return "-"
    return value if isinstance(value, str) else f"{value:,.3f}".rstrip("0").rstrip(".")


def _signed(value: Any) -> str:
    return "-" if value is None else signed(value)


def _short(value: str | None) -> str:
    return "-" if value is None else _text(value[:DIGITS])


def _time(value: str | None) -> str:
    return "-" if value is None else f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M:%S}"
