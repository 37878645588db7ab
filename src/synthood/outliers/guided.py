"""Stage `guided`: latents of plain prompts whose denoising a classifier leads away from ID images (GOOD)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from torch import Tensor

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.images import open_images
from synthood.common.pixels import resized
from synthood.common.seeds import derived_seed
from synthood.common.tensors import write_tensors
from synthood.errors import SynthoodError
from synthood.generators.diffusion import pipelines, sampling
from synthood.generators.diffusion.conditions import encoded_prompts
from synthood.generators.diffusion.guidance import Step, uphill
from synthood.generators.diffusion.precision import prepare
from synthood.generators.folder import Description
from synthood.outliers.guidance_settings import GuidanceSettings, GuidedJob
from synthood.outliers.latent_images import images_of
from synthood.outliers.latents import outlier_names, stored
from synthood.training.networks.model import Classifier, logits_and_features


def neighbour_distance(features: Tensor, bank: Tensor, k: int) -> Tensor:
    """Distance [N] of directions of features [N,D] to the k-th nearest of unit features [M,D], with a gradient.

    Raises SynthoodError where widths differ.
    """
    if features.shape[1] != bank.shape[1]:
        raise SynthoodError(
            f"features are {features.shape[1]} wide, those of ID training images {bank.shape[1]}; take both from the "
            f"same classifier"
        )
    # Features of zeros have no direction, and so no gradient
    directions = F.normalize(features).masked_fill((features == 0).all(1, keepdim=True), 0)
    nearest = (directions.detach() @ bank.T).topk(k).indices[:, -1]
    return (directions - bank[nearest]).norm(dim=1)


def bank_of(features: Tensor, k: int) -> Tensor:
    """Directions [M,D] of finite ID training features; SynthoodError where they are fewer than k or all equal."""
    if k > len(features):
        raise SynthoodError(f"guidance.k is {k}, but there are only {len(features)} training images")
    bank = F.normalize(features)
    if len(bank) > 1 and bool((bank == bank[0]).all()):
        raise SynthoodError(
            f"the features of all {len(bank)} training images have one direction, so none is far from them; train the "
            f"guiding classifier again, or set guidance.distance to 0"
        )
    return bank


@dataclass(frozen=True)
class ClassifierGuidance:
    """-`energy` log sum_c e^z_c + `distance` d_k of the image that latents are decoded to, climbed step by step.

    The bank [M,D] holds directions of ID training features; images are looked at in the data set's `size`.
    """

    pipeline: StableDiffusionPipeline
    classifier: Classifier
    bank: Tensor
    size: tuple[int, int]
    settings: GuidanceSettings

    def __str__(self) -> str:
        return f"guidance.energy {self.settings.energy:g} and guidance.distance {self.settings.distance:g}"

    @property
    def longest(self) -> float:
        return self.settings.longest

    def acts(self, number: int, steps: int) -> bool:
        some = self.settings.energy > 0 or self.settings.distance > 0
        return some and number < round(self.settings.share * steps)

    def shift(self, step: Step) -> Tensor:
        return uphill(step, self.of_latents)

    def of_latents(self, latents: Tensor) -> Tensor:
        """The objective [B] of scaled latents [B,4,h,w]."""
        vae = self.pipeline.vae
        images = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype)).sample.float()
        return self.of_images(resized(images, *self.size))

    def of_images(self, images: Tensor) -> Tensor:
        """The objective [B] of images [B,3,H,W] in [-1,1]; beyond, they are cut as they are when stored."""
        model, settings = self.classifier, self.settings
        mean, deviation = (images.new_tensor(part)[:, None, None] for part in (model.mean, model.deviation))
        features = model.network.features((((images + 1) / 2).clamp(0, 1) - mean) / deviation)
        found = features.new_zeros(len(features))
        if settings.energy:
            found = found - settings.energy * model.network.head(features).logsumexp(1)
        if settings.distance:
            found = found + settings.distance * neighbour_distance(features, self.bank, settings.k)
        return found


def guided_latents(
    description: Description, guidance: ClassifierGuidance, settings: GuidanceSettings
) -> tuple[Tensor, Tensor, list[int]]:
    """Latents z_0 float32 [C*A,4,h,w], their intended classes [C*A], and the seed that each comes from alone.

    Raises SynthoodError, with the step and the scales, where guidance makes latents diverge.
    """
    pipeline, attempts = guidance.pipeline, settings.attempts_per_class
    labels = torch.arange(len(description.class_words)).repeat_interleave(attempts)
    seeds = [
        derived_seed(settings.sample.seed, "outlier", label, attempt)
        for label in range(len(description.class_words))
        for attempt in range(attempts)
    ]
    words = [description.class_words[label] for label in labels.tolist()]
    prompts = [description.prompt.format(word=word) for word in words]
    prepare(pipeline, settings.sample)
    conditions = encoded_prompts(pipeline, prompts, settings.sample.negative_prompt)
    named = outlier_names(description, labels, seeds).__getitem__
    return sampling.denoised(pipeline, conditions, seeds, settings.sample, named, guidance), labels, seeds


@stage.Stage
def main(
    job: stage.Job,
    settings: GuidedJob,
    threads: int,
    generator: Annotated[Path, "folder of a Stable Diffusion"],
    classifier: Annotated[Path, "model that learned from real images alone"],
    train: Annotated[Path, "ID training images"],
    output: Output,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    description, guide = Description.read(generator), Classifier.load(classifier)
    images, chosen = open_images(train)[0], settings.guidance
    size = images.shape[1], images.shape[2]
    with device_for(gpus) as device:
        pipeline = pipelines.load(generator).to(device)
        guide.network.to(device).requires_grad_(False)
        known, features = logits_and_features(guide, images, device)
        bank = bank_of(features, chosen.k) if chosen.distance else features
        guidance = ClassifierGuidance(pipeline, guide, bank.to(device), size, chosen)
        drawn, labels, seeds = guided_latents(description, guidance, chosen)
        named = outlier_names(description, labels, seeds).__getitem__
        half = stored(drawn, named)
        finished = images_of(pipeline, half.float(), *size, named)
        logits, _ = logits_and_features(guide, finished.numpy(), device)
    partition = logits.logsumexp(1)
    made = {"latents": half, "labels": labels, "seeds": torch.tensor(seeds), "log_partition": partition}
    with job.writing(output) as path:
        header = {"classes": description.classes}
        write_tensors(path, {name: value.numpy() for name, value in made.items()}, header)
    print(
        f"{len(labels)} latents under {guidance}; mean log partition of their images {float(partition.mean()):.3f}, "
        f"of ID training images {float(known.logsumexp(1).mean()):.3f}"
    )


if __name__ == "__main__":
    main()
