"""Work on several cores: in order, and on no more of them than the process may use."""

from __future__ import annotations

import subprocess
import sys
import threading

from forecast_platform.threads import cores, on_all_cores


def test_results_come_in_the_order_of_the_parts():
    assert on_all_cores(lambda part: part * 2, list(range(9))) == [2 * part for part in range(9)]


def test_a_process_that_is_pinned_to_one_core_uses_one_thread():
    code = (
        "import os, threading; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from forecast_platform.threads import cores, on_all_cores\n"
        "names = on_all_cores(lambda part: threading.current_thread().name, [1, 2, 3])\n"
        "print(cores(), set(names))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == f"1 {{'{threading.main_thread().name}'}}"
    assert cores() >= 1
