"""Checks in a run: what is wrong stops what follows it, and is seen as a check that failed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from forecast_platform.runs import RunFailed
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines


def test_wrong_data_stops_what_follows_in_the_same_run(new_shop: Callable[..., Shop], at: Callable):
    shop = new_shop("duckdb")
    shop.put("good.csv", sales_lines(day(0), day(2)))
    shop.put("bad.csv", [f"b{number},{day(2)},sku 1,north,many,1.00,o" for number in range(60)])
    with at(day(3)):
        shop.run(["raw_sales", "daily_sales"], day(0), day(1))
        with pytest.raises(RunFailed, match="reject_share"):
            shop.run(["raw_sales", "daily_sales"], day(2), day(2))
        assert shop.warehouse.last_day("raw_sales") == day(2)
        assert shop.warehouse.last_day("daily_sales") == day(1)
        (told,) = [each.message for each in shop.told if "check reject_share" in str(each.message)]
        assert f"{day(2)}: 60 bad rows beside" in told

        # A member of the day before that is gone: dbt's own test, seen as the check that it is.
        with shop.warehouse.transaction() as session:
            session.execute(f"update daily_sales set sku = 'ghost' where sku = 'sku 1' and sale_date = '{day(0)}'")
        with pytest.raises(RunFailed, match="no_missing_day"):
            shop.run(["daily_sales"], day(1), day(1))
        assert any("check no_missing_day" in str(each.message) for each in shop.told)
