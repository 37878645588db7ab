"""Processes that start with torch imported already, so that a test can afford many."""

import multiprocessing
import os
import socket
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from checkouts import HANGS
from synthood.training import train

CONTEXT = multiprocessing.get_context("forkserver")
# Every optimizer imports torch._dynamo, which takes longer than these tests train.
CONTEXT.set_forkserver_preload(
    ["synthood.training.train", "synthood.training.terms.virtual_outliers", "torch._dynamo", "processes"]
)


def started(line: Sequence[str], log: Path, **variables: str) -> ForkServerProcess:
    """The stage `train` in a process of its own, which writes to `log`."""
    process = CONTEXT.Process(target=_main, args=(list(line), str(log), variables))
    process.start()
    return process


def _main(line: list[str], log: str, variables: dict[str, str]) -> None:
    os.environ.update({"OMP_NUM_THREADS": "1"} | variables)
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(number, 1)
    os.dup2(number, 2)
    train.main(line)


def torchrun(line: Sequence[str], logs: Path, count: int = 2) -> list[int | None]:
    """The same in processes that work together as torchrun would start them; their exit codes."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]
    together = {
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "TORCHELASTIC_RUN_ID": "test",
    }
    processes = [started(line, logs / f"{rank}.log", RANK=str(rank), **together) for rank in range(count)]
    for process in processes:
        process.join(HANGS)
        process.kill()
        process.join()
    return [process.exitcode for process in processes]
