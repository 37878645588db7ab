"""A fitted detector on disk: its state as tensors, its settings as JSON; nothing in it is code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from synthood.common.artefact import replacing
from synthood.common.identity import FORMAT as IDENTITY_FORMAT
from synthood.common.identity import seal
from synthood.common.tensors import map_tensors, read_header, write_tensors
from synthood.deploy.facts import FORMAT, SETTINGS, Facts, read_facts, versions
from synthood.errors import SynthoodError, nearest, printable
from synthood.evaluation.detectors.base import Detector, State
from synthood.evaluation.features import IN_MEMORY_BYTES, Bank
from synthood.evaluation.scoring import Score
from synthood.plugins import plugins

STATE = "state.safetensors"
RESCALED = ("msp", "entropy", "gen", "openmax", "mcd", "mc-dropout", "ensemble", "cfood")
"""Detectors whose confidences or states meant something else in format 1."""


def origin_of(score: Score, name: str) -> tuple[Detector, State]:
    """The detector and the state of a score; raises SynthoodError where it may depend on more."""
    if score.origin is None:
        raise SynthoodError(
            f"{name}: cannot be saved, since its score is a function without a saved form; a detector that defines "
            f"`state` and `scorer` can (CONTRIBUTING.md)"
        )
    return score.origin


def settings_of(detector: Detector) -> Facts:
    """Kind and hyperparameters as JSON."""
    found: Facts = detector.model_dump(mode="json")
    return found


def detector_of(settings: Any, where: str) -> Detector:
    """The detector of saved settings; raises SynthoodError for kinds and values that this version does not have."""
    kinds = plugins(Detector, "synthood.evaluation.detectors")
    kind = settings.get("kind") if isinstance(settings, dict) else None
    if kind not in kinds:
        raise SynthoodError(f"{where}: no detector is named {printable(str(kind))!r}{nearest(str(kind), kinds)}")
    try:
        return kinds[kind].model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise SynthoodError(f"{where}: {kind}: {key}: {first['msg']}; export it again with this version") from error


def check_scale(facts: Facts, where: str) -> None:
    """Raises SynthoodError where an earlier version wrote confidences or states that this one would take for others."""
    for settings in (facts["detector"], *(fold["detector"] for fold in facts.get("folds") or ())):
        if facts["format"] < FORMAT and {settings["kind"], settings.get("score")} & {*RESCALED}:
            raise SynthoodError(
                f"{where}: thresholds and state of its {settings['kind']} are of an earlier version, whose confidences "
                f"are on another scale; export it again"
            )


def write_state(path: Path, state: State) -> None:
    """Writes tensors with the order of their axes in memory, on which the last bits of products may depend."""
    banks = sorted(name for name, value in state.items() if isinstance(value, Bank))
    tensors: dict[str, Tensor] = {
        name: (value.features if isinstance(value, Bank) else value).detach().cpu() for name, value in state.items()
    }
    axes = {name: axes_in_memory(x) for name, x in tensors.items()}
    arrays = {name: x.permute(axes[name]).contiguous().numpy() for name, x in tensors.items()}
    write_tensors(path, arrays, {"banks": banks, "axes": axes})


def axes_in_memory(x: Tensor) -> list[int]:
    """Axes from the longest to the shortest step in memory."""
    steps = x.stride()
    return sorted(range(x.ndim), key=lambda axis: -steps[axis])


def read_state(path: Path) -> State:
    """The same state, in memory but for banks that are large; raises SynthoodError where the file is damaged."""
    header, _ = read_header(path)
    state: State = {}
    for name, stored in map_tensors(path).items():
        axes = header["axes"][name]
        held = stored if stored.nbytes > IN_MEMORY_BYTES else stored.clone()
        # Numbers come as arrays of one axis
        value = held.permute([axes.index(axis) for axis in range(len(axes))]) if axes else held.reshape(())
        state[name] = Bank(value) if name in header["banks"] else value
    return state


def write_folder(folder: Path, states: Mapping[str, State], facts: Facts, stage: str) -> None:
    """Adds states by file name and `detector.json` to an unfinished folder, and seals it with digests of all files."""
    for name, state in states.items():
        write_state(folder / name, state)
    text = json.dumps({"format": FORMAT, "versions": versions(), **facts}, indent=1, sort_keys=True, allow_nan=False)
    (folder / SETTINGS).write_text(text + "\n")
    seal(folder, folder, {"format": IDENTITY_FORMAT, "stage": stage})


def save(folder: Path, score: Score, name: str, facts: Facts) -> None:
    """Writes a fitted detector and `facts` about it to a new folder, whole or not at all."""
    detector, state = origin_of(score, name)
    if folder.exists():
        raise SynthoodError(f"{folder}: exists already; name a new folder")
    with replacing(folder) as temporary:
        temporary.mkdir()
        write_folder(temporary, {STATE: state}, {"detector": settings_of(detector), **facts}, "FittedDetector.save")


def load(folder: Path) -> tuple[Score, Facts]:
    """The score, bit for bit as it was saved, and the facts."""
    facts = read_facts(folder, "FittedDetector.save")
    check_scale(facts, str(folder))
    detector = detector_of(facts["detector"], str(folder))
    return detector.restored(read_state(folder / STATE)), facts
