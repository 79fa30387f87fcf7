-- Beside the warehouse: Dagster's own runs and events, and the platform's state. Run once, when compose.yaml's
-- PostgreSQL starts on an empty volume.
create database dagster;
create database state;
