"""What has landed stays: files archived, changed, dropped twice or renamed erase nothing and double nothing."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable

from forecast_platform_tests.pipeline.content import assert_same, contents
from forecast_platform_tests.pipeline.shop import Shop, Till, day, sales_lines

LAST = 9
SALES = {"raw_sales", "sales_rejects", "partition_log"}


def made(till: Shop) -> dict:
    """The sales of all days, made now."""
    till.run(["raw_sales"], day(0), day(LAST))
    return contents(till.warehouse, only=SALES) | {"digests": digests(till)}


def digests(till: Shop):
    return till.warehouse.read("select asset, day, digest from partition_log order by asset, day")


def test_a_file_that_is_archived_or_deleted_after_landing_erases_nothing(till: Shop, at: Callable):
    with at(day(LAST + 1)):
        archived = till.put("archived.csv", sales_lines(day(0), day(4)))
        deleted = till.put("deleted.csv", sales_lines(day(5), day(LAST)))
        before = made(till)
        assert len(before["raw_sales"]) == len(sales_lines(day(0), day(LAST)))
        (till.drop / "archive").mkdir()
        shutil.move(archived, till.drop / "archive" / "archived.csv")
        deleted.unlink()
        assert_same(before, made(till))
        # What a batch was read as is derived, and made again from the bytes that were kept.
        readings = till.folder / "landing" / till.name / "raw_sales" / "readings"
        assert list(readings.iterdir())
        shutil.rmtree(readings)
        assert_same(before, made(till))


def test_a_file_that_changes_after_landing_adds_what_is_new_in_it_and_erases_nothing(till: Shop, at: Callable):
    lines = sales_lines(day(0), day(LAST))
    with at(day(LAST + 1)):
        till.put("export.csv", lines)
        made(till)
        corrected = f"{day(3)}-north-1,{day(3)},sku 1,north,7,9.99,o"
        till.put("export.csv", [corrected, f"new,{day(3)},sku 9,north,1,1.00,o"])
        now = made(till)["raw_sales"].set_index("event_id")
        replayed = made(till)["raw_sales"].set_index("event_id")
    held = {line.split(",")[0] for line in lines} | {corrected.split(",")[0], "new"}
    assert set(now.index) == held and now.index.is_unique
    assert (now.loc[corrected.split(",")[0], "quantity"], now.loc["new", "sku"]) == ("7.0000", "sku 9")
    assert now.equals(replayed)


def test_the_same_file_under_another_name_is_one_file(till: Shop, at: Callable):
    with at(day(LAST + 1)):
        till.put("monday.csv", sales_lines(day(0), day(LAST)))
        before = made(till)
        till.put("copy of monday.csv", sales_lines(day(0), day(LAST)))
        assert_same(before, made(till))
    assert till.warehouse.read("select name from landed_batches")["name"].tolist() == ["monday.csv"]


def without_ids(lines: Iterable[str]) -> list[str]:
    return [line.partition(",")[2] for line in lines]


def test_overlapping_exports_without_ids_count_each_line_as_often_as_the_file_that_has_it_most(
    new_shop: Callable[..., Shop], backend: str, at: Callable
):
    columns = {"sale_date": "day", "sku": "sku", "location": "shop", "quantity": "quantity", "unit_price": "price"}
    till = new_shop(backend, Till)
    till.settings["source"] = till.attributes["source"] | {"columns": columns}
    twice, thrice = (f"{day(5)},{sku},north,1,2.50,o" for sku in ("twice in both", "thrice in the second"))
    first = [*without_ids(sales_lines(day(0), day(5))), twice, twice, thrice]
    second = [*without_ids(sales_lines(day(4), day(LAST))), twice, twice, thrice, thrice, thrice]

    def put(name: str, lines: list[str]) -> None:
        (till.drop / name).write_text("day,sku,shop,quantity,price,order\n" + "".join(f"{line}\n" for line in lines))

    with at(day(LAST + 1)):
        put("first.csv", first)
        assert counted(made(till)["raw_sales"]) == wanted(Counter(first))
        put("second.csv", second)
        both = made(till)
        assert counted(both["raw_sales"]) == wanted(Counter(first) | Counter(second))
        put("second again.csv", [*second[:20], *second])
        put("first once more.csv", first)
        assert len(made(till)["raw_sales"]) == len(both["raw_sales"]) + 20
        for path in till.drop.iterdir():
            path.unlink()
        assert len(made(till)["raw_sales"]) == len(both["raw_sales"]) + 20


def counted(sales) -> Counter:
    """Rows of ``raw_sales`` by what a line of the export says."""
    return Counter(zip(sales["sale_date"].str[:10], sales["sku"], sales["location"], sales["quantity"], strict=True))


def wanted(lines: Counter) -> Counter:
    found: Counter = Counter()
    for line, times in lines.items():
        sold_on, sku, shop, quantity, *_ = line.split(",")
        found[sold_on, sku, shop, f"{int(quantity)}.0000"] += times
    return found
