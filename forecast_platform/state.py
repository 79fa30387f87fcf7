"""Platform state: what waits to be done and what people were told. Facts and predictions are in the warehouse.

In SQLite by default and in PostgreSQL beyond (``FORECAST_STATE``), apart from the warehouse, so that sensors may read
it while a run holds the file of a tenant's DuckDB. Its tables are declared here and nowhere else; what their rows mean
is in the modules that read and write them. What is over goes: a changed day when all follows it, an incident some
time after it ended (``alerts.keep_days`` of a tenant).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

metadata = sa.MetaData()

READING = "forecast_platform_reading"
"""Option of a connection that only reads."""

BUSY_SECONDS = 60
"""How long to wait for another process that writes SQLite's file."""

LOCK = 0x666F726563617374
"""PostgreSQL's advisory lock of a transaction: what one reads and then writes no other has changed meanwhile."""


class Moment(sa.TypeDecorator):
    """A time with its zone, written and read in UTC: SQLite keeps no zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


changed_days = sa.Table(
    "changed_days",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("noted_at", Moment, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("moved", sa.Text, nullable=False),
    comment=(
        "Days of facts that have changed, whose followers wait to be made again. `generation` counts how often the day"
        " was noted, `before` is the digest that its followers were made from, `moved` a JSON list of the days whose"
        " membership the change moved, as far as they are known."
    ),
)

ledger_seals = sa.Table(
    "ledger_seals",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("origin_date", sa.Date, primary_key=True),
    sa.Column("batch", sa.Integer, primary_key=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("verified", sa.Integer, nullable=False),
    comment=(
        "What each batch of an append-only table held when it was first looked at: its rows, and the digest of their"
        " content. `verified` orders the origins by when they were last looked at. They stay as long as their ledger:"
        " what an old batch held is compared with its seal, and a batch without one would be sealed as it is now."
    ),
)

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("affects", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("last_seen_at", Moment, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("good_since", Moment),
    sa.Column("good_evaluations", sa.Integer, nullable=False),
    sa.Column("last_evaluation", sa.Text),
    sa.Column("ended_at", Moment),
    comment=(
        "What was or is wrong, from when it was first seen until all was well for long enough. `since` is when it"
        " began, `details` what later findings of the same matter rest on. The columns' meaning is"
        " that of `alerts.incidents.Incident`."
    ),
)
sa.Index(
    "one_open_incident",
    *(incidents.c[name] for name in ("tenant", "kind", "subject")),
    unique=True,
    sqlite_where=incidents.c.ended_at.is_(None),
    postgresql_where=incidents.c.ended_at.is_(None),
)

alert_messages = sa.Table(
    "alert_messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("incident", sa.Integer, sa.ForeignKey("incidents.id"), nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("queued_at", Moment, nullable=False),
    sa.Column("next_try_at", Moment, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("sent_at", Moment),
    sa.Column("last_error", sa.Text),
    sa.UniqueConstraint("incident", "event", "channel"),
    comment="What people are told of incidents, a row a channel: recorded first, then sent, then marked as sent.",
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment),
    sa.Column("disabled_at", Moment),
    sa.Column("follows", sa.Text),
    comment=(
        "Keys of the API, each of one tenant. `digest` is the SHA-256 of the secret, which is shown once and kept"
        " nowhere; `scopes` are words apart by blanks; `follows` is the key that this one was made to replace."
    ),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("password", sa.Text, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("password_changed_at", Moment, nullable=False),
    sa.Column("disabled_at", Moment),
    comment=(
        "People who sign in, each of one tenant. `password` is its Argon2 hash with its parameters; `generation` counts"
        " what ends the tokens given out before: another password or role, being disabled."
    ),
)

ended_tokens = sa.Table(
    "ended_tokens",
    metadata,
    sa.Column("token_id", sa.Text, primary_key=True),
    sa.Column("expires_at", Moment, nullable=False, index=True),
    comment="Tokens whose owner signed out, until they would have expired by themselves.",
)

failed_sign_ins = sa.Table(
    "failed_sign_ins",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", Moment, nullable=False, index=True),
    sa.Column("refused_until", Moment),
    comment=(
        "Attempts to sign in that failed, by name and by address: `subject` is a digest, as some write their password"
        " where the name goes. Those of a while ago go."
    ),
)

spent_requests = sa.Table(
    "spent_requests",
    metadata,
    sa.Column("credential", sa.Text, primary_key=True),
    sa.Column("period", sa.BigInteger, primary_key=True),
    sa.Column("taken", sa.BigInteger, nullable=False),
    sa.Column("ends_at", Moment, nullable=False, index=True),
    comment=(
        "What servers have taken of a credential's requests of a period, in portions and before they are answered;"
        " more than there are is asked for where the period has no more. Periods that are over go."
    ),
)

idempotent_requests = sa.Table(
    "idempotent_requests",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("operation", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("begun_at", Moment, nullable=False, index=True),
    sa.Column("status", sa.Integer),
    sa.Column("answer", sa.Text),
    comment=(
        "Requests that their sender named with a key, so that each is done once however often it comes. `digest` is of"
        " the body, `status` and `answer` are what was answered, null while it is being done."
    ),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("first_day", sa.Date, nullable=False),
    sa.Column("last_day", sa.Date, nullable=False),
    sa.Column("only_series", sa.Text),
    sa.Column("only_models", sa.Text),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("retry_of", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("started_at", Moment),
    sa.Column("ended_at", Moment),
    sa.Column("stopped_at", Moment),
    comment=(
        "Work that somebody asked for over HTTP. `only_series` and `only_models` are JSON lists (of `[sku, location]`,"
        " of names), null for all; `retry_of` is the batch that failed before; `stopped_at` says that what Dagster did"
        " for a job that was cancelled has been stopped."
    ),
)
sa.Index("jobs_of_tenant", jobs.c.tenant, jobs.c.created_at)

job_blocks = sa.Table(
    "job_blocks",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id"), primary_key=True),
    sa.Column("block", sa.Integer, primary_key=True),
    sa.Column("series", sa.Text, nullable=False),
    comment="The series of each block of a job, as a JSON list of `[sku, location]`: fixed when it was asked for.",
)

job_batches = sa.Table(
    "job_batches",
    metadata,
    sa.Column("batch_id", sa.Text, primary_key=True),
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id"), nullable=False),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("block", sa.Integer, nullable=False),
    sa.Column("first_day", sa.Date, nullable=False),
    sa.Column("last_day", sa.Date, nullable=False),
    sa.Column("series", sa.Integer, nullable=False),
    sa.Column("backfill_id", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("rows", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Column("started_at", Moment),
    sa.Column("ended_at", Moment),
    sa.UniqueConstraint("job_id", "run", "block"),
    comment=(
        "What a job is cut into: days that one run makes, by block of series. `backfill_id` is the name that the run's"
        " backfill has in Dagster, decided before it is launched, so that it is launched once whoever dies."
    ),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    comment=(
        "What listeners are told, in order: transactions that write here wait for each other, so that no id appears"
        " after a greater one. Events of some days ago go."
    ),
    sqlite_autoincrement=True,
)
sa.Index("events_of_tenant", events.c.tenant, events.c.id)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("webhook_id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("types", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    comment=(
        "Who is told of events by a POST to their own server. `types` are words apart by blanks. `secret` signs what is"
        " sent and is shown once; unlike a key it has to be kept, or nothing could be signed."
    ),
)

webhook_messages = sa.Table(
    "webhook_messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("webhook_id", sa.Text, sa.ForeignKey("webhooks.webhook_id"), nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("queued_at", Moment, nullable=False),
    sa.Column("next_try_at", Moment, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("sent_at", Moment),
    sa.Column("last_error", sa.Text),
    sa.UniqueConstraint("webhook_id", "message_id"),
    comment="What is told by webhook, a row a subscription: recorded with the event, then sent, then marked as sent.",
)


class State:
    """The platform's state at a database URL. Constructing it opens nothing; its tables are made at first use.

    Args:
        pooled: whether connections are kept for the next one who asks: in a server, and not in a run or a command.
    """

    def __init__(self, url: str, *, pooled: bool = False) -> None:
        self._url = sa.make_url(url)
        self._pool = sa.QueuePool if pooled else sa.NullPool
        self._engine: sa.Engine | None = None

    @contextmanager
    def transaction(self, *, alone: bool = True) -> Iterator[sa.Connection]:
        """A connection in a transaction that waits for any other: committed at the end, rolled back on an error.

        Args:
            alone: False for one statement that is right whoever else writes: in PostgreSQL it waits for nobody.
        """
        engine = self._opened()
        with engine.begin() as connection:
            if alone and engine.dialect.name == "postgresql":
                connection.execute(sa.text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that sees one state throughout, waits for nobody and is rolled back at the end."""
        with self._opened().connect().execution_options(**{READING: True}) as connection:
            yield connection

    def close(self) -> None:
        """Give back what is kept open."""
        if self._engine is not None:
            self._engine.dispose()

    def _opened(self) -> sa.Engine:
        if self._engine is None:
            self._engine = self._open()
        return self._engine

    def _open(self) -> sa.Engine:
        if self._url.get_backend_name() != "sqlite":
            engine = sa.create_engine(self._url, poolclass=self._pool)
            with engine.begin() as connection:
                connection.execute(sa.text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
                metadata.create_all(connection)
            return engine
        if self._url.database:
            file = Path(self._url.database)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)  # credentials are in it; a file that is there stays as its owner has it
        engine = sa.create_engine(self._url, poolclass=self._pool, connect_args={"timeout": BUSY_SECONDS})
        # The driver begins a transaction at the first write only, and then what was read before may be out of date.
        sa.event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        sa.event.listen(engine, "begin", _begin)
        with engine.begin() as connection:
            metadata.create_all(connection)
        return engine


def _begin(connection: sa.Connection) -> None:
    """SQLite's own word for it: who writes takes the file at once, who only reads lets the others go on."""
    reading = connection.get_execution_options().get(READING)
    connection.exec_driver_sql("begin" if reading else "begin immediate")
