"""The demo through the landing: what is read in the end is what the shop sold."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform import tables
from forecast_platform.sources.demo import FACTS
from forecast_platform.sources.demo_settings import DemoSource
from forecast_platform.sources.facts import facts_of
from forecast_platform.sources.landing import LandedBatch, Landing, land, landed_frame
from forecast_platform.sources.opening import open_source
from forecast_platform_tests.sources.demo_reading import BERLIN, LAST, closing, is_bad, newest_states, rows

SETTINGS = DemoSource(seed=11, n_skus=40)
FIRST = LAST - timedelta(days=11)
DAYS = [FIRST + timedelta(days=n) for n in range(10)]
NOW = closing(LAST)


class Receiver:
    """A landing and the batches on record for one table."""

    def __init__(self, folder: Path, asset: str, settings: DemoSource = SETTINGS) -> None:
        self.source = open_source(asset, settings, timezone=BERLIN)
        self.landing = Landing(folder.as_uri(), "demo", BERLIN)
        self.known: list[LandedBatch] = []

    def read(self, days: list[date], now: datetime = NOW) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Land what there is for these days and give their rows and rejects."""
        known = landed_frame(self.known)
        new = land(self.source, known, self.landing, now, first=days[0], last=days[-1])
        assert [batch.refused for batch in new if batch.refused] == []
        self.known += new
        return facts_of(self.source, days, landed_frame(self.known), self.landing)


def test_single_days_in_any_order_equal_a_range(tmp_path):
    whole, rejects = Receiver(tmp_path / "range", "raw_sales").read(DAYS)
    single = Receiver(tmp_path / "single", "raw_sales")
    read = [single.read([day]) for day in (*DAYS[5:], *DAYS[:5])]
    key = list(tables.raw_sales.info["key"])
    alone = pd.concat([sales for sales, _ in read]).sort_values(key).reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, whole.reset_index(drop=True))
    assert sum(len(rejected) for _, rejected in read) == len(rejects)


def test_what_is_read_is_the_newest_state_of_every_event_and_every_bad_row(tmp_path):
    sales, rejects = Receiver(tmp_path, "raw_sales").read(DAYS)
    sent = rows("raw_sales", SETTINGS, FIRST - timedelta(days=3), LAST)
    asked = sent[sent["sold_at"].str[:10].between(str(DAYS[0]), str(DAYS[-1]))]
    expected = newest_states(asked).set_index("event_id")["units"]
    assert sales.set_index("event_id")["quantity"].astype("int64").to_dict() == expected.to_dict()
    assert len(rejects) == is_bad(asked).sum() > 0


def test_an_open_day_is_completed_when_it_closes(tmp_path):
    settings = SETTINGS.model_copy(update={"open_day_events": 6})
    receiver = Receiver(tmp_path, "raw_sales", settings)
    today = LAST + timedelta(days=1)
    early, _ = receiver.read([today], now=NOW + timedelta(hours=12))
    late, _ = receiver.read([today], now=closing(today))
    assert len(early) == 6
    assert set(early["event_id"]) < set(late["event_id"])
    assert late["event_id"].is_unique
    assert len(late) > 60


@pytest.mark.parametrize("asset", FACTS)
def test_every_row_of_the_other_facts_is_read(tmp_path, asset):
    read, rejects = Receiver(tmp_path, asset).read(DAYS)
    assert len(rejects) == 0
    assert len(read) == len(rows(asset, SETTINGS, DAYS[0], DAYS[-1]))
