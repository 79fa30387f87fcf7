"""The Dagster layer, thin: one file an asset. Arguments in, one call to a function elsewhere, rows and metadata out."""
