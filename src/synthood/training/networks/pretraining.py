"""Which weights a network began with: their source, their digest, and what they were trained on where that is known."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from synthood.common.identity import digest_of
from synthood.training.networks.architectures.base import NetworkSettings, PretrainedSettings


@dataclass(frozen=True)
class Pretraining:
    """Weights that a network began with; `trained_on` names data sets with labels, and is empty where none is known.

    `sha256` is of the weights' file, None where a library loaded them; `below_head` that of the weights below the head
    (`backbone_digest`), which a frozen backbone still has.
    """

    network: str
    weights: str
    sha256: str | None
    trained_on: list[str]
    learned: Literal["head", "stages", "all", "nothing"]
    below_head: str | None = None


def pretraining_of(
    settings: NetworkSettings, digest: str | None = None, below_head: str | None = None
) -> Pretraining | None:
    """Of a network that a recipe trains; `digest` is the SHA-256 of the file of its weights. None from scratch."""
    if not isinstance(settings, PretrainedSettings) or not settings.pretrained:
        return None
    given = settings.pretrained
    found: str | None
    if isinstance(given, str):
        kind = "folder" if Path(given).is_dir() else "file"
        weights, found = f"{kind} {Path(given).name}", digest or digest_of(Path(given))
    else:
        weights, found = settings.library_weights()
    below = below_head if settings.frozen else None
    parts: dict[str, Literal["head", "stages", "all"]] = {"backbone": "head", "stages": "stages", "none": "all"}
    name = str(getattr(settings, "name", settings.kind))
    return Pretraining(name, weights, found, settings.trained_on(found), parts[settings.freeze], below)


def pretraining_of_file(settings: NetworkSettings, file: Path, digest: str) -> Pretraining:
    """Of a classifier's file with this SHA-256, of which nothing is trained."""
    known = settings.trained_on(digest) if isinstance(settings, PretrainedSettings) else []
    name = str(getattr(settings, "name", settings.kind))
    return Pretraining(name, f"file {file.name}", digest, known, "nothing")
