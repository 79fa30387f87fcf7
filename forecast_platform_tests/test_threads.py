"""Work on several cores: in order, and on no more of them than the process may use."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from forecast_platform.threads import cores, on_all_cores, one_ahead


def test_results_come_in_the_order_of_the_parts():
    assert on_all_cores(lambda part: part * 2, list(range(9))) == [2 * part for part in range(9)]


def test_the_next_item_is_made_while_this_one_is_used_and_no_other():
    made = [threading.Event() for _ in range(4)]

    def items():
        for number, event in enumerate(made):
            event.set()
            yield number

    for number in one_ahead(items()):
        assert all(event.wait(10) for event in made[: number + 2])
        assert not any(event.is_set() for event in made[number + 2 :])
    assert list(one_ahead([])) == []


def test_what_making_an_item_raises_comes_in_its_turn():
    def items():
        yield 1
        raise ZeroDivisionError

    ahead = one_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ZeroDivisionError):
        next(ahead)


def test_who_stops_early_does_not_wait_for_the_item_that_is_made_and_no_other_is():
    goes_on, asked = threading.Event(), []

    def items():
        for number in range(4):
            asked.append(number)
            yield number
            assert goes_on.wait(60)

    stopped = one_ahead(items())
    assert next(stopped) == 0
    stopped.close()
    goes_on.set()
    for thread in threading.enumerate():
        if thread.name == "one-ahead":
            thread.join(60)
    assert asked == [0, 1]


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
