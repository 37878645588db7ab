"""Image sets of a run as one `.npz` file, for other runs and other programs."""

import re
from pathlib import Path

import numpy as np

from synthood.common.images import ImageSet, concatenate, read_images
from synthood.errors import SynthoodError

KEPT, BLOCK = "kept.safetensors", re.compile(r"block(\d+)\.safetensors")


def sets_of(source: Path) -> list[Path]:
    """The file itself; of a generator's folder, the images that its filter kept, else its blocks in their order."""
    if source.is_file():
        return [source]
    if (source / KEPT).exists():
        return [source / KEPT]
    named = ((BLOCK.fullmatch(file.name), file) for file in source.glob("block*.safetensors"))
    blocks = {int(found[1]): file for found, file in named if found}
    if not blocks:
        raise SynthoodError(f"{source}: no images to export; name a file, or a folder like results/digits/synthetic/sd")
    if missing := sorted(set(range(max(blocks) + 1)) - set(blocks)):
        raise SynthoodError(f"{source}: block {missing[0]} is missing; make it by snakemake, or export single files")
    return [blocks[number] for number in sorted(blocks)]


def export(source: Path, target: Path) -> ImageSet:
    """Writes images uint8 [N,H,W,3], labels int64 [N] and class names of `source` into `target`; gives them."""
    if target.suffix != ".npz":
        raise SynthoodError(f"{target}: expected a name that ends in .npz")
    made = concatenate([read_images(file) for file in sets_of(source)])
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.part")
    with unfinished.open("wb") as stream:
        np.savez_compressed(stream, images=made.images, labels=made.labels, classes=np.array(made.classes, np.str_))
    unfinished.replace(target)
    return made
