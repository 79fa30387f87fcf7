"""Assets of other integrations that a tenant's YAML names as its sources: dependencies, never made from here.

What such a tool writes is read where it writes it, as any source; here is only what Dagster is told of it.
"""

from __future__ import annotations

from collections.abc import Collection

import dagster as dg

from forecast_platform.assets.scope import TenantScope
from forecast_platform.partitions import DayWindow
from forecast_platform.settings import SettingsError
from forecast_platform.sources.places import Folder, Query
from forecast_platform.sources.shapes import Rows, SalesRows
from forecast_platform.sources.upstream import Upstream


def upstream_deps(scope: TenantScope, asset: str) -> list[dg.AssetDep]:
    """The dependency of ``asset`` on the asset that its source names, if it names one.

    Raises:
        SettingsError: what is named is an asset of the tenant itself.
    """
    upstream = _upstream(scope, asset)
    if upstream is None:
        return []
    key = upstream_key(scope, upstream)
    return [dg.AssetDep(key, partition_mapping=DayWindow(0, 0) if upstream.partitions == "same_day" else None)]


def upstream_key(scope: TenantScope, upstream: Upstream) -> dg.AssetKey:
    """The key of the asset that a source names."""
    key = dg.AssetKey(list(upstream.path()))
    if key.path[0] == scope.name:
        raise SettingsError(
            f"upstream.asset {key.to_user_string()!r} of tenant {scope.name!r} is under the tenant's own name: its"
            " assets depend on each other by themselves; name an asset of another tool"
        )
    return key


def upstream_columns(scope: TenantScope, asset: str) -> dict[str, list[dg.TableColumnDep]]:
    """By column of the table ``asset``, the upstream asset's columns that it is read from, as the settings map them.

    Nothing where the rows are reshaped, or are those of a query, before the mapping.
    """
    source, upstream = scope.source(asset), _upstream(scope, asset)
    if upstream is None or not _as_written(source):
        return {}
    key = upstream_key(scope, upstream)
    return {
        ours: [dg.TableColumnDep(asset_key=key, column_name=name) for name in theirs]
        for ours, theirs in columns_read(source).items()
    }


def rejects_columns(scope: TenantScope) -> dict[str, list[dg.TableColumnDep]]:
    """The same for ``sales_rejects``: the day of a row, and the row as it came."""
    sales = upstream_columns(scope, "raw_sales")
    every = {dep.column_name: dep for deps in sales.values() for dep in deps}
    whole = [every[name] for name in sorted(every)]
    return {"sale_date": sales["sale_date"], "reason": whole, "payload": whole} if sales else {}


def columns_read(rows: Rows) -> dict[str, Collection[str]]:
    """By column of the table that ``rows`` fill, the source's columns that it comes from."""
    mapped = dict(rows.mapped())
    mapped.pop("updated_at", None)
    if isinstance(rows, SalesRows):
        mapped["sale_date"] = mapped.get("sale_date", ()) + mapped.get("sold_at", ())
        if revenue := mapped.pop("revenue", None):
            mapped["unit_price"] = revenue + mapped["quantity"]
        # Without a name an event is told by all that is read of it.
        mapped.setdefault("event_id", tuple(sorted({name for names in mapped.values() for name in names})))
    return mapped


def _upstream(scope: TenantScope, asset: str) -> Upstream | None:
    return getattr(scope.source(asset), "upstream", None)


def _as_written(source: Rows) -> bool:
    if isinstance(source, Query):
        return source.table is not None and source.melt is None
    return isinstance(source, Folder) and source.melt is None and not source.joins
