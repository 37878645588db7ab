"""Stage `synthesise`: one block of synthetic ID images, image i of class i mod C and with its own seed."""

from pathlib import Path
from typing import Annotated

import torch

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.images import ImageSet, write_images
from synthood.errors import SynthoodError
from synthood.generators.block_settings import BlockSettings
from synthood.generators.folder import Description
from synthood.generators.kinds.sampling import Block

CPU = torch.device("cpu")


def synthesise(folder: Path, settings: BlockSettings, device: torch.device = CPU) -> ImageSet:
    """The images of one block of a fitted generator."""
    description = Description.read(folder)
    if description.kind != settings.generator.kind:
        raise SynthoodError(f"{folder}: holds a {description.kind}, the settings ask for {settings.generator.kind}")
    first = settings.block * settings.block_size
    return settings.generator.synthesise(Block(folder, description, first, settings.block_size, settings.count, device))


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
