"""The log: one line an entry whatever it holds, with the id of its event, without secrets."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from _pytest.logging import LogCaptureHandler

from forecast_platform import logs
from forecast_platform.assets.scope import CORRELATION_TAG, REASON_TAG, REQUESTED_BY_TAG, asked_by, passed_on
from forecast_platform.pipeline import PROJECT
from forecast_platform.settings import SettingsError, load

HOSTILE = 'a\nb\r\nc\u2028d\x1b[31m\x00 "e" \\ {"level": "INFO"} \udcff'


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Configure the log as a process of its own would; what was before is put back."""
    for name in ("_json", "_command"):
        monkeypatch.setattr(logs, name, False)
    monkeypatch.setattr(logs, "_secrets", set())
    level = logging.getLogger(logs.OURS).level

    def configure(log: str, *, command: bool, **settings: str) -> None:
        logs.configure(load({"FORECAST_LOG": log} | settings), command=command)

    yield configure
    monkeypatch.undo()
    logs.configure(load({}))
    logging.getLogger(logs.OURS).setLevel(level)


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_an_entry_is_one_line_of_json_whatever_it_holds(
    configured: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    configured("json", command=True)
    # What pytest's own handlers capture is sent to another process, which half a character cannot be.
    ours = [each for each in logging.getLogger().handlers if not isinstance(each, LogCaptureHandler)]
    monkeypatch.setattr(logging.getLogger(), "handlers", ours)
    logger = logging.getLogger("forecast_platform.sources.landing")
    with logs.correlation("batch-1"):
        logger.info("read %s", HOSTILE, extra={"file": HOSTILE, "rows": 3})
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logger.exception("failed")
    first, second = lines(capsys.readouterr().err)
    assert first["message"] == f"read {HOSTILE}" and first["file"] == HOSTILE and first["rows"] == 3
    assert (first["level"], first["correlation_id"]) == ("INFO", "batch-1")
    assert first["logger"] == "forecast_platform.sources.landing" and first["time"].endswith("+00:00")
    assert second["level"] == "ERROR" and "ValueError" in second["error"] and second["correlation_id"] is None


def test_text_is_one_line_an_entry_too_and_tells_warnings_only(configured: Callable, capsys: pytest.CaptureFixture):
    configured("text", command=True)
    logger = logging.getLogger("forecast_platform.sources.landing")
    logger.info("nothing to worry about")
    logger.warning("read %s", "a\nb\x1b[31m")
    assert capsys.readouterr().err == "read a\\nb\\u001b[31m\n"


@pytest.mark.parametrize("log", ["text", "json"])
def test_no_password_is_logged(configured: Callable, capsys: pytest.CaptureFixture, log: str):
    url = "postgresql://ann:s3cr%40t-of-ann@db.example/forecast"
    configured(log, command=True, FORECAST_WAREHOUSE=url)
    logger = logging.getLogger("forecast_platform.io_managers")
    logger.warning("cannot connect to %s", url, extra={"url": url, "nested": {"api_key": "k-12345"}})
    logger.warning("the server said: password authentication failed for s3cr@t-of-ann")
    logger.warning("https://user:hunter2@host/x, password='hun ter3' token=hunter4 Authorization: Bearer hunter5")
    told = capsys.readouterr().err
    for secret in ("s3cr", "of-ann", "hunter", "hun ter3", "k-12345"):
        assert secret not in told
    assert "ann:***@db.example/forecast" in told and len(told.splitlines()) == 3


def test_an_unknown_kind_of_log_is_refused():
    with pytest.raises(SettingsError, match="FORECAST_LOG is 'xml'; it must be one of text, json"):
        load({"FORECAST_LOG": "xml"})


def test_what_a_run_logs_carries_its_tenant_asset_run_and_event(configured: Callable, capsys: pytest.CaptureFixture):
    """Through the handler that ``dagster.yaml`` names, for ``context.log``, our own loggers and nested runs alike."""
    configured("json", command=False)
    configuration = yaml.safe_load((PROJECT / "dagster.yaml").read_text())["python_logs"]
    deployed = yaml.safe_load((PROJECT / "deploy" / "dagster.yaml").read_text())["python_logs"]
    assert configuration == deployed

    @dg.asset(key=["my__shop", "raw_sales"])
    def raw_sales(context: dg.AssetExecutionContext) -> None:
        context.log.info("by the context\nand more")
        logging.getLogger("forecast_platform.sources.landing").warning("by a module")

    @dg.asset(key=["my__shop", "broken"], deps=[raw_sales])
    def broken() -> None:
        raise ValueError("connect to postgresql://u:hunter2@host failed")

    with dg.instance_for_test(overrides={"python_logs": configuration}) as instance:
        told = dg.materialize(
            [raw_sales, broken], instance=instance, tags={CORRELATION_TAG: "batch-7"}, raise_on_error=False
        )
    captured = capsys.readouterr()
    entries = lines(captured.out)
    assert {(entry["run_id"], entry["correlation_id"]) for entry in entries} == {(told.run_id, "batch-7")}
    by_message = {entry["message"]: entry for entry in entries}
    for message in ("by the context\nand more", "by a module"):
        assert (by_message[message]["tenant"], by_message[message]["asset"]) == ("my__shop", "raw_sales")
    events = [(entry.get("event"), entry["asset"]) for entry in entries]
    assert events.count(("STEP_SUCCESS", "raw_sales")) == 1 and events.count(("PIPELINE_FAILURE", None)) == 1
    (failed,) = [entry for entry in entries if entry.get("event") == "STEP_FAILURE"]
    assert failed["asset"] == "broken" and "ValueError" in failed["error"]
    assert "hunter2" not in captured.out


def test_dagsters_processes_stay_with_dagsters_text_unless_json_is_asked_for(configured: Callable):
    configured("text", command=False)
    assert isinstance(logs.run_handler(), logging.NullHandler)


def test_a_command_answers_on_stdout_and_logs_json_on_stderr(tmp_path: Path):
    import subprocess

    script = (
        "import logging\nfrom forecast_platform import logs, settings\n"
        "logs.configure(settings.load(), command=True)\n"
        "logging.getLogger('some.library').warning('careful')\nprint('answer')\n"
    )
    environment = {"FORECAST_LOG": "json", "PYTHONPATH": str(PROJECT), "FORECAST_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "answer\n"
    assert [entry["message"] for entry in lines(done.stderr)] == ["careful"]


@pytest.mark.parametrize(
    ("tags", "who"),
    [
        ({REQUESTED_BY_TAG: "cli"}, "cli"),
        ({"user": "ann"}, "user ann"),
        ({"dagster/from_ui": "true"}, "UI"),
        ({"dagster/from_ui": "true", "dagster/backfill": "xyz"}, "UI, backfill xyz"),
        ({"dagster/schedule_name": "demo__close"}, "schedule demo__close"),
        ({"dagster/sensor_name": "demo__arrivals"}, "sensor demo__arrivals"),
        (
            {"dagster/sensor_name": "default", "dagster/from_automation_condition": "true"},
            "sensor default, automation condition",
        ),
        ({"dagster/backfill": "xyz"}, "dagster, backfill xyz"),
        (
            {"user": "ann", "dagster/parent_run_id": "0123456789", "dagster/retry_number": "1"},
            "user ann, retry 1 of run 01234567",
        ),
        ({"user": "ann", "dagster/parent_run_id": "0123456789"}, "user ann, again after run 01234567"),
        ({}, "dagster"),
    ],
)
def test_who_asked_is_told_apart(tags: dict, who: str):
    assert asked_by(tags) == who


def test_a_run_passes_on_who_asked_why_and_its_event():
    tags = {"dagster/sensor_name": "demo__arrivals", REASON_TAG: "late.csv", CORRELATION_TAG: "batch-7", "other": "x"}
    given = passed_on(tags)
    assert given == {
        REQUESTED_BY_TAG: "sensor demo__arrivals",
        REASON_TAG: "late.csv",
        CORRELATION_TAG: "batch-7",
    }
    assert passed_on(given) == given
