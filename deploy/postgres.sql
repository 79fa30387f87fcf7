-- What an administrator prepares for one tenant where the pipeline's login may create neither roles nor schemas:
--   psql -d forecast -v tenant=acme -v login=forecast -f deploy/postgres.sql
-- The login must exist. Tables come with `forecast-platform migrate`, run as that login. Safe to repeat.
\set ON_ERROR_STOP on

select format('create role %I nologin', :'tenant')
where not exists (select from pg_roles where rolname = :'tenant')
\gexec

select format('create role %I nologin', 'forecast_read_' || :'tenant')
where not exists (select from pg_roles where rolname = 'forecast_read_' || :'tenant')
\gexec

select format('grant %I, %I to %I', :'tenant', 'forecast_read_' || :'tenant', :'login')
\gexec
create schema if not exists :"tenant" authorization :"login";
