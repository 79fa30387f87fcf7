"""How a source looks, as settings: where it is, what its columns are called, how its values are written.

Every model here is part of a tenant's YAML, so each field is described, an unknown one is refused and an error names
the field. A new shape of data is a new setting, not new code. No file is opened and no row is read here; what a
tenant may set is here, what the settings do is in the modules that read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Annotated, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from forecast_platform.sources.columns import (
    ActualColumns,
    Columns,
    CovariateColumns,
    InventoryColumns,
    ItemColumns,
    LocationColumns,
    OpenOrderColumns,
    PlanColumns,
    SalesColumns,
    Settings,
    SupplierColumns,
)
from forecast_platform.sources.demo_settings import DemoSource
from forecast_platform.sources.layouts import Csv, Join, Melt
from forecast_platform.sources.places import Folder, Posted, Query
from forecast_platform.sources.rules import Ignore, Limits, Returns

EVERYWHERE = "all"
"""The location of a business that has none."""
KEPT_WITH_EVENTS = ("received_at", "refused", "event")
"""Columns beside the fields of posted events: when it came, why it was refused, and then the event as it came."""


class Rows(Settings):
    """How the rows of a source look: all that decides what a landed batch is read as.

    A change of any of these changes :meth:`reading_settings`, and every batch is read again.
    """

    asset: ClassVar[str]
    columns: Columns
    constants: dict[str, str] = Field({}, description="our columns that hold one value in every row, as location: all")
    csv: Csv = Field(Csv(), description="how a text file is written")
    null_values: tuple[str, ...] = Field(("",), description="texts that mean: no value")
    decimal: Literal[".", ","] = Field(".", description="decimal mark of numbers")
    thousands: Literal[",", ".", " ", "'"] | None = Field(None, description="mark between thousands, if one is written")
    true_values: tuple[str, ...] = Field(("true", "t", "yes", "y", "1"), description="texts of yes, any case")
    false_values: tuple[str, ...] = Field(("false", "f", "no", "n", "0"), description="texts of no, any case")
    date_format: str = Field("iso", description="how text dates are written: iso, or codes as %d/%m/%Y %H:%M")
    timezone: str | None = Field(None, description="time zone of times without one; without it the tenant's")
    ambiguous: Literal["first", "second", "reject"] = Field(
        "first", description="which instant a local time means that comes twice when clocks go back"
    )
    nonexistent: Literal["shift_forward", "reject"] = Field(
        "reject", description="what becomes of a local time that is skipped when clocks go forward"
    )
    ignore: tuple[Ignore, ...] = Field((), description="rows that are left out on purpose")
    melt: Melt | None = Field(None, description="wide columns made into rows")
    joins: tuple[Join, ...] = Field((), description="side files whose columns are looked up, in this order")
    shift_to: Literal["yesterday"] | date | None = Field(
        None,
        description="move all dates by whole weeks so that the newest day of what lands first is on or just before"
        " this day; fixed at the first landing. For old data in a live pipeline",
    )
    limits: Limits = Field(Limits(), description="beyond these a value or file is refused")

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str | None) -> str | None:
        try:
            if name is not None:
                ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {name!r}; use an IANA name as Europe/London") from error
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = set(type(self.columns).model_fields)
        for name in self.constants:
            if name not in known:
                raise ValueError(f"constants.{name} is not one of our columns: {', '.join(sorted(known))}")
            if getattr(self.columns, name) is not None:
                raise ValueError(f"{name} is mapped to a column and given as a constant: keep one")
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}")
        if both := {v.lower() for v in self.true_values} & {v.lower() for v in self.false_values}:
            raise ValueError(f"{', '.join(sorted(both))} cannot mean both yes and no")
        return self

    def mapped(self) -> dict[str, tuple[str, ...]]:
        """Our columns with the source columns they are read from (more than one for a composed event id)."""
        names = {ours: getattr(self.columns, ours) for ours in type(self.columns).model_fields}
        return {ours: (name,) if isinstance(name, str) else name for ours, name in names.items() if name is not None}

    def reading_settings(self) -> dict:
        """What decides how a batch is read, as JSON: where it comes from and the wish for a shift left out."""
        settings = self.model_dump(mode="json", exclude=_WHERE | {"shift_to"}, exclude_defaults=True)
        return settings | ({"told_apart_by": self.told_apart_by()} if self.told_apart_by() else {})

    def told_apart_by(self) -> tuple[str, ...]:
        """Source columns that tell equal events without a name apart, beside their values."""
        return ()

    def refused_by(self) -> str | None:
        """The source column that says why a row was refused when it was taken in; empty where it was not."""
        return None


class SalesRows(Rows):
    """How sales rows look."""

    asset: ClassVar[str] = "raw_sales"
    columns: SalesColumns = Field(description="our names of columns: the source's")
    returns: Returns | None = Field(None, description="what marks a return or cancellation")

    def named(self) -> bool:
        """Whether the source names its events."""
        return self.columns.event_id is not None

    def stays(self) -> bool:
        """Whether an event stays on its day, because the day is part of its name."""
        day = self.columns.sold_at or self.columns.sale_date
        return self.columns.event_id is not None and day in self.mapped()["event_id"]


class ItemRows(Rows):
    """How item rows look."""

    asset: ClassVar[str] = "items"
    columns: ItemColumns = Field(description="our names of columns: the source's")


class LocationRows(Rows):
    """How location rows look."""

    asset: ClassVar[str] = "locations"
    columns: LocationColumns = Field(description="our names of columns: the source's")


class SupplierRows(Rows):
    """How supplier rows look."""

    asset: ClassVar[str] = "suppliers"
    columns: SupplierColumns = Field(description="our names of columns: the source's")


class PlanRows(Rows):
    """How plan rows look."""

    asset: ClassVar[str] = "plan"
    columns: PlanColumns = Field(description="our names of columns: the source's")


class CovariateRows(Rows):
    """How rows of the tenant's own covariates look."""

    asset: ClassVar[str] = "covariates"
    columns: CovariateColumns = Field(description="our names of columns: the source's")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.columns.name is None and "name" not in self.constants:
            raise ValueError("map columns.name, or give the name of the one covariate as constants.name")
        return self


