"""PostgreSQL finds the days ahead that are asked for in a ledger's blocks, and knows of blocks as they are written."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

BLOCKS = {
    "forecast_intervals": ["origin_date", "calibration_id", "version_id", "horizon"],
    "forecasts": ["origin_date", "version_id", "horizon"],
}
"""A version is written by horizon and series: a block of pages has one horizon, or two, and a day that is scored asks
each origin for one. With this index the 5.1 million forecasts of a day are found among 160 million in 1.0 s; with
that of origins and versions alone in 94 s, which is 28 times through the blocks that nobody had summarized yet."""

CREATE_FUNCTION = """
create function ledger_blocks(ledger text, day date) returns bigint language plpgsql security definer
set search_path to "{schema}", pg_temp set lock_timeout to '3s' as $$
begin
  if not exists (select from pg_partitioned_table where partrelid = to_regclass(quote_ident(ledger))) then
    raise exception '% is no ledger that is kept by month', ledger using errcode = 'invalid_parameter_value';
  end if;
  return (
    select sum(brin_summarize_new_values(i.indexrelid))
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
    where a.amname = 'brin'
      and i.indrelid = to_regclass(quote_ident(format('%s_%s', ledger, to_char(day, 'YYYY_MM'))))
  );
exception when lock_not_available then
  return null;
end $$
"""
"""Blocks are summarized by a vacuum, whenever that comes; until then every query reads all that are new. This does it
for the month of a day, as the owner, which the tenant's role is not. It takes 1 s for 5 million rows. A vacuum that
started by itself makes way after a second; behind another, which summarizes too, nobody waits."""


def upgrade() -> None:
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    for table, columns in BLOCKS.items():
        op.drop_index(f"ix_{table}_origin_date", table)
        op.create_index(
            f"ix_{table}_origin_date",
            table,
            columns,
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 32},
        )
    schema = bind.execute(sa.text("select current_schema()")).scalar_one()
    op.execute(CREATE_FUNCTION.format(schema=schema))
    op.execute("revoke all on function ledger_blocks(text, date) from public")
