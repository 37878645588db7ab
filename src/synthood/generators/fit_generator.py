"""Stage `fit_generator`: learns a generator from the ID training images, or sets up a pretrained one."""

from collections.abc import Sequence
from pathlib import Path

import torch

from synthood.common import stage
from synthood.common.arithmetic import resolved_precision
from synthood.common.devices import device_for, set_threads
from synthood.common.images import ImageSet, read_images
from synthood.common.iterate import ResumeFile
from synthood.generators.biggan_settings import BigGANFit, BigGANFitting
from synthood.generators.folder import Description
from synthood.generators.inputs import glimpse, network_inputs
from synthood.generators.settings import FitSettings


def fit_biggan(train: ImageSet, settings: BigGANFit, device: torch.device, resume: ResumeFile, folder: Path) -> None:
    """Fits and saves a BigGAN."""
    from synthood.generators import biggan, vae_gan

    images, labels = network_inputs(train).to(device), torch.from_numpy(train.labels).to(device)
    network = vae_gan.fit(images, labels, len(train.classes), settings, resume)
    folder.mkdir()
    biggan.save(network, folder)
    Description("biggan", train.classes).write(folder)


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        settings = FitSettings.parse(arguments.settings)
        set_threads(arguments.threads)
        resume = ResumeFile(arguments.resume, job.fingerprint, arguments.save_seconds)
        learns = getattr(settings.generator, "learns", True)
        train = read_images(arguments.train) if learns else glimpse(arguments.train)
        with device_for(arguments.gpus) as device, job.writing(arguments.output[0]) as folder:
            job.facts |= {"device": str(device), "raw": arguments.raw}
            if isinstance(settings.generator, BigGANFitting):
                fit_biggan(train, settings.generator.fit, device, resume, folder)
            else:
                from synthood.generators.fit_diffusion import fit_stable_diffusion

                also = [read_images(path) for path in arguments.also]
                dtype = resolved_precision(settings.precision, device)
                job.facts["precision"] = str(dtype)
                fit_stable_diffusion(train, also, settings.generator, dtype, device, resume, folder)
        resume.clear()

    parser = stage.resumable(stage.parser(__doc__))
    parser.add_argument("--train", type=Path, required=True, help="ID training images")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="extra images that the generator learns")
    parser.add_argument("--raw", nargs="?", const="", default="", help="state of pretrained files when planned")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
