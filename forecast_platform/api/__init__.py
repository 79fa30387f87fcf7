"""The API over HTTP: what other systems and people without Dagster read and send. A read never trains.

Only this package imports FastAPI; it reads through ``reading`` and never opens the file that runs write. To add an
endpoint:

1. A file in ``routes`` with ``router = api_router(Scope.READ, tags=[...])`` (``routing``), listed in
   ``routes.ROUTERS``. The router demands the scope of every one of its routes; the application refuses to start with a
   route that demands none and is not in ``access.PUBLIC_PATHS``.
2. A plain ``def`` function (FastAPI runs it in a thread) with ``operation_id``, ``summary``, a docstring and a response
   model with an example. It takes ``at: Here`` (``access``): the caller's ``principal``, the tenant's settings
   (``at.tenant``) and its data (``at.reading``). The tenant comes from the credential and from nowhere else.
3. Reading: ``with at.reading.session() as session: rows = records(session, QUERY, {...})``: SQL with ``:name``
   parameters that both databases take, over the names of ``tables`` and of dbt's models. In PostgreSQL it runs as a
   role that can read this tenant's schema and nothing else; on DuckDB it reads the serving copy.
4. Errors: ``raise Problem(404, "unknown-sku", "…what is wrong and the way out…")`` (``problems``); validation, unknown
   paths, a warehouse that is away are answered alike without being mentioned. Answers: ``answer(...)`` (``answers``)
   gives JSON without NaN, with ETag and Cache-Control.
5. Tests: ``forecast_platform_tests/api`` has one loaded shop in either warehouse (``served``) and ``client(...)``; the
   matrix of wrong credentials and the checks of the OpenAPI find a new route by themselves.

Credentials: ``keys`` of systems, ``users`` with ``passwords`` who are given ``sessions``, tokens of other ``issuers``;
all of them come to a ``principal``. How failed sign-ins are slowed is in ``attempts``, how many requests one may send
in ``rates``.
"""
