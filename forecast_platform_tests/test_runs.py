"""Running from the command line: several commands at once on a fresh instance."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OPEN_TOGETHER = """
import sys, time
from pathlib import Path
import dagster
from forecast_platform.runs import open_instance
home, start = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
while not start.exists():
    time.sleep(0.0005)
with open_instance(home) as instance:
    assert instance.get_runs() == []
"""


def test_commands_started_together_on_an_empty_dagster_home_all_open_it(tmp_path: Path):
    # Without the lock some of the six die of "table ... already exists".
    home, start = tmp_path / "home", tmp_path / "start"
    home.mkdir()
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_TOGETHER, str(home), str(start)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 6
    start.touch()
    ended = [(child.wait(timeout=120), child.stderr.read()) for child in children]
    assert [code for code, _ in ended] == [0] * 6, [said[-500:] for code, said in ended if code]
