"""A command ends as ``sys.exit`` would end it: its code, its output, and what was registered to happen."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMAND = """
import atexit, sys
from forecast_platform.leaving import leave_after
atexit.register(print, "registered")
def command():
    print("done")
    {}
leave_after(command)
"""


@pytest.mark.parametrize(
    ("ending", "code", "errors"),
    [
        ("return 3", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(2)", 2, ""),
        ("sys.exit('no such tenant')", 1, "no such tenant\n"),
    ],
)
def test_a_command_leaves_with_its_code_and_all_of_its_output(ending: str, code: int, errors: str):
    ended = subprocess.run([sys.executable, "-c", COMMAND.format(ending)], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "done\nregistered\n", errors)


def test_what_a_command_raises_is_shown_whole():
    ended = subprocess.run([sys.executable, "-c", COMMAND.format("1 / 0")], capture_output=True, text=True)
    assert ended.returncode == 1 and "ZeroDivisionError" in ended.stderr
