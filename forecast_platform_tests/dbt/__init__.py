"""Tests of the dbt project and of the process that runs it, against both real databases."""
