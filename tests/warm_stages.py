"""Stages in forks of this process, which imports torch and its kin once: that takes longer than a toy's stage does.

The package itself is each fork's own to import, from the checkout it runs in. The program `python` that this process
writes into a folder asks for the forks; it does all else as Python does.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path

from forks import leave

ALWAYS = ["numpy", "pandas", "pyarrow.parquet", "pydantic", "safetensors.torch", "sklearn.datasets", "torch._dynamo"]
BY_PACKAGE = {
    "generators": ["diffusers.pipelines.stable_diffusion", "pytorch_pretrained_biggan"],
    "outliers": ["diffusers.pipelines.stable_diffusion"],
    "reporting": ["jinja2", "matplotlib.pyplot"],
}
PROGRAM = """#!{python} -IS
import json, os, socket, sys
if sys.argv[1] != "-m" or not sys.argv[2].startswith("synthood."):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"."], [1, 2])
    server.sendall(json.dumps([os.getcwd(), sys.argv[2:], dict(os.environ)]).encode() + b"\\n")
    sys.exit(int(server.makefile().readline() or 1))
"""


def run(place: str, command: list[str], variables: dict[str, str]) -> None:
    """What `python -m` does."""
    os.chdir(place)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:0] = [place, *variables["PYTHONPATH"].split(os.pathsep)]
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


def serve(asking: socket.socket) -> None:
    """Answers with the stage's exit code."""
    _, streams, _, _ = socket.recv_fds(asking, 1, 2)
    place, command, variables = json.loads(asking.makefile().readline())
    for module in [*ALWAYS, *BY_PACKAGE.get(command[0].split(".")[1], [])]:
        importlib.import_module(module)
    gc.freeze()  # a fork collects its own garbage alone
    if os.fork():
        for stream in streams:
            os.close(stream)
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        asking.sendall(b"%d\n" % (code if code >= 0 else 128 - code))
        os._exit(0)
    for number, stream in enumerate(streams, 1):
        os.dup2(stream, number)
    leave(lambda: run(place, command, variables))


folder = Path(sys.argv[1])
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
with socket.socket(socket.AF_UNIX) as listening:
    listening.bind(str(folder / "socket"))
    listening.listen()
    program = folder / "python"
    program.write_text(PROGRAM.format(python=sys.executable, address=str(folder / "socket")))
    program.chmod(0o755)
    print("ready", flush=True)
    while True:
        asking, _ = listening.accept()
        with asking:
            serve(asking)
