"""Stage `latents`: latents of prompts whose class word is moved towards outlier embeddings, and of ID images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from torch import Tensor

from synthood.common import stage
from synthood.common.devices import device_for, set_threads
from synthood.common.images import read_images
from synthood.common.seeds import derived_seed
from synthood.common.tensors import read_tensors, write_tensors
from synthood.generators import diffusion_sampling, prompt_tokens, stable_diffusion
from synthood.generators.folder import Description
from synthood.outliers.settings import LatentsSettings


def moved(anchor: Tensor, outliers: Tensor, scale: float | Literal["released"]) -> Tensor:
    """a + s ||a|| unit(u ||a|| - a): the word's embedding [D] moved towards unit outliers [N,D] by s of its length.

    `released` puts u ||a|| itself in the word's place, as the papers' code does.
    """
    length = anchor.norm()
    if scale == "released":
        return outliers * length
    return anchor + scale * length * F.normalize(outliers * length - anchor, dim=1)


def outlier_latents(
    pipeline: StableDiffusionPipeline,
    description: Description,
    outliers: Tensor,
    labels: Tensor,
    settings: LatentsSettings,
) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """Latents z_0 float32 [C*A,4,h,w], their intended classes, the outlier [C*A] each came from, and seeds.

    Raises SynthoodError where a class word is missing from the prompt or widths differ.
    """
    anchors = prompt_tokens.word_embeddings(pipeline, description.classes)
    encoded, parents = [], []
    for label, word in enumerate(description.classes):
        members = (labels == label).nonzero().flatten()
        taken = members[torch.arange(settings.attempts_per_class) % len(members)]
        embeddings = moved(anchors[label], outliers[taken], settings.scale)
        encoded.append(prompt_tokens.encoded_with(pipeline, description.prompt, word, embeddings))
        parents.append(taken)
    classes = torch.arange(len(anchors)).repeat_interleave(settings.attempts_per_class)
    seeds = [
        derived_seed(settings.sample.seed, "outlier", int(label), attempt)
        for label in range(len(anchors))
        for attempt in range(settings.attempts_per_class)
    ]
    latents = diffusion_sampling.sample_latents(pipeline, torch.cat(encoded), seeds, settings.sample)
    return latents, classes, torch.cat(parents), seeds


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        set_threads(arguments.threads)
        description = Description.read(arguments.generator)
        arrays, _ = read_tensors(arguments.boundary, "embeddings", "labels")
        outliers, labels = (torch.from_numpy(arrays[name]) for name in ("embeddings", "labels"))
        settings = LatentsSettings.parse(arguments.settings)
        train = read_images(arguments.train)
        with device_for(arguments.gpus) as device:
            pipeline = stable_diffusion.load(arguments.generator).to(device)
            latents, classes, parents, seeds = outlier_latents(pipeline, description, outliers, labels, settings)
            id_latents = diffusion_sampling.image_latents(pipeline, train.images)
        with job.writing(arguments.output[0]) as path:
            made = {"latents": latents, "labels": classes, "parents": parents, "seeds": torch.tensor(seeds)}
            made["id_latents"] = id_latents
            header = {"classes": description.classes, "scale": settings.scale}
            write_tensors(path, {name: value.numpy() for name, value in made.items()}, header)

    parser = stage.with_gpus(stage.parser(__doc__))
    parser.add_argument("--generator", type=Path, required=True, help="folder of a Stable Diffusion")
    parser.add_argument("--boundary", type=Path, required=True, help="what boundary wrote")
    parser.add_argument("--train", type=Path, required=True, help="ID training images, encoded as well")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
