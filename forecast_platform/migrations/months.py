"""Monthly partitions of the large ledgers in PostgreSQL: the function that makes one, and the move of what is there.

DuckDB keeps the least and greatest value of each block by itself, and has no partitions.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

CREATE_FUNCTION = """
create function ledger_month(ledger text, day date) returns text language plpgsql security definer
set search_path to "{schema}", pg_temp as $$
declare
  first_day date := date_trunc('month', day);
  next_month date := first_day + interval '1 month';
  part text := format('%s_%s', ledger, to_char(first_day, 'YYYY_MM'));
begin
  if not exists (select from pg_partitioned_table where partrelid = to_regclass(quote_ident(ledger))) then
    raise exception '% is no ledger that is kept by month', ledger using errcode = 'invalid_parameter_value';
  end if;
  if to_regclass(quote_ident(part)) is null then
    perform pg_advisory_xact_lock(hashtextextended(current_schema || '.ledger_month', 0));
    if not exists (select from pg_class where relname = part and relnamespace = to_regnamespace(current_schema)) then
      execute format('create table %I (like %I including defaults including constraints including storage)',
        part, ledger);
      execute format('create trigger append_only before update or delete or truncate on %I'
        ' for each statement execute function refuse_change()', part);
      execute format('alter table %I attach partition %I for values from (%L) to (%L)',
        ledger, part, first_day, next_month);
    end if;
  end if;
  return part;
end $$
"""
"""The tenant's role owns no ledger and may make no partition of one; this makes one for it, and nothing else.

A table is made and then attached: ``create table … partition of`` would keep everybody out of the whole ledger until
the writer's commit, attaching keeps out only who attaches. A trigger for each statement is not inherited. The second
look, behind the lock, is a query: ``to_regclass`` answers from a cache that misses what another writer just committed.
Temporary tables of the caller, which may be called like a ledger, are looked at last.
"""

DEPENDENT_VIEWS = """
with recursive dependents as (
  select r.ev_class as view, 1 as depth
  from pg_depend d join pg_rewrite r on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass
  where d.refclassid = 'pg_class'::regclass and d.refobjid = to_regclass(:table) and r.ev_class <> d.refobjid
  union
  select r.ev_class, dependents.depth + 1
  from dependents join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = dependents.view
  join pg_rewrite r on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass
  where r.ev_class <> dependents.view
)
select format('%I.%I', n.nspname, c.relname) as name, c.relkind, r.rolname as owner,
  pg_get_viewdef(c.oid) as definition,
  array(select format('grant %s on %I.%I to %s', a.privilege_type, n.nspname, c.relname,
      case when a.grantee = 0 then 'public' else quote_ident(g.rolname) end)
    from aclexplode(c.relacl) a left join pg_roles g on g.oid = a.grantee where a.grantee <> c.relowner) as grants,
  obj_description(c.oid, 'pg_class') as comment
from (select view, max(depth) as depth from dependents group by view) as found
join pg_class c on c.oid = found.view
join pg_namespace n on n.oid = c.relnamespace join pg_roles r on r.oid = c.relowner
order by found.depth, c.oid
"""


def keep_by_month(indexes: dict[str, Sequence[str]]) -> None:
    """Make ledgers partitioned by the month of ``origin_date``, rows and all; views on them stay what they are.

    Args:
        indexes: by table the columns of its block range index.
    """
    bind = op.get_bind()
    schema = bind.execute(sa.text("select current_schema()")).scalar_one()
    op.execute(CREATE_FUNCTION.format(schema=schema))
    op.execute("revoke all on function ledger_month(text, date) from public")
    for table, columns in indexes.items():
        views = _taken_down(bind, table)
        before = f"{table}_before_months"
        op.execute(f"alter table {table} rename to {before}")
        op.execute(f"drop index ix_{table}_origin_date")
        op.execute(
            f"create table {table} (like {before} including defaults including constraints including storage"
            " including comments) partition by range (origin_date)"
        )
        comment = bind.execute(sa.text("select obj_description(to_regclass(:name), 'pg_class')"), {"name": before})
        op.create_table_comment(table, comment.scalar_one())
        op.create_index(
            f"ix_{table}_origin_date",
            table,
            list(columns),
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 32},
        )
        op.execute(
            f"create trigger append_only before update or delete or truncate on {table}"
            " for each statement execute function refuse_change()"
        )
        op.execute(
            f"select ledger_month('{table}', month)"
            f" from (select distinct date_trunc('month', origin_date)::date as month from {before}) as months"
        )
        op.execute(f"insert into {table} select * from {before}")
        op.execute(f"drop table {before}")
        _put_back(bind, views)


def _taken_down(bind: sa.Connection, table: str) -> list[sa.Row]:
    """Drop the views that read ``table``, the last to be made first, and return what it takes to make them again."""
    views = list(bind.execute(sa.text(DEPENDENT_VIEWS), {"table": table}))
    for view in reversed(views):
        if view.relkind != "v":
            raise RuntimeError(
                f"{view.name} is a materialized view on {table}, which becomes a table of monthly partitions: drop it,"
                " migrate, and create it again"
            )
        _run(bind, f"drop view {view.name}")
    return views


def _put_back(bind: sa.Connection, views: Sequence[sa.Row]) -> None:
    for view in views:
        _run(bind, f"create view {view.name} as {view.definition}")
        _run(bind, f'alter view {view.name} owner to "{view.owner}"')
        for grant in view.grants:
            _run(bind, grant)
        if view.comment is not None:
            quoted = bind.execute(sa.text("select quote_literal(:text)"), {"text": view.comment}).scalar_one()
            _run(bind, f"comment on view {view.name} is {quoted}")


def _run(bind: sa.Connection, statement: str) -> None:
    """Run a statement as it is: what looks like a parameter in it is none."""
    bind.execute(sa.text(statement.replace(":", r"\:")))
