"""Which weights a network began with: their source, their digest, and what they were trained on where that is known."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from synthood.common.identity import sha256
from synthood.training.networks.architectures.base import NetworkSettings
from synthood.training.networks.architectures.from_timm import TIMM, timm_library
from synthood.training.networks.architectures.from_torchvision import TORCHVISION, names
from synthood.training.networks.installed import PACKAGES, installed_file

BY_TAG = {"in1k": "ImageNet-1k", "in12k": "ImageNet-12k", "in21k": "ImageNet-21k", "in22k": "ImageNet-22k"}
"""Data sets with labels that are parts of timm's tags, such as a1_in1k and augreg2_in21k_ft_in1k."""


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
    learned: Literal["head", "all", "nothing"]
    below_head: str | None = None


def pretraining_of(
    settings: NetworkSettings, digest: str | None = None, below_head: str | None = None
) -> Pretraining | None:
    """Of a network that a recipe trains; `digest` is the SHA-256 of the file of its weights. None from scratch."""
    given = getattr(settings, "pretrained", None)
    if not given:
        return None
    name = str(getattr(settings, "name", settings.kind))
    learned: Literal["head", "all"] = "head" if settings.frozen else "all"
    below = below_head if settings.frozen else None
    if isinstance(given, str):
        found = digest or sha256(Path(given))
        return Pretraining(name, f"file {Path(given).name}", found, trained_on(name, found), learned, below)
    if installed_file(name) is not None:
        package = PACKAGES[name]
        weights = f"package {package.name}"
        return Pretraining(name, weights, package.sha256, trained_on(name, package.sha256), learned, below)
    tag = tag_of(name)
    return Pretraining(name, f"timm's {tag}", None, by_tag(tag), learned, below)


def tag_of(name: str) -> str:
    """The tag of the weights that timm has for a network's name, which may name it."""
    known = timm_library(f"network {name}").get_pretrained_cfg(name.removeprefix(TIMM))
    return str(known.tag) if known is not None else ""


def by_tag(tag: str) -> list[str]:
    """Data sets with labels that a tag of timm names."""
    return [BY_TAG[part] for part in tag.split("_") if part in BY_TAG]


def trained_on(name: str, digest: str) -> list[str]:
    """What a file with this SHA-256 was trained on: known of a package's, and of those that torchvision publishes."""
    if any(package.sha256 == digest for package in PACKAGES.values()):
        return ["ImageNet-1k"]
    short = name.removeprefix(TORCHVISION)
    if short == name or short not in names():
        return []
    from torchvision import models  # its import takes a second

    published = {str(one.url).rpartition("-")[2].partition(".")[0]: one.name for one in models.get_model_weights(short)}
    of = next((label for start, label in published.items() if digest.startswith(start)), "")
    return ["ImageNet-1k"] if of.startswith("IMAGENET1K") else []
