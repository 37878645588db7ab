"""Runs a stage as `python -m` does, in a fork of the process that stage_server.py describes: MODULE ARGUMENTS...

SYNTHOOD_STAGES is the server's folder, named after its owner's process, or `off`. Without one, where a server cannot be
started, and with `--gpus` above 0, since CUDA does not survive a fork, the stage runs in this process. Python's own
library alone, in 20 ms: run it by `python -IS`.
"""

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

SERVER = Path(__file__).with_name("stage_server.py")


def connected(folder: Path) -> socket.socket | None:
    """The server, which the first client starts; None where that fails."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        return None
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(folder / "socket"))
        except FileNotFoundError:
            command = [sys.executable, "-P", str(SERVER), str(folder), folder.name.split("-")[2]]
            quiet = subprocess.DEVNULL
            started = subprocess.Popen(
                command, stdout=subprocess.PIPE, stdin=quiet, stderr=quiet, start_new_session=True
            )
            if not started.stdout or started.stdout.readline() != b"ready\n":
                return None
            server.connect(str(folder / "socket"))
        return server


def passed_on(server: socket.socket, number: int) -> None:
    """Tells the server of a signal, unless the stage has ended by now."""
    with suppress(ConnectionError):
        server.sendall(bytes([number]))


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing has begun that a traceback could tell of
    given = os.environ.get("SYNTHOOD_STAGES", "off")
    on_gpu = any(word.startswith("--gpus=") and word != "--gpus=0" for word in sys.argv)
    try:
        server = None if given == "off" or on_gpu else connected(Path(given))
    except OSError:
        server = None
    if server is None:
        os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, lambda number, _: passed_on(server, number))
    try:
        socket.send_fds(server, [b"."], [1, 2])
        server.sendall(json.dumps([str(Path.cwd()), sys.argv[1:], dict(os.environ)]).encode() + b"\n")
        said = server.makefile().readline()
    except ConnectionError:
        said = ""
    if not said:
        with suppress(OSError):  # of a log on a full disk
            print("the process from which stages fork was killed; run the same command again", file=sys.stderr)
        return 1
    code = int(said)
    if code < 0:
        with suppress(OSError):  # of those that cannot be caught
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