class InventoryRows(Rows):
    """How stock rows look."""

    asset: ClassVar[str] = "inventory_levels"
    columns: InventoryColumns = Field(description="our names of columns: the source's")


class ActualRows(Rows):
    """How rows of a day's totals look that count instead of its sales."""

    asset: ClassVar[str] = "actual_overrides"
    columns: ActualColumns = Field(description="our names of columns: the source's")


class OpenOrderRows(Rows):
    """How rows of open orders look."""

    asset: ClassVar[str] = "open_orders"
    columns: OpenOrderColumns = Field(description="our names of columns: the source's")


_WHERE = set(Folder.model_fields) | set(Query.model_fields) | set(Posted.model_fields)


class _Files(Folder):
    """Checks that need both where and how."""

    @model_validator(mode="after")
    def _inside(self) -> Self:
        patterns: Iterable[str] = (self.pattern, *(join.pattern for join in getattr(self, "joins", ())))
        for pattern in patterns:
            if pattern.startswith("/") or ".." in pattern.split("/"):
                raise ValueError(f"pattern {pattern!r} leaves the folder {self.url!r}")
        return self


class _Sql(Query):
    """Checks that need both where and how."""

    @model_validator(mode="after")
    def _no_side_files(self) -> Self:
        if getattr(self, "joins", ()):
            raise ValueError("joins are for files; join in the query instead")
        return self

    def told_apart_by(self) -> tuple[str, ...]:
        """Pages are parts of one table: rows that are equal but stand on two pages are two."""
        return (self.page_by,)


class FilesSales(_Files, SalesRows):
    """Sales in a folder of files."""


class SqlSales(_Sql, SalesRows):
    """Sales in a database."""


class _Events(Posted):
    """Checks of what is posted as JSON, and why some of it was refused."""

    @model_validator(mode="after")
    def _of_events(self) -> Self:
        mapped: dict[str, tuple[str, ...]] = getattr(self, "mapped")()  # noqa: B009
        if taken := {name for names in mapped.values() for name in names} & {*KEPT_WITH_EVENTS, "type"}:
            raise ValueError(f"no field of an event may be called {', '.join(sorted(taken))}: we use the name")
        of_text = ("csv", "null_values", "decimal", "thousands", "melt", "joins", "shift_to")
        if given := [name for name in of_text if name in self.model_fields_set]:
            raise ValueError(f"{', '.join(given)}: for files; an event is JSON")
        return self

    def refused_by(self) -> str | None:
        return KEPT_WITH_EVENTS[1]


