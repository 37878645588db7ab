"""A stage as a process: one lock per output, fingerprint, provenance, plain errors."""

import argparse
import atexit
import hashlib
import json
import os
import platform
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout
from pydantic import ValidationError

from synthood import __version__
from synthood.common import artefact
from synthood.common.command import Command
from synthood.common.disk import unwritable
from synthood.common.identity import FORMAT, Record, seal
from synthood.common.stopping import Stopped, handling, name_of, stop
from synthood.errors import SynthoodError

NOT_IN_FINGERPRINT = ("output", "resume", "save_seconds", "memory")
OF_THE_MACHINE = ("threads", "gpus", "raw")
"""Arguments that are no settings of what is made, and so in no artefact's identity."""
SAVE_SECONDS = float(os.environ.get("SYNTHOOD_SAVE_SECONDS", "60"))
RECORDED_PACKAGES = ("torch", "diffusers", "transformers", "numpy", "scikit-learn", "pandas")

_held: list[int] = []
"""File descriptors of the locks that this process holds."""


class Job:
    """What a stage's function is given with its parameters: writes outputs, and identifies the job."""

    def __init__(self, stage: str, arguments: argparse.Namespace, command_line: Sequence[str] = ()) -> None:
        self.stage, self.arguments, self.command_line = stage, arguments, command_line
        self.began = time.time()
        self.facts: dict[str, Any] = {}
        self.inputs: dict[str, str] = {}
        self.settings: dict[str, list[str]] = {}
        self.fingerprint = self._fingerprint()

    @contextmanager
    def writing(self, path: Path) -> Iterator[Path]:
        """A temporary path for an output: sealed, renamed, and its provenance recorded, when the block ends well."""
        with artefact.replacing(path) as temporary:
            yield temporary
            identity = self._identity(path)
            seal(path, temporary, identity)
            artefact.write_provenance(path, temporary, {"identity": identity, **self._provenance()})

    def made_meanwhile(self) -> bool:
        """Whether another process has just finished this very job."""
        outputs: list[Path] = self.arguments.output
        return all(
            path.exists() and artefact.read_provenance(path).get("fingerprint") == self.fingerprint for path in outputs
        )

    def _fingerprint(self) -> str:
        """Digest of settings, code, threads (seen in the last bits) and the content, not the paths, of all inputs."""
        parts: list[Any] = [self.stage, os.environ.get("SYNTHOOD_CODE", "")]
        for name, value in sorted(vars(self.arguments).items()):
            if name in NOT_IN_FINGERPRINT:
                continue
            values = value if isinstance(value, list) else [value]
            contents = [artefact.verify(v) if isinstance(v, Path) else str(v) for v in values]
            if any(isinstance(v, Path) for v in values):
                self.inputs[name] = hashlib.sha256("\n".join(contents).encode()).hexdigest()
            elif name not in OF_THE_MACHINE:
                self.settings[name] = contents
            parts.append([name, contents])
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _identity(self, path: Path) -> Record:
        """What the output itself says of its job: the same for the same job, so nothing of time, machine or code."""
        settings = json.dumps(self.settings, sort_keys=True)
        return {
            "format": FORMAT,
            "stage": self.stage,
            "place": artefact.place_of(path),
            "settings": hashlib.sha256(settings.encode()).hexdigest(),
            "inputs": self.inputs,
        }

    def _provenance(self) -> dict[str, Any]:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return {
            "stage": self.stage,
            "fingerprint": self.fingerprint,
            "settings": getattr(self.arguments, "settings", None),
            "threads": self.arguments.threads,
            "seconds": round(time.time() - self.began, 2),
            "cpu_seconds": round(sum(one.ru_utime + one.ru_stime for one in used), 2),
            "peak_memory_mib": max(one.ru_maxrss for one in used) // 1024,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "host": socket.gethostname(),
            "python": platform.python_version(),
            **_processor(),
            "packages": {"synthood": __version__, **_versions()},
            **self.facts,
        }


