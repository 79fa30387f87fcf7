"""What must hold before the API listens: a secret that is one, encrypted ways to databases that are elsewhere."""

from __future__ import annotations

import ipaddress

import sqlalchemy as sa

from forecast_platform.settings import SHORTEST_SECRET, Settings, SettingsError

SHORTEST_TOKEN = 16
FEWEST_CHARACTERS = 8
"""Different characters of a secret: ``0000…`` and ``changemechangeme…`` are as long as a real one."""

ENCRYPTED = frozenset({"require", "verify-ca", "verify-full"})


def require_safe(settings: Settings, *, host: str) -> None:
    """Refuse to start where what is given out could be forged or read on its way.

    Args:
        host: the address to listen on.

    Raises:
        SettingsError: naming the setting and what would do.
    """
    if settings.api_metrics_token is not None and len(settings.api_metrics_token) < SHORTEST_TOKEN:
        raise SettingsError(
            f"FORECAST_API_METRICS_TOKEN has fewer than {SHORTEST_TOKEN} characters: openssl rand -hex 16"
        )
    if settings.api_environment == "development":
        if not is_loopback(host):
            raise SettingsError(
                f"FORECAST_API_ENVIRONMENT=development listens on this machine only, not on {host}: use"
                " --host 127.0.0.1, or set FORECAST_API_ENVIRONMENT=production and FORECAST_API_SECRET"
            )
        return
    _require_secret(settings.api_secret)
    for name, url in (("FORECAST_WAREHOUSE", settings.warehouse), ("FORECAST_STATE", settings.state_url)):
        _require_encryption(name, url)


def _require_secret(secret: str | None) -> None:
    make_one = "make one with: openssl rand -hex 32"
    if secret is None:
        raise SettingsError(
            f"FORECAST_API_SECRET is not set, and nothing that is signed could be trusted; {make_one}"
            " (or FORECAST_API_ENVIRONMENT=development, on one machine)"
        )
    if len(secret) < SHORTEST_SECRET:
        raise SettingsError(f"FORECAST_API_SECRET has {len(secret)} characters of {SHORTEST_SECRET}; {make_one}")
    if len(set(secret)) < FEWEST_CHARACTERS or "change" in secret.lower():
        raise SettingsError(f"FORECAST_API_SECRET can be guessed; {make_one}")


def _require_encryption(name: str, text: str) -> None:
    url = sa.make_url(text) if not text.startswith("duckdb:") else None
    if url is None or url.get_backend_name() != "postgresql":
        return
    host = str(url.query.get("host") or url.host or "localhost")
    mode = url.query.get("sslmode")
    if not is_loopback(host) and mode not in ENCRYPTED:
        raise SettingsError(
            f"{name} goes to {host} without TLS: add ?sslmode=verify-full (or require, which does not look at who"
            " answers) to the URL"
        )


def is_loopback(host: str) -> bool:
    """Whether what is sent to ``host``, a name, an address, a socket's folder or several, stays on this machine."""
    return all(map(_stays, host.split(",")))


def _stays(host: str) -> bool:
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
