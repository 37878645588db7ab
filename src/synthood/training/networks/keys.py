"""The keys of other code's networks as ours."""

import re

PARTS = {
    "conv1": "convolution1",
    "bn1": "norm1",
    "conv2": "convolution2",
    "bn2": "norm2",
    "conv3": "convolution3",
    "bn3": "norm3",
    "downsample": "shortcut",
    "convShortcut": "projection",
}
STEM = {"conv1": "stem.0", "bn1": "stem.1", "fc": "head", "linear": "head", "classifier": "head"}
BLOCK = re.compile(r"(?:layer(\d)|block(\d)\.layer)\.(\d+)\.([^.]+)\.(.+)")
"""Of torchvision's and the public CIFAR ResNets, and of the public wide networks."""
DENSE_PARTS = {"bn1": "norm1", "norm": "norm1", "norm1": "norm1", "bn2": "norm2", "norm2": "norm2"} | {
    "conv": "convolution1",
    "conv1": "convolution1",
    "conv2": "convolution2",
}
DENSE_LAYER = re.compile(
    r"(?:features\.denseblock(?P<f>\d)\.denselayer|block(?P<b>\d)\.layer\.|dense(?P<d>\d)\.)(\d+)\.(\w+)\.(\w+)"
)
DENSE_TRANSITION = re.compile(r"(?:features\.transition(?P<f>\d)\.(?:norm|conv)|trans(?P<t>\d)\.(?:bn1|conv1))\.(\w+)")
DENSE_ENDS = {"features.conv0": "stem", "conv1": "stem"} | dict.fromkeys(("classifier", "fc"), "head")
DENSE_LAST = ("features.norm_final", "features.norm4", "features.norm5", "bn1", "bn")


def residual_key(key: str, blocks: list[int], wide: bool = False) -> str:
    """`layer2.0.conv1.weight` as `stages.3.convolution1.weight` where the first stage has three blocks.

    A wide network's own `bn1` comes after the blocks.
    """
    if found := BLOCK.fullmatch(key):
        layer, block, index, part, rest = found.groups()
        before = sum(blocks[: int(layer or block) - 1])
        return f"stages.{before + int(index)}.{PARTS.get(part, part)}.{rest}"
    first, _, rest = key.partition(".")
    if wide and first == "bn1":
        return f"stages.{sum(blocks)}.{rest}"
    return f"{STEM[first]}.{rest}" if first in STEM else key


def dense_key(key: str, layers: int) -> str:
    """`features.denseblock2.denselayer1.conv1.weight`, `block2.layer.0.conv1.weight` as `stages.17.convolution1...`.

    Only of code that appends a layer's channels to its input: where they come first, transitions are named `trans1.bn`.
    """
    if found := DENSE_LAYER.fullmatch(key):
        block = int(found["f"] or found["b"] or found["d"]) - 1
        layer = int(found[4]) - (found["f"] is not None)
        return f"stages.{block * (layers + 1) + layer}.{DENSE_PARTS.get(found[5], found[5])}.{found[6]}"
    if found := DENSE_TRANSITION.fullmatch(key):
        part = "norm1" if ".norm" in key or ".bn" in key else "convolution1"
        return f"stages.{int(found['f'] or found['t']) * (layers + 1) - 1}.{part}.{found[3]}"
    place, _, last = key.rpartition(".")
    if place in DENSE_LAST:
        return f"stages.{3 * layers + 2}.{last}"
    return f"{DENSE_ENDS[place]}.{last}" if place in DENSE_ENDS else key


def library_key(key: str, classifier: str) -> str:
    """timm's or torchvision's key as ours, which sets the classifier apart."""
    inside = key.startswith(f"{classifier}.")
    return f"head.{key[len(classifier) + 1 :]}" if inside else f"model.{key}"
