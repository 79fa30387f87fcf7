"""Weekdays, months and public holidays of days. Nothing about sales belongs here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

import numpy as np
import pandas as pd


class CountryError(ValueError):
    """A country is not known to the library ``holidays``. The message names it and what would be."""


@dataclass(frozen=True)
class HolidayCalendar:
    """Public holidays by location.

    Attributes:
        country: ISO 3166 code of the tenant, with its part where holidays differ (``DE``, ``DE-BY``, ``US-CA``);
            None where nothing is known, and no day is a holiday.
        by_location: codes of the locations that have their own.
    """

    country: str | None = None
    by_location: Mapping[str, str] = field(default_factory=dict)

    def of(self, location: str) -> str | None:
        """The code that holds for a location."""
        return self.by_location.get(location) or self.country

    @classmethod
    def known_on(cls, day: date, locations: pd.DataFrame, *, country: str | None) -> HolidayCalendar:
        """The holidays by the countries of ``locations`` (``valid_from``, ``location``, ``country``) as of a day.

        The newest row of a location that is valid on ``day`` and names a country counts, else the tenant's ``country``.
        """
        rows = locations[(locations["valid_from"] <= pd.Timestamp(day)) & locations["country"].notna()]
        rows = rows.sort_values(["location", "valid_from"]).drop_duplicates("location", keep="last")
        return cls(country, dict(zip(rows["location"], rows["country"], strict=True)))

    def is_holiday(self, locations: Iterable[str], days: pd.DatetimeIndex) -> np.ndarray:
        """Which days are public holidays where.

        Returns:
            Locations x days of bool.

        Raises:
            CountryError: a code is not known.
        """
        locations = list(locations)
        result = np.zeros((len(locations), len(days)), dtype=bool)
        years = tuple(sorted(set(days.year)))
        wanted = [day.date() for day in days]
        for code in {self.of(location) for location in locations} - {None}:
            known = public_holidays(code, years)
            rows = [row for row, location in enumerate(locations) if self.of(location) == code]
            result[rows] = [day in known for day in wanted]
        return result


@lru_cache(maxsize=512)
def public_holidays(code: str, years: tuple[int, ...]) -> frozenset[date]:
    """Public holidays of a country or part of one in some years.

    Raises:
        CountryError: ``code`` is not known.
    """
    import holidays

    country, _, part = code.partition("-")
    try:
        return frozenset(holidays.country_holidays(country, subdiv=part or None, years=years))
    except NotImplementedError as error:
        raise CountryError(
            f"no public holidays are known for {code!r}; use an ISO 3166 code such as GB, US-CA or DE-BY"
        ) from error
