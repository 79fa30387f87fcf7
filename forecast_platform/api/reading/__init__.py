"""Reading a tenant's data for the API, in either warehouse, without ever standing in a run's way.

A ``TenantReading`` gives short sessions (``io_managers.warehouse.Session``) that can only read and see one state
throughout: from a pool on PostgreSQL, as a role that reaches the tenant's schema and nothing else; from the serving
copy on DuckDB. What is asked is in the modules of ``routes`` and beside this one; here is how.
"""

from forecast_platform.api.reading.base import Readings, TenantReading, records

__all__ = ["Readings", "TenantReading", "records"]
