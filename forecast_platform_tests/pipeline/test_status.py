"""What ``status`` says of a tenant's partitions."""

from __future__ import annotations

from collections.abc import Callable

from forecast_platform.report import status_table
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines


def test_status_shows_the_last_partition_rows_and_gaps(till: Shop, at: Callable):
    till.put("sales.csv", sales_lines(day(0), day(9)))
    with at(day(10)):
        till.run(["raw_sales"], day(0), day(3))
        till.run(["raw_sales"], day(6), day(8))
        shown = {
            line.split("│")[1].strip(): line.split("│") for line in status_table(till.scope).splitlines() if "│" in line
        }
    rows = till.warehouse.read("select * from raw_sales")
    assert [cell.strip() for cell in shown["raw_sales"][2:7]] == [
        "7",
        day(8).isoformat(),
        str((rows["sale_date"].dt.date == day(8)).sum()),
        str(len(rows)),
        f"{day(4)} to {day(5)}, {day(9)}",
    ]
    assert shown["daily_sales"][6].strip() == "never materialized"
    assert "items" not in shown
