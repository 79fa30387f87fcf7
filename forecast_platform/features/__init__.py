"""What a model may know of a series and day: pure functions of frames, past data only.

No I/O, no clock, no randomness, no Dagster, no database.
"""

from forecast_platform.features.build import LOOK_BACK_DAYS, FeatureError, build_features
from forecast_platform.features.calendar import CountryError, HolidayCalendar

__all__ = ["LOOK_BACK_DAYS", "CountryError", "FeatureError", "HolidayCalendar", "build_features"]
