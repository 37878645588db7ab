"""Stage `invert`: a token for each ID image, under whose prompt the generator denoises that image best (NCIS)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from torch import Tensor, nn

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.finite import check_rows
from synthood.common.images import open_set
from synthood.common.iterate import Iteration, ResumeFile
from synthood.common.seeds import generator as seeded
from synthood.common.tensors import write_tensors
from synthood.errors import SynthoodError
from synthood.generators.diffusion import pipelines, prompt_tokens
from synthood.generators.diffusion.adaptation import target
from synthood.generators.folder import Description
from synthood.outliers.class_words import anchors_of, text_encoder_digest
from synthood.outliers.inverted_settings import InversionSettings
from synthood.outliers.latent_images import id_latents
from synthood.outliers.spaces import EmbeddingSpace
from synthood.training.feed import Labelled


class Inverted(nn.Module):
    """Tokens float32 [N,D] of images, and their losses float32 [N] on new noise under the word and under the token."""

    tokens: Tensor
    word_loss: Tensor
    token_loss: Tensor

    def __init__(self, tokens: Tensor) -> None:
        super().__init__()
        self.register_buffer("tokens", tokens.clone())
        for name in ("word_loss", "token_loss"):
            self.register_buffer(name, torch.zeros(len(tokens)))


@dataclass(frozen=True)
class Denoising:
    """The loss of a generator by the token in the place of the class word; words are their embeddings [C,D]."""

    pipeline: StableDiffusionPipeline
    description: Description
    words: Tensor
    noising: DDPMScheduler
    settings: InversionSettings

    @classmethod
    def of(
        cls, pipeline: StableDiffusionPipeline, description: Description, settings: InversionSettings
    ) -> "Denoising":
        """With all weights held; raises SynthoodError at a class word without a token or outside the prompt."""
        words = anchors_of(pipeline, description.class_words, "token")
        for word, own in zip(description.class_words, words, strict=True):
            prompt_tokens.encoded_with(pipeline, description.prompt, word, own[None])
        for network in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
            network.eval().requires_grad_(False)
        return cls(pipeline, description, words, DDPMScheduler.from_config(pipeline.scheduler.config), settings)

    def draws(self, latents: Tensor, names: list[str], step: int | str) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Noise [B,S,...] and times [B,S], each image's by its own name, in parts of a batch; and a part's share."""
        random = [seeded(self.settings.seed, "inversion", name, step) for name in names]
        count, all_times = self.settings.draws, self.noising.config.num_train_timesteps
        noise = torch.stack([torch.randn((count, *latents.shape[1:]), generator=one) for one in random])
        time = torch.stack([torch.randint(0, all_times, (count,), generator=one) for one in random])
        most = max(1, self.settings.batch_size // len(names))
        for part, when in zip(noise.split(most, 1), time.split(most, 1), strict=True):
            yield part.to(latents.device), when.to(latents.device), part.shape[1] / count

    def loss(self, latents: Tensor, tokens: Tensor, label: int, noise: Tensor, time: Tensor) -> Tensor:
        """Mean squared errors [B] of latents [B,c,h,w], noise [B,S,c,h,w] and times [B,S], under tokens [B,D]."""
        word = self.description.class_words[label]
        states = prompt_tokens.inserted(self.pipeline, self.description.prompt, word, tokens)
        draws = noise.shape[1]
        clean, states = (each.repeat_interleave(draws, 0) for each in (latents, states))
        noise, time = noise.flatten(0, 1), time.flatten()
        predicted = self.pipeline.unet(self.noising.add_noise(clean, noise, time), time, states).sample
        errors = (predicted - target(self.noising, clean, noise, time)).square()
        return errors.flatten(1).mean(1).view(-1, draws).mean(1)

    @torch.no_grad()
    def new_loss(self, latents: Tensor, tokens: Tensor, label: int, names: list[str]) -> Tensor:
        """Losses [B] on noise that no token was fitted to."""
        parts = [
            share * self.loss(latents, tokens, label, noise, time)
            for noise, time, share in self.draws(latents, names, "new")
        ]
        return torch.stack(parts).sum(0)

    def fitted(self, latents: Tensor, word: Tensor, label: int, names: list[str]) -> Tensor:
        """Tokens [B,D] of latents [B,c,h,w] of one class, from its word [D] on; each as if it were alone."""
        tokens = word.repeat(len(latents), 1).requires_grad_()
        rate = self.settings.learning_rate * float(word.square().mean().sqrt())
        optimizer = torch.optim.Adam([tokens], rate)
        for step in range(self.settings.steps):
            optimizer.zero_grad()
            for noise, time, share in self.draws(latents, names, step):
                (share * self.loss(latents, tokens, label, noise, time).sum()).backward()
            optimizer.step()
        return tokens.detach()


def inverted(
    denoising: Denoising, latents: Tensor, labels: Tensor, part: str, rows: Tensor, resume: ResumeFile
) -> Inverted:
    """Tokens of scaled latents float32 [N,c,h,w] of the images `rows` [N] of a part, with labels int64 [N].

    Some images of a class at a time. Raises SynthoodError at the first image whose token is not finite.
    """
    pipeline, settings, words = denoising.pipeline, denoising.settings, denoising.words
    found = Inverted(words[labels])
    at_once = max(1, settings.batch_size // settings.draws)
    chunks = [
        (label, chunk) for label in range(len(words)) for chunk in (labels == label).nonzero()[:, 0].split(at_once)
    ]
    chunks = [(label, chunk) for label, chunk in chunks if len(chunk)]
    loop = Iteration(f"inversion of {part} images", len(chunks), resume, {"inverted": found})
    for number in loop:
        label, chunk = chunks[number]
        names = [f"{part} image {row}" for row in rows[chunk].tolist()]
        own, word = latents[chunk].to(pipeline.device), words[label].to(pipeline.device)
        tokens = denoising.fitted(own, word, label, names)
        called = [f"{name} (class {denoising.description.classes[label]!r})" for name in names]
        check_rows(tokens, called.__getitem__, "the numbers of its token", "lower inversion.learning_rate")
        found.tokens[chunk] = tokens.cpu()
        found.word_loss[chunk] = denoising.new_loss(own, word.expand_as(tokens), label, names).cpu()
        found.token_loss[chunk] = denoising.new_loss(own, tokens, label, names).cpu()
        losses = {name: float(getattr(found, name)[chunk].mean()) for name in ("word_loss", "token_loss")}
        loop.check(number, settings.learning_rate, None, **losses)
    return found


def chosen_rows(labels: Tensor, settings: InversionSettings, part: str) -> Tensor:
    """Which images of a part with labels [N] are inverted, int64 in rising order."""
    if settings.per_class is None:
        return torch.arange(len(labels))
    found = []
    for label in labels.unique().tolist():
        members = (labels == label).nonzero()[:, 0]
        order = torch.randperm(len(members), generator=seeded(settings.seed, "inverted images", part, label))
        found.append(members[order[: settings.per_class]])
    return torch.cat(found).sort().values


def latents_of(pipeline: StableDiffusionPipeline, images: Labelled, rows: Tensor) -> Tensor:
    """Scaled latents float32 [N,c,h,w] of some images."""
    every = len(rows) == len(images)
    return id_latents(pipeline, images.images if every else np.asarray(images.images[rows.numpy()]))


def opened(path: Path, description: Description, fewest: int = 0) -> Labelled:
    """A part's images; raises SynthoodError where the generator knows other classes, or a class has too few."""
    images = open_set(path)
    if images.classes != description.classes:
        raise SynthoodError(
            f"{path}: its classes are {', '.join(images.classes)}, the generator's {', '.join(description.classes)}; "
            f"fit the generator to this dataset"
        )
    for name, count in zip(images.classes, np.bincount(images.labels, minlength=len(images.classes)), strict=True):
        if count < fewest:
            many = f"{count} image{'' if count == 1 else 's'}"
            raise SynthoodError(
                f"{path}: class {name!r} has {many}, and a manifold needs {fewest}; give it more, or leave it out of "
                f"the dataset's `classes`"
            )
    return images


@stage.Stage
def main(
    job: stage.Job,
    settings: InversionSettings,
    threads: int,
    train: Annotated[Path, "ID training images"],
    val: Annotated[Path, "ID validation images, whose tokens no manifold is fitted to"],
    generator: Annotated[Path, "folder of a Stable Diffusion"],
    output: Output,
    resume: Annotated[Path | None, "folder for the state of an unfinished fit"] = None,
    save_seconds: Annotated[float, "time between two saved states"] = stage.SAVE_SECONDS,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    description = Description.read(generator)
    parts = {"training": opened(train, description, fewest=2), "validation": opened(val, description)}
    state, arrays = ResumeFile(resume, job.fingerprint, save_seconds), dict[str, np.ndarray]()
    with device_for(gpus) as device:
        pipeline = pipelines.load(generator).to(device)
        denoising = Denoising.of(pipeline, description, settings)
        for part, images in parts.items():
            labels = torch.from_numpy(np.asarray(images.labels))
            rows = chosen_rows(labels, settings, part)
            labels = labels[rows]
            found = inverted(denoising, latents_of(pipeline, images, rows), labels, part, rows, state)
            made = {"embeddings": found.tokens, "labels": labels, "rows": rows}
            made |= {"word_loss": found.word_loss, "token_loss": found.token_loss}
            prefix = "held_out_" if part == "validation" else ""
            arrays |= {f"{prefix}{key}": value.numpy() for key, value in made.items()}
            print(
                f"{len(rows)} {part} images: denoising loss on new noise {float(found.word_loss.mean()):.4f} under the "
                f"class word, {float(found.token_loss.mean()):.4f} under the image's own token"
            )
        space = EmbeddingSpace("inversion", "token", text_encoder_digest(pipeline))
    with job.writing(output) as path:
        write_tensors(path, arrays, {"classes": description.classes, "space": space.header()})
    state.clear()


if __name__ == "__main__":
    main()