class Stage:
    """A stage as a command: called with a command line, or without one with that of the process.

    Waits for the outputs' lock, then runs; a user's mistake ends in one sentence and exit code 1. A process of
    its own ends with it.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self.function, self.command = function, Command(function)
        self.module = sys.modules[function.__module__]

    def __call__(self, command_line: Sequence[str] | None = None) -> None:
        self._run(command_line)
        if command_line is None:
            _end()

    def _run(self, command_line: Sequence[str] | None) -> None:
        given = list(sys.argv[1:] if command_line is None else command_line)
        parsed = self.command.parse(given)
        name = Path(self.module.__file__ or "stage").stem
        os.environ["OMP_NUM_THREADS"] = str(parsed.threads)
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        try:
            with handling(stop):
                self._work(parsed, given, name)
        except SynthoodError as error:
            _fail(f"{error}{_node()}")
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the text"
            _fail(f"--settings: {where}: {first['msg']}")
        except Stopped as stopped:
            if not stopped.logged:
                with suppress(OSError):
                    print(f"{name}: stopped by {name_of(stopped.number)}", flush=True)
            raise
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)
        except Exception as error:  # libraries report a full disk by errors of many kinds
            if (refused := unwritable(parsed.output[0], error)) is not None:
                _fail(f"{refused}{_node()}")
            if not isinstance(error, (MemoryError, OSError)):
                raise
            traceback.print_exc()
            _fail(f"{name}: {error}{_node()}")

    def _work(self, parsed: argparse.Namespace, given: Sequence[str], name: str) -> None:
        arguments = self.command.arguments(parsed)
        # Processes of torchrun work under the lock of the one that started it.
        with nullcontext(False) if under_torchrun() else _locked(parsed.output[0]) as waited:
            job = Job(name, parsed, given)
            if waited and job.made_meanwhile():
                print(f"{parsed.output[0]}: finished by another process with the same inputs; nothing to do")
                for path in parsed.output:
                    os.utime(path)
                return
            if not under_torchrun():
                for path in parsed.output:
                    artefact.sweep(path)
            self.function(job, **arguments)


def _fail(message: str) -> NoReturn:
    """Ends the stage with one line, where the disk of its log has space for one."""
    with suppress(OSError):
        print(f"error: {message}", file=sys.stderr, flush=True)
    sys.exit(1)


def _end() -> NoReturn:
    """Ends this process well, but without taking torch's modules down: of a short job that is a quarter of its time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the output is there
    atexit._run_exitfuncs()
    with suppress(OSError):  # of a log on a full disk: what was made is there
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)


def under_torchrun() -> bool:
    """Whether this is one of several processes that work on one job."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def start_again_under_torchrun(module: str, processes: int, command_line: Sequence[str]) -> NoReturn:
    """Puts so many processes of a stage in this one's place; the lock on its output stays held."""
    for number in _held:
        os.set_inheritable(number, True)
    sys.stdout.flush()
    command = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m", module, *command_line]
    os.execv(sys.executable, [sys.executable, "-m", *command])


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Holds the lock of an output; yields whether another process held it first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.parent / f".{path.name}.lock")
    waited = False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waited = True
        print(f"{path}: another process is writing it; waiting for it to end", flush=True)
        lock.acquire()
    _held.extend(number for number in [lock._context.lock_file_fd] if number is not None)
    try:
        yield waited
    finally:
        _held.clear()
        lock.release()


def _node() -> str:
    """Where a job of a cluster ran, since another node may have what this one lacks."""
    return f" (on node {socket.gethostname()})" if "SLURM_JOB_ID" in os.environ else ""


def _processor() -> dict[str, str]:
    """The instructions that torch computes with, on which the last bits of results depend; nothing without torch."""
    if (torch := sys.modules.get("torch")) is None:
        return {}
    return {"processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"}


def _versions() -> dict[str, str]:
    versions = {}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
