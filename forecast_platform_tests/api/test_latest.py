"""The newest publications in memory: whatever the size of a page, all of them are there after the first question."""

from __future__ import annotations

import asyncio

import pytest

from forecast_platform.api.reading import Readings
from forecast_platform.api.reading import latest as module
from forecast_platform.api.reading.latest import LatestForecasts
from forecast_platform.io_managers.warehouse import WarehouseUnavailable
from forecast_platform_tests.api.conftest import Served


def served_skus(served: Served) -> list[str]:
    return served.warehouse.read("select distinct sku from served_forecasts order by sku")["sku"].tolist()


async def filled(served: Served, asked: str, **others: module._Kept) -> LatestForecasts:
    latest = LatestForecasts(Readings(served.settings))
    latest._kept |= others
    await latest.of(served.tenant, asked)
    await latest._filling[served.tenant]
    return latest


@pytest.mark.parametrize("rows", [1, 2, 3, 500])
def test_all_that_is_served_is_read_ahead_as_it_would_be_read_when_asked(served: Served, monkeypatch, rows: int):
    monkeypatch.setattr(module, "PAGE_ROWS", rows)
    monkeypatch.setattr(module, "PAGE_PAUSE_SECONDS", 0.0)
    skus = served_skus(served)
    latest = asyncio.run(filled(served, skus[2]))
    held = latest._kept[served.tenant].by_sku
    reading = Readings(served.settings).of(served.tenant)
    overrides = module._overrides(reading)
    assert sorted(held) == sorted(skus)
    assert held == {sku: module._read(reading, sku, overrides.get(sku, ())) for sku in skus}


def test_no_more_is_read_ahead_than_there_is_room_for(served: Served, monkeypatch):
    monkeypatch.setattr(module, "PAGE_PAUSE_SECONDS", 0.0)
    skus = served_skus(served)
    one = sum(len(each.body) for each in module._read(Readings(served.settings).of(served.tenant), skus[0], ()))
    monkeypatch.setattr(module, "KEPT_BYTES", 3 * one)
    kept = asyncio.run(filled(served, skus[0]))._kept[served.tenant]
    assert 1 <= len(kept.by_sku) < len(skus) and kept.size <= 3 * one
    # What was asked for stays, and what there was no room for is read when it is asked for.
    assert skus[0] in kept.by_sku


def test_what_is_read_ahead_leaves_room_to_other_tenants(served: Served):
    other = module._Kept("1", 0.0, {}, size=module.KEPT_BYTES - 1)
    latest = asyncio.run(filled(served, served_skus(served)[0], other=other))
    assert list(latest._kept[served.tenant].by_sku) == served_skus(served)[:1]


def test_those_who_ask_a_server_that_has_just_started_wait_for_one_look(served: Served, monkeypatch):
    looked: list[str] = []
    monkeypatch.setattr(module, "_overrides", lambda reading: looked.append("once") or {})
    skus = served_skus(served)

    async def ask() -> list[tuple[module.Served, ...]]:
        latest = LatestForecasts(Readings(served.settings))
        answers = await asyncio.gather(*(latest.of(served.tenant, sku) for sku in skus * 5))
        await latest._filling[served.tenant]
        return answers

    answers = asyncio.run(ask())
    assert looked == ["once"] and all(answers) and answers[: len(skus)] == answers[len(skus) : 2 * len(skus)]


def test_a_warehouse_that_was_away_is_asked_again(served: Served, monkeypatch):
    latest, away = LatestForecasts(Readings(served.settings)), [True]
    seen = module._overrides

    def overrides(reading):
        if away:
            raise WarehouseUnavailable("away")
        return seen(reading)

    monkeypatch.setattr(module, "_overrides", overrides)

    async def ask() -> tuple[module.Served, ...]:
        for _ in range(2):
            with pytest.raises(WarehouseUnavailable):
                await latest.of(served.tenant, "sku 1")
        away.clear()
        return await latest.of(served.tenant, "sku 1")

    assert len(asyncio.run(ask())) == 2
