"""``demo --stream``: an ERP that posts the generator's sales one by one, and the forecasts that come back.

The ERP plays past days in order at a chosen rate, each ended by its end-of-day mark; the platform lands what has
come, keeps the open day's facts up to date meanwhile, and makes the day's chain once the mark is there: what a daemon
does with schedules and sensors, here in one process. Nothing is known of a day before its events were posted, apart
from plans and stock, which the generator's files bring as they do in the demo.
"""

from __future__ import annotations

import csv
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Protocol

import click
import pandas as pd
import yaml

from forecast_platform.arguments import CommandLineError
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import days_between
from forecast_platform.pipeline import ForecastPipeline, load_tenant
from forecast_platform.posting import post_events
from forecast_platform.report import text_table
from forecast_platform.runs import Chain, make_waiting
from forecast_platform.sources.demo_settings import DemoSource
from forecast_platform.sources.inbox import closed_by_mark, waiting
from forecast_platform.tenant import FACTS

DEBOUNCE_SECONDS = 3.0
"""The open day's facts are made at most so often, however many events come."""
OPEN_DAY = ("raw_sales", "sales_rejects", "daily_sales")
LAST_OF_A_DAY = ("publications", "weekly_forecasts", "hierarchy_forecasts", "forecast_explanations")
"""A day is played once these are made; one that was interrupted before is played again."""
SOLD = "select count(*), sum(quantity) from raw_sales where sale_date = date '{day}'"
CAME_BACK = """
    with sold as (
      select sku, location, units_sold, units from daily_sales where sale_date = date '{day}' and units_sold > 0
    ),
    before as (
      select sku, location, mean from published_forecasts where origin_date = date '{before}' and horizon = 1
    )
    select sold.sku, sold.location, sold.units, before.mean as expected,
      sum(case when made.horizon = 1 then made.mean end) as tomorrow,
      sum(case when made.horizon = 1 then made.q10 end) as q10,
      sum(case when made.horizon = 1 then made.q90 end) as q90,
      sum(case when made.horizon <= 7 then made.mean end) as week,
      min(made.model) as model
    from sold
    join published_forecasts as made
      on made.origin_date = date '{day}' and made.sku = sold.sku and made.location = sold.location
    left join before on before.sku = sold.sku and before.location = sold.location
    group by sold.sku, sold.location, sold.units, before.mean
    order by sold.units desc, sold.sku, sold.location
"""


class Runs(Protocol):
    """Makes a tenant's assets for a range of days, in this process."""

    chain: Chain

    def make(self, assets: Sequence[str], first: date, last: date) -> None: ...


@dataclass(frozen=True)
class Playing:
    """What is played.

    Attributes:
        rate: events a second.
        days: how many days before today.
        show: forecasts printed of each day.
    """

    rate: float
    days: int
    show: int


def play(generated: TenantScope, playing: Playing, runs_of: Callable[[TenantScope], Runs]) -> None:
    """Play the last days of a generated tenant as events to a tenant of their own, and print what comes back."""
    scope = stream_tenant(generated)
    source = generated.tenant.source
    today = scope.today()
    ends = [scope.warehouse.last_day(asset) for asset in LAST_OF_A_DAY]
    done = None if None in ends else min(ends)
    first = max(today - timedelta(days=playing.days), done + timedelta(days=1) if done else date.min)
    if first >= today:
        raise CommandLineError(f"{scope.name} has played every day before today, {today}; {_to_play_again(scope)}")
    if first <= scope.tenant.start:
        raise CommandLineError(
            f"--days {playing.days} reaches back to {first}; {scope.name} starts on {scope.tenant.start}"
        )
    erp = Erp(scope, source)
    runs = runs_of(scope)
    _tell(f"the ERP hands over its sales before {first}")
    begun = time.monotonic()
    known = scope.warehouse.last_day("features")
    since = max(scope.tenant.start, known + timedelta(days=1)) if known else scope.tenant.start
    if since < first:
        erp.hand_over(since, first - timedelta(days=1))
        runs.make(runs.chain.facts, since, first - timedelta(days=1))
        runs.make(runs.chain.forecasts, first - timedelta(days=1), first - timedelta(days=1))
        runs.make(runs.chain.accuracy, first - timedelta(days=1), first - timedelta(days=1))
    _tell(f"history is there after {time.monotonic() - begun:.0f} s; now its tills open")
    for day in days_between(first, today - timedelta(days=1)):
        _play_day(scope, erp, runs, day, playing)
    _tell(f"more: FORECAST_TENANTS={_folder(scope)} forecast-platform status --tenant {scope.name}")


def stream_tenant(generated: TenantScope) -> TenantScope:
    """The tenant that takes a generated tenant's sales as posted events; its folder is written beside the warehouse."""
    if not isinstance(generated.tenant.source, DemoSource):
        raise CommandLineError(
            f"tenant {generated.name!r} has a source of kind {generated.tenant.source.kind!r}, not demo"
        )
    given = generated.tenant.model_dump(mode="json", exclude_unset=True)
    shop = generated.tenant.source.model_dump(mode="json", exclude_unset=True) | {"kind": "demo"}
    facts = {name: shop for name in FACTS if isinstance(generated.tenant.fact_source(name), DemoSource)}
    given |= {"source": {"kind": "events"}, "facts": facts | given.get("facts", {})}
    name = f"{generated.name}_stream"
    folder = Path(generated.settings.home) / "stream"
    (folder / name).mkdir(parents=True, exist_ok=True)
    kind = f"{ForecastPipeline.__module__}.{ForecastPipeline.__name__}"
    (folder / name / "defs.yaml").write_text(yaml.safe_dump({"type": kind, "attributes": given}, sort_keys=False))
    return load_tenant(name, replace(generated.settings, tenants=str(folder)))


