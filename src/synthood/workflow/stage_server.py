"""Runs a workflow's stages in forks of one process, which imports torch and its kin once: that takes seconds each time.

Started by `stage_client.py`, as `stage_server.py FOLDER PROCESS`: listens at a socket in the folder until the process
ends. The package itself is each fork's own to import, so that a fork runs the code of its checkout.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

ALWAYS = ("numpy", "pandas", "pyarrow.parquet", "pydantic", "safetensors.torch", "sklearn.datasets", "torch._dynamo")
BY_PACKAGE = {
    "generators": ("diffusers.pipelines.stable_diffusion", "pytorch_pretrained_biggan"),
    "outliers": ("diffusers.pipelines.stable_diffusion",),
    "reporting": ("jinja2", "matplotlib.pyplot"),
}
"""What stages import, of all packages of ours and of each."""


def main(folder: Path, owner: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; clients pass on what is theirs
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    ends = os.pidfd_open(owner)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        listening.listen(1024)
        print("ready", flush=True)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        while ends not in select.select([listening.fileno(), ends], [], [])[0]:
            asking, _ = listening.accept()
            with asking:
                serve(asking)
    shutil.rmtree(folder, ignore_errors=True)


def serve(asking: socket.socket) -> None:
    """Forks a process that runs a stage, and one that answers with its exit code."""
    _, streams, _, _ = socket.recv_fds(asking, 1, 2)
    place, command, variables = json.loads(asking.makefile().readline())
    for module in (*ALWAYS, *BY_PACKAGE.get(command[0].split(".")[1], ())):
        try:
            importlib.import_module(module)
        except ImportError:  # the stage says what it needs
            continue
    gc.freeze()  # a fork collects its own garbage alone
    if os.fork() == 0:
        for one in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(one, signal.SIG_DFL)
        stage = os.fork()
        if stage == 0:
            asking.close()
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for number, stream in enumerate(streams, 1):
                os.dup2(stream, number)
            leave(lambda: run(place, command, variables))
        os._exit(watch(asking, stage))
    for stream in streams:
        os.close(stream)


def watch(asking: socket.socket, stage: int) -> int:
    """Passes the client's signals on, kills the stage with all its processes where the client is gone, and tells it the
    exit code."""
    ended = os.pidfd_open(stage)
    while ended not in select.select([asking.fileno(), ended], [], [])[0]:
        said = asking.recv(1)
        try:
            os.killpg(stage, said[0] if said else signal.SIGKILL)
        except ProcessLookupError:  # it has not begun
            os.kill(stage, said[0] if said else signal.SIGKILL)
        if not said:
            return 0
    code = os.waitstatus_to_exitcode(os.waitpid(stage, 0)[1])
    asking.sendall(b"%d\n" % code)
    return 0


def run(place: str, command: list[str], variables: dict[str, str]) -> None:
    """What `python -m` does."""
    os.chdir(place)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:0] = [place, *variables.get("PYTHONPATH", "").split(os.pathsep)]
    sys.argv = command
    use_threads(int(variables.get("OMP_NUM_THREADS", "1")))
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


def use_threads(threads: int) -> None:
    """Of all libraries that read OMP_NUM_THREADS when they were imported."""
    import threadpoolctl
    import torch

    threadpoolctl.threadpool_limits(threads)
    torch.set_num_threads(threads)


def leave(work: Callable[[], object]) -> NoReturn:
    """Works and ends with Python's exit code, but leaves the interpreter up: its end would copy all that is shared."""
    code = 0
    try:
        work()
    except SystemExit as end:
        code = int(end.code or 0)
    except KeyboardInterrupt:  # while a stage imports what it needs
        code = 128 + signal.SIGINT
    except BaseException:
        code = 1
        with suppress(OSError):  # of a log on a full disk
            traceback.print_exc()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 1
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
