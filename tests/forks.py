"""How a fork of a process that has much in memory ends."""

import atexit
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn


def leave(work: Callable[[], object]) -> NoReturn:
    """Works and ends with Python's exit code, but leaves the interpreter up: its end would copy all that is shared."""
    code = 0
    try:
        work()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
