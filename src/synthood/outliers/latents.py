"""Stage `latents`: latents of prompts whose class word is moved towards outlier embeddings, and of ID images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from torch import Tensor

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.finite import Named, check_rows
from synthood.common.images import open_images
from synthood.common.seeds import derived_seed
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.generators.diffusion import pipelines, prompt_tokens, sampling
from synthood.generators.folder import Description
from synthood.outliers.class_words import anchors_of, text_encoder_digest
from synthood.outliers.latent_images import id_latents
from synthood.outliers.latents_settings import LatentsJob, LatentsSettings, TokenLatents
from synthood.outliers.spaces import Anchors, EmbeddingSpace


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
    settings: LatentsSettings | TokenLatents,
    kind: Anchors = "token",
) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """Latents z_0 float32 [C*A,4,h,w], their intended classes, the outlier [C*A] each came from, and seeds.

    Raises SynthoodError where a class has no outliers, its word is missing from the prompt, or widths differ.
    """
    anchors = anchors_of(pipeline, description.class_words, kind)
    if outliers.shape[1] != anchors.shape[1]:
        raise SynthoodError(
            f"outlier embeddings are {outliers.shape[1]} wide, the text encoder's tokens {anchors.shape[1]}; an "
            f"outlier can stand for a token only where both agree"
        )
    encoded, parents = [], []
    for label, word in enumerate(description.class_words):
        members = (labels == label).nonzero().flatten()
        if len(members) == 0:
            raise SynthoodError(
                f"no outlier embedding is of class {word!r}; run boundary with this generator's classes"
            )
        taken = members[torch.arange(settings.attempts_per_class) % len(members)]
        if isinstance(settings, TokenLatents):
            encoded.append(prompt_tokens.encoded_with(pipeline, description.prompt, word, outliers[taken]))
        elif settings.replaces == "nothing":
            encoded.append(prompt_tokens.encoded(pipeline, description.prompt.format(word=word), len(taken)))
        else:
            embeddings = moved(anchors[label], outliers[taken], settings.scale)
            first = settings.replaces == "first-token"
            encoded.append(prompt_tokens.encoded_with(pipeline, description.prompt, word, embeddings, first))
        parents.append(taken)
    classes = torch.arange(len(anchors)).repeat_interleave(settings.attempts_per_class)
    seeds = [
        derived_seed(settings.sample.seed, "outlier", int(label), attempt)
        for label in range(len(anchors))
        for attempt in range(settings.attempts_per_class)
    ]
    names = outlier_names(description, classes, seeds)
    latents = sampling.sample_latents(pipeline, torch.cat(encoded), seeds, settings.sample, names.__getitem__)
    return latents, classes, torch.cat(parents), seeds


def outlier_names(description: Description, classes: Tensor, seeds: Sequence[int]) -> list[str]:
    """What errors call the outliers of these classes [N] and seeds."""
    return [
        f"outlier {index} of class {description.classes[label]!r} (seed {seed})"
        for index, (label, seed) in enumerate(zip(classes.tolist(), seeds, strict=True))
    ]


def stored(latents: Tensor, named: Named) -> Tensor:
    """Latents in float16, as they are written; raises SynthoodError where one lies outside its range."""
    half = latents.half()
    check_rows(half, named, "its latents, written in float16,", "check the checkpoint and `latents.sample`")
    return half


@stage.Stage
def main(
    job: stage.Job,
    settings: LatentsJob,
    threads: int,
    generator: Annotated[Path, "folder of a Stable Diffusion"],
    boundary: Annotated[Path, "what boundary or tails wrote"],
    output: Output,
    train: Annotated[Path | None, "ID training images, encoded as well"] = None,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    description = Description.read(generator)
    arrays, header = read_tensors(boundary, "embeddings", "labels")
    space = EmbeddingSpace.of(header, boundary)
    outliers, labels = (torch.from_numpy(arrays[name]) for name in ("embeddings", "labels"))
    with device_for(gpus) as device:
        pipeline = pipelines.load(generator).to(device)
        space.check(text_encoder_digest(pipeline), boundary)
        drawn, classes, parents, seeds = outlier_latents(
            pipeline, description, outliers, labels, settings.latents, space.anchors
        )
        names = outlier_names(description, classes, seeds)
        half = stored(drawn, names.__getitem__)
        made = {"latents": half, "labels": classes, "parents": parents, "seeds": torch.tensor(seeds)}
        if train:
            made["id_latents"] = stored(id_latents(pipeline, open_images(train)[0]), "training image {}".format)
    with job.writing(output) as path:
        scale = {} if isinstance(settings.latents, TokenLatents) else {"scale": settings.latents.scale}
        header = {"classes": description.classes, **scale, "space": space.header()}
        write_tensors(path, {name: value.numpy() for name, value in made.items()}, header)


if __name__ == "__main__":
    main()
