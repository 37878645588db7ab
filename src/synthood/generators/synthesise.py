"""Stage `synthesise`: one block of synthetic ID images, image i of class i mod C and with its own seed."""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.images import ImageSet, write_images
from synthood.common.seeds import derived_seed
from synthood.errors import SynthoodError
from synthood.generators.biggan.settings import BigGANSampling
from synthood.generators.folder import Description
from synthood.generators.ready_made_settings import ReadyMadeSampling
from synthood.generators.settings import BlockSettings

CPU = torch.device("cpu")


def synthesise(folder: Path, settings: BlockSettings, device: torch.device = CPU) -> ImageSet:
    """The images of one block; a cut block is computed whole, so that its images do not depend on the cut."""
    description = Description.read(folder)
    if description.kind != settings.generator.kind:
        raise SynthoodError(f"{folder}: holds a {description.kind}, the settings ask for {settings.generator.kind}")
    first = settings.block * settings.block_size
    if isinstance(settings.generator, ReadyMadeSampling):
        from synthood.generators import ready_made

        return ready_made.block(folder, description, first, settings.count)
    indices = range(first, first + settings.block_size)
    labels = torch.tensor([index % len(description.classes) for index in indices])
    seeds = [derived_seed(settings.generator.sample.seed, "image", index) for index in indices]
    names = [
        f"image {index} (class {description.classes[label]!r}, seed {seed})"
        for index, label, seed in zip(indices, labels.tolist(), seeds, strict=True)
    ]
    if isinstance(settings.generator, BigGANSampling):
        from synthood.generators.biggan import network as biggan

        own = own_classes(description, labels, seeds)
        truncation = settings.generator.sample.truncation
        wanted = description.image_size
        network = biggan.load(folder).to(device)
        images = biggan.sample(network, own, seeds, truncation, wanted, names.__getitem__)
    else:
        from synthood.generators.diffusion import pipelines, sampling
        from synthood.generators.diffusion.prompts import prompts_of

        prompts = prompts_of(description, settings.generator.prompts, labels.tolist(), seeds)
        pipeline = pipelines.load(folder).to(device)
        size = description.image_size or None
        images = sampling.sample(pipeline, prompts, seeds, settings.generator.sample, size, names.__getitem__)
    kept = slice(settings.count)
    columns = {"seed": np.array(seeds[kept], np.int64)}
    return ImageSet(images.numpy()[kept], labels.numpy()[kept], description.classes, columns)


def own_classes(description: Description, labels: Tensor, seeds: list[int]) -> Tensor:
    """The generator's classes [N] of ID labels [N]; where an ID class has several, the image's seed chooses."""
    if not description.class_ids:
        return labels
    each = [description.class_ids[label] for label in labels]
    return torch.tensor([ids[seed % len(ids)] for ids, seed in zip(each, seeds, strict=True)])


@stage.Stage
def main(
    job: stage.Job,
    settings: BlockSettings,
    threads: int,
    generator: Annotated[Path, "folder of a fitted generator"],
    output: Output,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    with device_for(gpus) as device:
        job.facts["device"] = str(device)
        images = synthesise(generator, settings, device)
    with job.writing(output) as path:
        write_images(path, images)
    print(f"{output}: {len(images)} images")


if __name__ == "__main__":
    main()
