"""Stage `backbone_features`: features of one set by a frozen backbone, which recipes with that backbone train on."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.images import OOD_LABEL, OpenSet, open_set, pixel_sha256
from synthood.common.seeds import generator
from synthood.common.tensors import read_tensors, write_rows
from synthood.errors import SynthoodError
from synthood.training.backbone_settings import BackboneSettings
from synthood.training.networks.architectures.base import channels_last
from synthood.training.networks.frozen import backbone_digest, below_head
from synthood.training.networks.model import Classifier
from synthood.training.networks.pretrained import initial, input_statistics, pretrained_digest

BATCH = 64
"""Images at once."""


def opened(path: Path) -> OpenSet:
    """An image set, or the images that a gate kept, without labels."""
    arrays, _ = read_tensors(path)
    if "kept" not in arrays:
        return open_set(path)
    images = np.ascontiguousarray(arrays["images"][arrays["kept"]])
    if not len(images):
        raise SynthoodError(f"{path}: the gate kept no images; widen it")
    columns = {"pixel_sha256": pixel_sha256(images)}
    return OpenSet(images, np.full(len(images), OOD_LABEL, np.int64), [], columns, [], None, None)


@torch.no_grad()
def features_of(
    classifier: Classifier, settings: BackboneSettings, found: OpenSet, part: str, device: torch.device
) -> Iterator[dict[str, np.ndarray]]:
    """Features float32 [n,V,D] of some images at a time, with their labels and digests: the clean view, then others.

    Each augmented view has a seed of its own, by the part, the image and the view, so that no other image plays a part.
    """
    height, width = found.images.shape[1:3]
    backbone = below_head(classifier.network.eval())
    augmented = settings.augmentation.prepared(classifier.normalised, height, width, 0, device)

    def features(inputs: Tensor) -> Tensor:
        return backbone.features(channels_last(inputs)).float().cpu()

    for first in range(0, len(found), BATCH):
        rows = slice(first, min(first + BATCH, len(found)))
        pixels = torch.from_numpy(found.images[rows]).to(device)
        views = [features(classifier.normalised(pixels))]
        for view in range(settings.views):
            seeds = [generator("view", part, first + place, view) for place in range(len(pixels))]
            changed = [augmented(image[None], seed) for image, seed in zip(pixels, seeds, strict=True)]
            views.append(features(torch.cat(changed)))
        yield {
            "features": torch.stack(views, 1).numpy(),
            "labels": found.labels[rows],
            "pixel_sha256": found.columns["pixel_sha256"][rows],
        }


@stage.Stage
def main(
    job: stage.Job,
    settings: BackboneSettings,
    threads: int,
    images: Annotated[Path, "set of images, or what gate wrote"],
    train: Annotated[Path, "ID training images, whose channels normalise inputs of a network without its own"],
    output: Output,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    found = opened(images)
    network = initial(settings.network, 2, seed=0)
    settings.network.check(network, *found.images.shape[1:3])
    first = open_set(train)
    mean, deviation = input_statistics(settings.network, first.images, facts=first.facts)
    classifier = Classifier(settings.network.architecture, found.classes, mean, deviation, network)
    header = {
        "classes": found.classes,
        "mean": classifier.mean,
        "deviation": classifier.deviation,
        "backbone": backbone_digest(network),
    }
    job.facts |= {"weights_sha256": pretrained_digest(settings.network), "raw": settings.pretrained_state}
    began = time.time()
    with device_for(gpus) as device, job.writing(output) as path:
        network.to(device)
        write_rows(path, len(found), features_of(classifier, settings, found, images.stem, device), header)
    print(f"{images.stem}: {len(found)} images, {1 + settings.views} views, {time.time() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
