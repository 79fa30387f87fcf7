"""How a command of ours ends."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn


def leave_after(command: Callable[[], object]) -> NoReturn:
    """Call ``command`` and end the process with its exit code, by way of what was registered with ``atexit``.

    Python would first take apart every module and object: 3 s after a demo, half a second after dbt.
    """
    code = 0
    try:
        command()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)
