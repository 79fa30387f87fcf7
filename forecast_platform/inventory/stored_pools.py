"""Pools of paths (``forecasting.paths``) as text that a table holds, and back, to the bit.

Of a series' model and demand class only: what one series needs to be planned without the ledger that they are from."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from forecast_platform.forecasting.paths import Pool, Pools
from forecast_platform.inventory.lead_time_demand import SpanPools

CODEC = "zstd"


def stored(pools: SpanPools, model: str, demand_class: str) -> str | None:
    """The pools of every span for a model and class; ``None`` where one is missing, as while the ledger is young."""
    found = {span: each.of(model, demand_class) for span, each in sorted(pools.items())}
    if not found or None in found.values():
        return None
    shapes, values = {}, []
    for span, pool in found.items():
        assert pool is not None
        shapes[span] = [len(pool.edges), *(len(band) for band in pool.bands)]
        values += [pool.edges, *(band.reshape(-1) for band in pool.bands)]
    raw = np.concatenate(values).astype("<f8").tobytes()
    packed = pa.compress(raw, codec=CODEC, asbytes=True)
    return json.dumps({"bytes": len(raw), "shapes": shapes}) + "\n" + base64.b64encode(packed).decode()


def restored(text: str, model: str, demand_class: str) -> SpanPools:
    """What ``stored`` was given, for that model and class."""
    head, _, packed = text.partition("\n")
    told: Mapping = json.loads(head)
    raw = pa.decompress(base64.b64decode(packed), told["bytes"], codec=CODEC, asbytes=True)
    values, place, pools = np.frombuffer(raw, dtype="<f8"), 0, {}

    def take(count: int) -> np.ndarray:
        nonlocal place
        place += count
        return values[place - count : place]

    for span, (edges, *bands) in told["shapes"].items():
        pool = Pool(take(edges), tuple(take(2 * count).reshape(count, 2) for count in bands))
        pools[int(span)] = Pools(by_class={(model, demand_class): pool})
    return pools
