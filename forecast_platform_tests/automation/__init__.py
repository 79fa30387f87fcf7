"""Schedules, sensors and the runs they ask for, driven by Dagster's own daemon at a clock that tests move."""
