"""The command line as a process of its own, over a folder of tenants and a Dagster home of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from forecast_platform.pipeline import PROJECT
from forecast_platform_tests.pipeline.shop import Shop

TIMEOUT_SECONDS = 240
TYPE = "forecast_platform.pipeline.ForecastPipeline"


@dataclass
class CommandLine:
    """``forecast-platform`` with the tenants in ``folder/tenants``."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tenants.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / "dagster.yaml", self.home)

    @property
    def tenants(self) -> Path:
        return self.folder / "tenants"

    @property
    def home(self) -> Path:
        """The ``DAGSTER_HOME``."""
        return self.folder / "dagster_home"

    def add_tenant(self, name: str, attributes: Mapping[str, Any]) -> Path:
        """A tenant is a folder with a ``defs.yaml`` and nothing else."""
        path = self.tenants / name / "defs.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"type": TYPE, "attributes": dict(attributes)}))
        return path

    def start(self, *arguments: str, crash_at: str | None = None, **environment: str) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FORECAST_")}
        own = {"DAGSTER_HOME": str(self.home), "FORECAST_TENANTS": str(self.tenants)}
        crash = {"FORECAST_CRASH_AT": crash_at} if crash_at else {}
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("forecast-platform")), *arguments],
            env=inherited | own | self.environment | crash | environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, crash_at: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return finished(self.start(*arguments, crash_at=crash_at, **environment))


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a command; it is ended if it hangs."""
    try:
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{process.args} hung for {TIMEOUT_SECONDS} s: {out[-2000:]}{err[-2000:]}") from None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def command_line_of(shop: Shop) -> CommandLine:
    """A command line whose only tenant is ``shop``, with the shop's warehouse and landing."""
    commands = CommandLine(shop.folder / "command_line", shop.environment)
    commands.add_tenant(shop.name, shop.attributes)
    return commands
