"""The only reader of the environment.

Every variable that starts with ``FORECAST_`` is a field below; an unknown one is refused, because a
misspelt setting that is silently ignored is found out in production. What belongs to a tenant is in
its ``defs.yaml``, not here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

PREFIX = "FORECAST_"
Executor = Literal["in_process", "multiprocess", "celery", "k8s"]
Log = Literal["text", "json"]
ApiEnvironment = Literal["production", "development"]
PrivateAddresses = Literal["refuse", "allow"]

SHORTEST_SECRET = 32
"""Characters of a secret that signs what the API gives out; as many as 128 random bits have in hexadecimal."""


OWN_ISSUER = "forecast-platform"
"""Who gives out the API's own tokens, as they say."""

LONGEST_SESSION_MINUTES = 24 * 60


class SettingsError(ValueError):
    """A setting is unknown or has a value that cannot work. The message says which and what would."""


@dataclass(frozen=True)
class Settings:
    """The platform's settings, the same for every tenant of one process.

    Attributes:
        home: folder of the defaults below and of caches that can be deleted (dbt's parsed project).
        warehouse: ``duckdb:///folder`` (one file a tenant in it), ``duckdb:///folder?memory=16GB``, or
            ``postgresql://user:password@host/database``.
        landing: fsspec URL under which everything that arrives is kept as it came.
        artifacts: fsspec URL under which what models learned is kept; default: ``artifacts`` under ``home``.
        archive: fsspec URL under which old months of the ledgers are kept; default: ``archive`` under ``home``.
        reports: fsspec URL under which the daily reports are written; default: ``reports`` under ``home``.
        state: SQLAlchemy URL of the platform's state, ``sqlite:///file`` (default, under ``home``) or ``postgresql://…``.
        tenants: folder with one folder a tenant, each with a ``defs.yaml``; default: ``defs`` of this package.
        executor: how a run's steps are executed; DuckDB allows one process, so ``in_process`` only.
        steps_at_once: the most steps of one run that ``multiprocess`` or ``k8s`` executes side by side; by default
            as many as Dagster thinks fit. (With ``celery`` the number of workers decides.)
        celery_broker: URL of Celery's broker, as ``amqp://user:password@host//``, ``redis://host/0``, or on one machine
            ``filesystem:///folder``.
        celery_results: URL of Celery's result backend, as ``rpc://``, ``redis://host/1`` or ``file:///folder``.
        staging: fsspec URL under which blocks of series are kept from the step that forecasts them to the one that
            appends them to the ledger; every worker must reach it. Default: ``staging`` under ``home``.
        log: how entries of the log look, ``text`` for people or one line of ``json`` each.
        ui_url: where people open the Dagster UI; links in alerts begin with it.
        api_environment: ``production``, where the API starts only with a secret of its own and encrypted connections,
            or ``development``, where it makes up a secret and keeps it beside the state.
        api_secret: what the API signs with, 32 characters or more, the same for all its processes.
        api_session_minutes: how long one who signed in by name and password stays so.
        api_jwt_issuer: the issuer (``iss``) of another sign-in whose tokens are taken too; needs ``api_jwt_audience``
            and ``api_jwt_keys``.
        api_jwt_audience: the audience (``aud``) that its tokens name.
        api_jwt_keys: its public keys: a file with PEM or JWKS, or an ``https`` URL of JWKS.
        api_jwt_tenant_claim: the claim that names the tenant; a path with dots leads into claims that hold others.
        api_jwt_role_claim: the claim with the role or roles: viewer, planner, operator, admin.
        api_jwt_scope_claim: the claim with the scopes; where it names one of ours, scopes hold and not the role.
        api_rate: requests a minute of one credential, over all processes; 0: as many as come.
        api_burst: how many of them may come at once; by default a minute's.
        api_origins: origins, apart by commas, whose pages may call the API from a browser, as ``https://shop.example``;
            by default none may.
        api_metrics_token: what Prometheus sends as its bearer token; without one ``/metrics`` is there in development
            only.
        api_body_bytes: the largest body of a request.
        api_private_webhooks: ``allow`` lets tenants' webhooks go to addresses inside one's own network, and to
            ``http://``; by default they are refused, as whoever may make a webhook could reach what only this server
            can.
        crash_at: name of a crash point at which the process kills itself; for fault tests only.
    """

    home: str
    warehouse: str
    landing: str
    artifacts: str | None = None
    archive: str | None = None
    reports: str | None = None
    state: str | None = None
    tenants: str | None = None
    executor: Executor = "in_process"
    steps_at_once: int | None = None
    celery_broker: str | None = None
    celery_results: str | None = None
    staging: str | None = None
    log: Log = "text"
    ui_url: str = "http://localhost:3000"
    api_environment: ApiEnvironment = "production"
    api_secret: str | None = None
    api_session_minutes: int = 60
    api_jwt_issuer: str | None = None
    api_jwt_audience: str | None = None
    api_jwt_keys: str | None = None
    api_jwt_tenant_claim: str = "tenant"
    api_jwt_role_claim: str = "role"
    api_jwt_scope_claim: str = "scope"
    api_rate: int = 180_000
    api_burst: int | None = None
    api_origins: str | None = None
    api_metrics_token: str | None = None
    api_body_bytes: int = 10_000_000
    api_private_webhooks: PrivateAddresses = "refuse"
    crash_at: str | None = None

    @property
    def backend(self) -> Literal["duckdb", "postgresql"]:
        return "duckdb" if self.warehouse.startswith("duckdb:") else "postgresql"

    @property
    def artifacts_url(self) -> str:
        return self.artifacts or (Path(self.home) / "artifacts").as_uri()

    @property
    def archive_url(self) -> str:
        return self.archive or (Path(self.home) / "archive").as_uri()

    @property
    def reports_url(self) -> str:
        return self.reports or (Path(self.home) / "reports").as_uri()

    @property
    def staging_url(self) -> str:
        return self.staging or (Path(self.home) / "staging").as_uri()

    @property
    def state_url(self) -> str:
        return self.state or f"sqlite:///{Path(self.home) / 'state.db'}"

    def __post_init__(self) -> None:
        if not self.warehouse.startswith(("duckdb:///", "postgresql://", "postgresql+psycopg2://")):
            raise SettingsError(
                f"FORECAST_WAREHOUSE is {self.warehouse!r}; it must be duckdb:///folder or postgresql://user@host/database"
            )
        if not self.state_url.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg2://")):
            raise SettingsError(
                f"FORECAST_STATE is {self.state!r}; it must be sqlite:///file or postgresql://user@host/database"
            )
        if self.log not in get_args(Log):
            raise SettingsError(f"FORECAST_LOG is {self.log!r}; it must be one of {', '.join(get_args(Log))}")
        if not re.fullmatch(r"https?://[^\s|<>\"]+", self.ui_url):
            raise SettingsError(f"FORECAST_UI_URL is {self.ui_url!r}; it must be http://host:port or https://host")
        if self.api_environment not in get_args(ApiEnvironment):
            raise SettingsError(
                f"FORECAST_API_ENVIRONMENT is {self.api_environment!r}; it must be one of"
                f" {', '.join(get_args(ApiEnvironment))}"
            )
        if self.api_private_webhooks not in get_args(PrivateAddresses):
            raise SettingsError(
                f"FORECAST_API_PRIVATE_WEBHOOKS is {self.api_private_webhooks!r}; it must be refuse or allow"
            )
        self._check_credentials()
        self._check_executor()

    def _check_credentials(self) -> None:
        names = ("api_jwt_issuer", "api_jwt_audience", "api_jwt_keys")
        lacking = [PREFIX + name.upper() for name in names if getattr(self, name) is None]
        if 0 < len(lacking) < len(names):
            raise SettingsError(
                f"{', '.join(lacking)} is not set: the tokens of another issuer need FORECAST_API_JWT_ISSUER,"
                " FORECAST_API_JWT_AUDIENCE and FORECAST_API_JWT_KEYS together"
            )
        if self.api_jwt_issuer == OWN_ISSUER:
            raise SettingsError(
                f"FORECAST_API_JWT_ISSUER is {OWN_ISSUER!r}, which is the name of our own tokens' issuer"
            )
        if "://" in (self.api_jwt_keys or "") and not (self.api_jwt_keys or "").startswith("https://"):
            raise SettingsError(
                f"FORECAST_API_JWT_KEYS is {self.api_jwt_keys!r}; it must be a file, or a URL that begins with https://"
            )
        if not 1 <= self.api_session_minutes <= LONGEST_SESSION_MINUTES:
            raise SettingsError(
                f"FORECAST_API_SESSION_MINUTES is {self.api_session_minutes}; it must be 1 to {LONGEST_SESSION_MINUTES}"
            )
        if self.api_burst == 0:
            raise SettingsError(
                "FORECAST_API_BURST is 0, and nothing would be answered; FORECAST_API_RATE=0 is no limit"
            )

    def _check_executor(self) -> None:
        if self.executor not in get_args(Executor):
            raise SettingsError(
                f"FORECAST_EXECUTOR is {self.executor!r}; it must be one of {', '.join(get_args(Executor))}"
            )
        if self.backend == "duckdb" and self.executor != "in_process":
            raise SettingsError(
                f"FORECAST_EXECUTOR={self.executor} needs several processes, and DuckDB lets one in at a time:"
                " use FORECAST_EXECUTOR=in_process, or set FORECAST_WAREHOUSE to a postgresql:// URL"
            )
        for name in ("celery_broker", "celery_results") if self.executor == "celery" else ():
            if getattr(self, name) is None:
                raise SettingsError(
                    f"FORECAST_EXECUTOR=celery needs {PREFIX}{name.upper()}, the same for every worker, as"
                    " FORECAST_CELERY_BROKER=amqp://user:password@host// with FORECAST_CELERY_RESULTS=rpc://"
                )
        if self.steps_at_once is not None and self.executor not in ("multiprocess", "k8s"):
            raise SettingsError(
                f"FORECAST_STEPS_AT_ONCE is {self.steps_at_once}, and FORECAST_EXECUTOR={self.executor} has no such"
                " limit: unset it, or use the executor multiprocess or k8s"
            )
        if self.steps_at_once is not None and self.steps_at_once < 1:
            raise SettingsError(f"FORECAST_STEPS_AT_ONCE is {self.steps_at_once}; it must be at least 1")


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from ``environment`` (default: the process's).

    Raises:
        SettingsError: a ``FORECAST_`` variable is unknown, or a value cannot work.
    """
    environment = os.environ if environment is None else environment
    known = {PREFIX + field.name.upper(): field.name for field in fields(Settings)}
    given = {name: value for name, value in environment.items() if name.startswith(PREFIX) and value != ""}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    values: dict[str, Any] = {known[name]: value for name, value in given.items()}
    for number in {"steps_at_once", "api_body_bytes", "api_session_minutes", "api_rate", "api_burst"} & values.keys():
        values[number] = _whole_number(PREFIX + number.upper(), values[number])
    home = Path(values.get("home") or Path(environment.get("DAGSTER_HOME") or os.getcwd()) / ".forecast").resolve()
    defaults = {"warehouse": f"duckdb:///{home / 'warehouse'}", "landing": (home / "landing").as_uri()}
    return Settings(**(defaults | values | {"home": str(home)}))


def _whole_number(name: str, text: str) -> int:
    if not text.strip().isdecimal():
        raise SettingsError(f"{name} is {text!r}; it must be a whole number")
    return int(text)


def instance_file(environment: Mapping[str, str] | None = None) -> Path | None:
    """The ``dagster.yaml`` of this process's instance; ``None`` where there is none to be seen."""
    environment = os.environ if environment is None else environment
    path = Path(environment.get("DAGSTER_HOME") or "") / "dagster.yaml"
    return path if environment.get("DAGSTER_HOME") and path.is_file() else None


def dagster_home(environment: Mapping[str, str] | None = None) -> Path | None:
    """Where Dagster keeps runs and events, where somebody has said it."""
    told = (os.environ if environment is None else environment).get("DAGSTER_HOME")
    return Path(told) if told else None


def ensure_dagster_home(project: Path) -> Path:
    """Where Dagster keeps runs and events: ``DAGSTER_HOME``, set to ``project`` for this process where it is not set.

    The command line and the UI see each other's runs only if both use the same folder.
    """
    folder = Path(os.environ.setdefault("DAGSTER_HOME", str(project))).resolve()
    if not folder.is_dir():
        raise SettingsError(f"DAGSTER_HOME is {str(folder)!r}, which is no folder; create it or unset DAGSTER_HOME")
    return folder


def use_unless_set(name: str, value: str) -> None:
    """Set an environment variable that a library reads, for this process and its children, where nobody has set it."""
    os.environ.setdefault(name, value)


def metrics_folder() -> Path | None:
    """The folder through which processes of one server add up what Prometheus reads; None where one is alone."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child process: this one's, with ``extra`` on top."""
    return {**os.environ, **extra}


def variables() -> Mapping[str, str]:
    """The environment as the ``${NAME}`` of URLs in a tenant's YAML may use it, so that passwords stay out of files."""
    return os.environ
