"""Work that people ask for over HTTP: a forecast or a backfill of a range of days, run by Dagster as its backfills.

``cutting`` says which batches a job has, ``states`` what becomes of them, both pure; ``record`` keeps them in the
platform's state, ``dagster_side`` launches, observes and stops what Dagster does for them, ``advancing`` brings the
record up to what Dagster says. Nothing here knows of HTTP, and how an asset is made is in ``assets``.

A job is never kept alive by the process that took it: everything that decides what happens next is on record, and
whoever calls ``advancing.advance`` next goes on with it.
"""
