"""The API does not start where what it gives out could be forged, or read on its way."""

from __future__ import annotations

import pytest

from forecast_platform.api.starting import is_loopback, require_safe
from forecast_platform.settings import SettingsError, load

SECRET = "3f1d0c8be24a97566f1e2d3c4b5a6978"
SAFE = {"FORECAST_API_SECRET": SECRET}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "FORECAST_API_SECRET is not set"),
        ({"FORECAST_API_SECRET": SECRET[:31]}, "31 characters of 32"),
        ({"FORECAST_API_SECRET": "0" * 64}, "can be guessed"),
        ({"FORECAST_API_SECRET": "changeme" * 8}, "can be guessed"),
        (SAFE | {"FORECAST_API_METRICS_TOKEN": "short"}, "FORECAST_API_METRICS_TOKEN"),
        (
            SAFE | {"FORECAST_WAREHOUSE": "postgresql://u:p@db.example/d"},
            "FORECAST_WAREHOUSE goes to db.example without TLS",
        ),
        (SAFE | {"FORECAST_STATE": "postgresql://u:p@10.0.0.7/d"}, "FORECAST_STATE goes to 10.0.0.7 without TLS"),
        (SAFE | {"FORECAST_WAREHOUSE": "postgresql://u:p@h/d?sslmode=prefer"}, "without TLS"),
        (SAFE | {"FORECAST_WAREHOUSE": "postgresql://u:p@127.0.0.1.evil.example/d"}, "without TLS"),
        (SAFE | {"FORECAST_WAREHOUSE": "postgresql:///d?host=127.0.0.1,db.example"}, "without TLS"),
    ],
)
def test_what_is_not_safe_is_refused_with_the_way_out(given: dict[str, str], reason: str):
    with pytest.raises(SettingsError, match=reason):
        require_safe(load(given), host="0.0.0.0")


@pytest.mark.parametrize(
    "given",
    [
        SAFE,
        SAFE | {"FORECAST_WAREHOUSE": "postgresql://u:p@localhost/d"},
        SAFE | {"FORECAST_WAREHOUSE": "postgresql://u@/d?host=/var/run/postgresql"},
        SAFE | {"FORECAST_WAREHOUSE": "postgresql://u:p@db.example/d?sslmode=verify-full"},
        SAFE | {"FORECAST_API_METRICS_TOKEN": "0123456789abcdef"},
    ],
)
def test_what_is_safe_starts(given: dict[str, str]):
    require_safe(load(given), host="0.0.0.0")


def test_development_needs_no_secret_and_stays_on_its_machine():
    settings = load({"FORECAST_API_ENVIRONMENT": "development"})
    require_safe(settings, host="127.0.0.1")
    with pytest.raises(SettingsError, match=r"--host 127\.0\.0\.1"):
        require_safe(settings, host="0.0.0.0")


def test_an_unknown_environment_is_refused():
    with pytest.raises(SettingsError, match="production, development"):
        load({"FORECAST_API_ENVIRONMENT": "staging"})


def test_only_this_machine_is_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "/tmp", "localhost,127.0.0.1")))
    assert not any(map(is_loopback, ("0.0.0.0", "", "localhost.example", "127.0.0.1.example", "10.0.0.1", "::")))
