"""Stage `fit_generator`: learns a generator from the ID training images."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from synthood.common import stage
from synthood.common.arithmetic import resolved_precision
from synthood.common.devices import device_for, set_threads
from synthood.common.images import ImageSet, read_images
from synthood.common.iterate import ResumeFile
from synthood.generators.biggan_settings import BigGANFit, BigGANFitting
from synthood.generators.diffusion_settings import StableDiffusionFit
from synthood.generators.folder import Description
from synthood.generators.settings import FitSettings


def network_inputs(images: ImageSet) -> Tensor:
    """Images as float32 [N,3,H,W] in [-1,1]."""
    return torch.from_numpy(images.images).permute(0, 3, 1, 2).float() / 127.5 - 1


def fit_biggan(train: ImageSet, settings: BigGANFit, device: torch.device, resume: ResumeFile, folder: Path) -> None:
    """Fits and saves a BigGAN."""
    from synthood.generators import biggan, vae_gan

    images, labels = network_inputs(train).to(device), torch.from_numpy(train.labels).to(device)
    network = vae_gan.fit(images, labels, len(train.classes), settings, resume)
    folder.mkdir()
    biggan.save(network, folder)
    Description("biggan", train.classes).write(folder)


def fit_stable_diffusion(
    train: ImageSet,
    also: list[ImageSet],
    settings: StableDiffusionFit,
    dtype: torch.dtype,
    device: torch.device,
    resume: ResumeFile,
    folder: Path,
) -> None:
    """Fits and saves a Stable Diffusion that knows the ID classes and those of `also`."""
    from synthood.generators import latent_diffusion, miniature, stable_diffusion

    words = list(train.classes)
    index = [torch.from_numpy(train.labels)]
    for other in also:
        words += [word for word in other.classes if word not in words]
        index.append(torch.tensor([words.index(word) for word in other.classes])[torch.from_numpy(other.labels)])
    prompts = [settings.prompt.format(word=word) for word in words]
    images = torch.cat([network_inputs(images) for images in [train, *also]]).to(device)
    pipeline = miniature.build(prompts, images.shape[-1], settings).to(device)
    latent_diffusion.fit_autoencoder(pipeline.vae, images, settings, resume)
    latent_diffusion.fit_denoiser(pipeline, images, torch.cat(index).to(device), prompts, settings, dtype, resume)
    stable_diffusion.save(pipeline, folder)
    Description("stable-diffusion", train.classes, settings.prompt).write(folder)


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        settings = FitSettings.parse(arguments.settings)
        set_threads(arguments.threads)
        resume = ResumeFile(arguments.resume, job.fingerprint, arguments.save_seconds)
        train = read_images(arguments.train)
        with device_for(arguments.gpus) as device, job.writing(arguments.output[0]) as folder:
            job.facts["device"] = str(device)
            if isinstance(settings.generator, BigGANFitting):
                fit_biggan(train, settings.generator.fit, device, resume, folder)
            else:
                also = [read_images(path) for path in arguments.also]
                dtype = resolved_precision(settings.precision, device)
                job.facts["precision"] = str(dtype)
                fit_stable_diffusion(train, also, settings.generator.fit, dtype, device, resume, folder)
        resume.clear()

    parser = stage.resumable(stage.parser(__doc__))
    parser.add_argument("--train", type=Path, required=True, help="ID training images")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="extra images that the generator learns")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