def _our_names() -> SalesColumns:
    """Fields of an event that is written in our own words."""
    names = set(SalesColumns.model_fields) - {"sale_date", "revenue"}
    return SalesColumns.model_validate({name: name for name in names})


def _our_names_of_stock() -> InventoryColumns:
    return InventoryColumns.model_validate({name: name for name in InventoryColumns.model_fields})


def _our_names_of_totals() -> ActualColumns:
    return ActualColumns.model_validate({name: name for name in set(ActualColumns.model_fields) - {"updated_at"}})


class EventsSales(_Events, SalesRows):
    """Sales that are posted as JSON objects; ``columns`` are the names of their fields."""

    columns: SalesColumns = Field(default_factory=_our_names, description="our names of columns: the events' fields")

    @model_validator(mode="after")
    def _has_names(self) -> Self:
        if not self.named():
            raise ValueError("map columns.event_id: a posted event may come twice, and is known by its id")
        return self


class EventsInventory(_Events, InventoryRows):
    """Counts of stock that are posted as JSON objects: the newest of a day, item and location holds."""

    columns: InventoryColumns = Field(
        default_factory=_our_names_of_stock, description="our names of columns: the events' fields"
    )


class EventsActuals(_Events, ActualRows):
    """Totals of days that are sent to the API, and withdrawn there."""

    columns: ActualColumns = Field(
        default_factory=_our_names_of_totals, description="our names of columns: the fields of what is sent"
    )


Events = EventsSales | EventsInventory | EventsActuals


class FilesItems(_Files, ItemRows):
    """Items in a folder of files."""


class SqlItems(_Sql, ItemRows):
    """Items in a database."""


class FilesLocations(_Files, LocationRows):
    """Locations in a folder of files."""


class SqlLocations(_Sql, LocationRows):
    """Locations in a database."""


class FilesSuppliers(_Files, SupplierRows):
    """Suppliers in a folder of files."""


class SqlSuppliers(_Sql, SupplierRows):
    """Suppliers in a database."""


class FilesPlan(_Files, PlanRows):
    """A plan in a folder of files."""


class SqlPlan(_Sql, PlanRows):
    """A plan in a database."""


class FilesCovariates(_Files, CovariateRows):
    """Covariates in a folder of files."""


class SqlCovariates(_Sql, CovariateRows):
    """Covariates in a database."""


class FilesInventory(_Files, InventoryRows):
    """Stock in a folder of files."""


class SqlInventory(_Sql, InventoryRows):
    """Stock in a database."""


class FilesOpenOrders(_Files, OpenOrderRows):
    """Open orders in a folder of files."""


class SqlOpenOrders(_Sql, OpenOrderRows):
    """Open orders in a database."""


_KIND = Field(discriminator="kind")
SalesSource = Annotated[FilesSales | SqlSales | EventsSales | DemoSource, _KIND]
ItemsSource = Annotated[FilesItems | SqlItems | DemoSource, _KIND]
LocationsSource = Annotated[FilesLocations | SqlLocations | DemoSource, _KIND]
SuppliersSource = Annotated[FilesSuppliers | SqlSuppliers | DemoSource, _KIND]
PlanSource = Annotated[FilesPlan | SqlPlan | DemoSource, _KIND]
CovariatesSource = Annotated[FilesCovariates | SqlCovariates, _KIND]
InventorySource = Annotated[FilesInventory | SqlInventory | EventsInventory | DemoSource, _KIND]
OpenOrdersSource = Annotated[FilesOpenOrders | SqlOpenOrders | DemoSource, _KIND]


class FactSources(Settings):
    """Where the facts beside sales come from; one that is left out has no rows."""

    items: ItemsSource | None = Field(None, description="master data of items")
    locations: LocationsSource | None = Field(None, description="master data of locations")
    suppliers: SuppliersSource | None = Field(None, description="master data of suppliers")
    plan: PlanSource | None = Field(None, description="promotions and prices of days to come")
    covariates: CovariatesSource | None = Field(None, description="the tenant's own: marketing, weather, events, ...")
    inventory_levels: InventorySource | None = Field(None, description="stock at the end of a day")
    open_orders: OpenOrdersSource | None = Field(None, description="purchase orders and when they are delivered")
    actual_overrides: EventsActuals | None = Field(
        None, description="a day's totals that people send and that count instead of its sales"
    )
