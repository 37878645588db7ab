"""The loop under every fit: resumable, stopping at the first loss that is not finite."""

import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

import torch

from synthood.common.artefact import replacing
from synthood.common.finite import check_state
from synthood.common.identity import sha256
from synthood.common.progress import Progress
from synthood.common.ranks import SINGLE_PROCESS, Ranks
from synthood.common.stopping import Stopped, handling, name_of
from synthood.common.time_limit import TimeLimit
from synthood.errors import SynthoodError

CHECKSUM = 64
"""Hex digits after a resume state, which torch skips: the SHA-256 of all bytes before them."""


class Stateful(Protocol):
    """Networks, optimisers, averages: whatever can save and load what it has learned."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any) -> Any: ...


class ResumeFile:
    """Where a job keeps the state of its fits; not an output, so that Snakemake leaves it alone."""

    def __init__(
        self, path: Path | None, fingerprint: str, save_seconds: float = 60.0, ranks: Ranks = SINGLE_PROCESS
    ) -> None:
        self.path, self.fingerprint, self.save_seconds, self.ranks = path, fingerprint, save_seconds, ranks

    def load(self, name: str) -> dict[str, Any] | None:
        """The state saved under `name` by the same job; None where there is none or it was another job's."""
        file = self._file(name)
        if file is None or not file.exists():
            return None
        try:
            with file.open("rb") as stream:
                size = stream.seek(-CHECKSUM, os.SEEK_END)
                if stream.read().decode() != sha256(file, 0, size):
                    raise ValueError("truncated or changed since it was saved")
            state = torch.load(file, weights_only=True)
        except Exception as error:  # any unreadable state only costs its time
            print(f"{file}: unreadable resume state ({error}); starting over", flush=True)
            return None
        if not isinstance(state, dict) or not {"name", "fingerprint", "step", "state", "history"} <= state.keys():
            print(f"{file}: not a resume state; starting over", flush=True)
            return None
        if (state["name"], state["fingerprint"]) != (name, self.fingerprint):
            print(f"{file}: resume state of other settings, inputs or code; starting over", flush=True)
            return None
        return dict(state)

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Replaces the state of `name`; of several processes the first one does."""
        if (file := self._file(name)) is not None and self.ranks.is_main:
            with replacing(file) as temporary:
                with temporary.open("wb") as stream:  # whose errors say more than torch's own
                    torch.save({"name": name, "fingerprint": self.fingerprint, **state}, stream)
                digest = sha256(temporary)
                with temporary.open("ab") as stream:
                    stream.write(digest.encode())

    def note(self, name: str, write: Callable[[Path], None]) -> None:
        """A file for who looks at a job that runs, such as its curves so far."""
        if self.path is not None and self.ranks.is_main:
            with replacing(self.path / name) as temporary:
                write(temporary)

    def clear(self) -> None:
        """Removes every state of the job, once its output is written.

        The same job of another machine, which no lock keeps away, may be writing its own there.
        """
        if self.path is not None and self.path.is_dir() and self.ranks.is_main:
            for file in self.path.iterdir():
                file.unlink(missing_ok=True)
            with suppress(OSError):
                self.path.rmdir()

    def _file(self, name: str) -> Path | None:
        return None if self.path is None else self.path / f"{name}.pt"


class Iteration:
    """Steps `0..total` of one fit; goes on where a killed run of the same job left off.

    The random numbers of a step must come from the step's number (`common.seeds`), so that no generator's
    state needs saving and a resumed run equals an undisturbed one. Nothing is saved while the body sets `checked` to
    false, as for steps whose losses have not been read yet.
    """

    def __init__(self, name: str, total: int, resume: ResumeFile, state: Mapping[str, Stateful]) -> None:
        self.name, self.total, self.resume, self.state = name, total, resume, state
        self.history: list[dict[str, float]] = []
        self.figures: dict[str, float] = {}
        self.progress: Progress | None = None
        self.checked = True
        self._signal: int | None = None

    def __iter__(self) -> Iterator[int]:
        start = self._restore()
        progress = self.progress = Progress(self.name, self.total, start)
        limit = TimeLimit() if self.resume.path is not None and self.resume.ranks.is_main else None
        saved = time.monotonic()
        with closing(progress), handling(self._stop):
            for step in range(start, self.total):
                yield step
                if self.resume.ranks.is_main:
                    progress.update(step + 1, self.figures)
                if not self.checked:
                    continue
                near = limit is not None and step + 1 < self.total and limit.is_near()
                if near or self._signal is not None or time.monotonic() - saved >= self.resume.save_seconds:
                    self._save(step + 1)
                    saved = time.monotonic()
                self._end_if_asked(step + 1)
                if limit is not None and near:
                    if limit.asked():
                        told = f"near the job's time limit, saved at step {step + 1}; queued again"
                        print(f"{self.name}: {told}", flush=True)
                        raise Stopped(signal.SIGTERM, logged=True)
                    self.log("near the job's time limit, and Slurm does not queue it again")
            self._check_weights()
            self._save(self.total)
            self._end_if_asked(self.total)

    def log(self, text: str) -> None:
        """A line of its own between those of the progress."""
        if self.progress is not None and self.resume.ranks.is_main:
            self.progress.log(f"{self.name}: {text}")

    def check(self, step: int, learning_rate: float, epoch: int | None = None, **losses: float) -> None:
        """Shows the step's losses; raises where one is not finite."""
        self.figures = losses if epoch is None else {"epoch": epoch, **losses}
        for name, value in losses.items():
            if not math.isfinite(value):
                where = f"step {step}" if epoch is None else f"epoch {epoch}, step {step}"
                raise SynthoodError(
                    f"{self.name}: {name} became {value} at {where} with learning rate {learning_rate:.3g}; "
                    f"lower the learning rate"
                )

    def _check_weights(self) -> None:
        """The last step's losses are finite; the weights that it left need not be."""
        for name, part in self.state.items():
            if isinstance(part, torch.nn.Module):
                check_state(part.state_dict(), f"{self.name}: {name} after the last step", "lower the learning rate")

    def _stop(self, number: int, _: object) -> None:
        # Of several processes the first one saves and stops; the others end with it.
        if self.resume.ranks.is_main:
            self._signal = number

    def _end_if_asked(self, step: int) -> None:
        if self._signal is not None:
            saved = f", saved at step {step}" if self.resume.path is not None else ""
            print(f"{self.name}: stopped by {name_of(self._signal)}{saved}", flush=True)
            raise Stopped(self._signal, logged=True)

    def _restore(self) -> int:
        saved = self.resume.load(self.name)
        if saved is None:
            return 0
        step, history = saved["step"], saved["history"]
        if not isinstance(step, int) or not 0 <= step <= self.total or not isinstance(history, list):
            print(f"{self.name}: a resume state of step {step} of {self.total} cannot be; starting over", flush=True)
            return 0
        for key, part in self.state.items():
            part.load_state_dict(saved["state"][key])
        self.history = history
        print(f"{self.name}: resumed at step {step} of {self.total}", flush=True)
        return step

    def _save(self, step: int) -> None:
        if self.resume.path is not None:
            state = {key: part.state_dict() for key, part in self.state.items()}
            self.resume.save(self.name, {"step": step, "state": state, "history": self.history})