class Erp:
    """Posts the generator's sales to a tenant.

    Attributes:
        posted: events of the day so far.
        last_event, mark: when (monotonic) the day's last event and its end-of-day mark were durable; None before.
        failed: what ended a day's play before its end.
    """

    def __init__(self, scope: TenantScope, shop: DemoSource) -> None:
        self._scope = scope
        self._shop = shop
        self._reset()

    def _reset(self) -> None:
        self.posted = 0
        self.last_event: float | None = None
        self.mark: float | None = None
        self.failed: BaseException | None = None

    def hand_over(self, first: date, last: date) -> None:
        """Post all events of some days at once."""
        post_events(self._scope, (event for day in self._days(first, last) for event in day))

    def start(self, day: date, rate: float) -> threading.Thread:
        """Begin to post the events of a day, ``rate`` a second, and then its end-of-day mark."""
        self._reset()
        thread = threading.Thread(target=self._play, args=(day, rate), daemon=True)
        thread.start()
        return thread

    def _play(self, day: date, rate: float) -> None:
        try:
            (events,) = self._days(day, day)
            begun = time.monotonic()
            while self.posted < len(events):
                due = min(len(events), int((time.monotonic() - begun) * rate) + 1)
                if due > self.posted:  # one event a post, unless more are due than a disk can sync one by one
                    post_events(self._scope, events[self.posted : due])
                    self.posted, self.last_event = due, time.monotonic()
                time.sleep(max(0.0, begun + self.posted / rate - time.monotonic()))
            post_events(self._scope, [{"type": "end_of_day", "day": day.isoformat()}])
            self.mark = time.monotonic()
        except BaseException as error:  # told to whoever waits for the day's end
            self.failed = error

    def _days(self, first: date, last: date) -> Iterator[list[dict[str, str]]]:
        """For each day what the ERP learns on it: its sales and returns, late ones of days before, corrections."""
        from forecast_platform.sources.demo import open_demo

        arrivals = open_demo("raw_sales", self._shop, timezone=self._scope.tenant.timezone)
        for arrival in arrivals.discover(now=datetime.now(UTC), first=first, last=last):
            if arrival.order <= last:  # the batches of later days hold late events of these
                rows = csv.DictReader(io.TextIOWrapper(arrival.open(), "utf-8", newline=""))
                yield [{name: cell for name, cell in row.items() if cell} for row in rows]


def _play_day(scope: TenantScope, erp: Erp, runs: Runs, day: date, playing: Playing) -> None:
    """Take in a day while it is being sold; close it at its mark, and print the forecasts made then."""
    thread = erp.start(day, playing.rate)
    while erp.mark is None or closed_by_mark(scope.landing) < day:
        thread.join(DEBOUNCE_SECONDS)
        if erp.failed is not None:
            raise erp.failed
        if waiting(scope.landing).events and erp.mark is None:
            runs.make(OPEN_DAY, day, day)
            rows, units = scope.warehouse.read(SOLD.format(day=day)).iloc[0]
            _tell(f"{day} is open: {erp.posted} events posted, {rows} sales landed, {float(units or 0):g} units")
    begun = time.monotonic()
    runs.make(("raw_sales", "sales_rejects"), day, day)
    changed = {each.day for each in scope.changes.waiting()}
    make_waiting(scope, lambda step: runs.make(step.assets, step.first, step.last))
    runs.make(runs.chain.all, day, day)
    made = scope.warehouse.read(CAME_BACK.format(day=day, before=day - timedelta(days=1)))
    ended = time.monotonic()
    late = f", {len(changed)} earlier days changed by late sales" if changed else ""
    _tell(
        f"{day} is closed: {erp.posted} events{late}; {len(made)} series that sold have new forecasts,"
        f" {ended - erp.last_event:.1f} s after the last event (the chain took {ended - begun:.1f} s)"
    )
    click.echo(_forecasts(made.head(playing.show), day))
    if len(made) > playing.show:
        click.echo(f"and {len(made) - playing.show} more")


def _forecasts(made: pd.DataFrame, day: date) -> str:
    columns: Sequence[tuple[str, str, Callable]] = (
        ("sku", "SKU", str),
        ("location", "location", str),
        ("units", f"sold {day:%d.%m.}", lambda value: f"{float(value):g}"),
        ("expected", "was expected", _number),
        ("tomorrow", f"forecast {day + timedelta(days=1):%d.%m.}", _number),
        ("q10", "10 %", _number),
        ("q90", "90 %", _number),
        ("week", "next 7 days", _number),
        ("model", "model", str),
    )
    return text_table(f"What sold on {day}, and its forecasts", made, columns)


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.1f}"


def _folder(scope: TenantScope) -> Path:
    return Path(scope.settings.home) / "stream"


def _to_play_again(scope: TenantScope) -> str:
    landing = f"{scope.settings.landing.rstrip('/')}/{scope.name}"
    if scope.settings.backend == "duckdb":
        return f"to play again delete {scope.name}.duckdb* in {scope.settings.warehouse} and {landing}"
    return f"to play again drop the schema {scope.name} and delete {landing}"


def _tell(text: str) -> None:
    click.echo(f"{datetime.now():%H:%M:%S}  {text}")
