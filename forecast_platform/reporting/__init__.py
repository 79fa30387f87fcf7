"""The report of a day: figures to a page. Pure: no warehouse, no clock, no Dagster; what is read is read elsewhere."""
