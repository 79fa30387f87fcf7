"""What a process inherits from its machine (zone, locale, umask, hash seed) changes no byte of what a run makes."""

from __future__ import annotations

import os
from collections.abc import Callable

import pandas as pd
import pytest

from forecast_platform_tests.pipeline.command_line import command_line_of
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

LAST = 30
SURROUNDINGS = [
    ({"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}, 0o022),
    ({"TZ": "Asia/Kathmandu", "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "PYTHONHASHSEED": "1"}, 0o022),
    ({"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONHASHSEED": "2"}, 0o077),
]


def digests(shop: Shop) -> pd.DataFrame:
    """What every partition and every version of the ledger holds, without clocks and run ids."""
    log = "select asset, day, rows, digest from partition_log order by asset, day"
    versions = "select 'version ' || model, origin_date, series, digest from forecast_versions order by 1, 2"
    read = [shop.warehouse.read(query) for query in (log, versions)]
    return pd.concat([frame.set_axis(["asset", "day", "rows", "digest"], axis=1) for frame in read], ignore_index=True)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["duckdb", "postgresql"])
def test_zone_locale_umask_and_hash_seed_of_the_process_change_no_byte(new_shop: Callable[..., Shop], backend: str):
    lines = sales_lines(day(0), day(LAST)) + [f"ü{n},{day(n)},Käse & Öl,Zürich,1.5,2.25,o" for n in range(LAST)]
    found = []
    for environment, mask in SURROUNDINGS:
        shop = new_shop(backend, timezone="America/New_York", country="DE")
        (shop.drop / "sales.csv").write_bytes(("id,day,sku,shop,quantity,price,order\n" + "\n".join(lines)).encode())
        commands = command_line_of(shop)
        inherited = os.umask(mask)
        try:
            for first, assets in ((0, shop.chain.facts), (LAST - 1, (*shop.chain.forecasts, *shop.chain.accuracy))):
                select = [argument for asset in assets for argument in ("--select", asset)]
                days = ("--from", str(day(first)), "--to", str(day(LAST)))
                done = commands.run("run", "--tenant", shop.name, *days, *select, **environment)
                assert done.returncode == 0, done.stderr
        finally:
            os.umask(inherited)
        found.append(digests(shop))
    assert len(found[0]) > 5 * LAST
    assert set(found[0]["asset"]) >= {"daily_sales", "features", "forecasts", "forecast_errors", "version linear"}
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other)
