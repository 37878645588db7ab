"""Drawing images against diffusers' pipeline and pytorch-pretrained-biggan's loop: python benchmarks/sampling.py

Stable Diffusion: the sampler `fast`, 20 steps of DPM-Solver++, against `StableDiffusionPipeline.__call__` as the
papers' code calls it: PLMS with 50 steps in float32, batches of 4. Same weights, prompts, guidance and number of
images, of the demo's size. Bar: 4 times. BigGAN: our batches against the package's network, noise and conversion in
batches of 10, at 64 px with random weights.

Weights are random, unless `--results` holds a finished demo. With it, label agreement (by the run's judge) and KID
(polynomial kernel on the judge's features, against held-out real images) of `fast` must lie in the peer's 95 %
bootstrap intervals.
"""

import contextlib
import io
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from bench import options, run
from compare import Measurement, figure, measured
from diffusers import PNDMScheduler, StableDiffusionPipeline
from machine import limit, operations
from pytorch_pretrained_biggan import one_hot_from_int, truncated_noise_sample
from torch import Tensor

from synthood.common.images import read_images
from synthood.common.seeds import derived_seed
from synthood.generators.biggan import network as biggan
from synthood.generators.diffusion import miniature, pipelines, sampling
from synthood.generators.diffusion.prompts import prompts_of
from synthood.generators.diffusion.samplers.dpm_solver import FastSample
from synthood.generators.diffusion.settings import StableDiffusionFit
from synthood.generators.folder import Description
from synthood.generators.quality.frechet import kernel, squared_discrepancy
from synthood.training.networks.model import Classifier, logits_and_features

FASTER, LEVEL, RESAMPLES, GUIDANCE, STEPS, PAPER_STEPS = 4.0, 0.95, 1000, 2.5, 20, 50
TRUNCATION = 0.5
CPU = torch.device("cpu")


def random_weights(count: int) -> tuple[StableDiffusionPipeline, list[str]]:
    """The demo's miniature before its fit, and prompts."""
    prompts = [f"a photo of the {name}" for name in ("one", "two", "three", "four", "five", "six")]
    pipeline = miniature.build(prompts, 32, StableDiffusionFit(autoencoder_steps=1, denoiser_steps=1))
    return pipeline, [prompts[i % len(prompts)] for i in range(count)]


def diffusion(given: Namespace, count: int, turns: int, seconds: float) -> Iterator[Measurement]:
    """`fast` against the plain pipeline."""
    folder = given.results / "generators" / "sd"
    fitted = folder.is_dir()
    seeds = [derived_seed(0, "image", index) for index in range(count)]
    labels = torch.zeros(count, dtype=torch.int64)
    if fitted:
        description = Description.read(folder)
        labels = torch.arange(count) % len(description.classes)
        pipeline, peer = pipelines.load(folder), pipelines.load(folder)
        prompts = prompts_of(description, [], labels.tolist(), seeds)
    else:
        pipeline, prompts = random_weights(count)
        peer, _ = random_weights(count)
    peer.scheduler = PNDMScheduler.from_config(peer.scheduler.config, skip_prk_steps=True)
    settings = FastSample(sampler="fast", steps=STEPS, guidance=GUIDANCE, batch_size=min(60, count))

    def ours() -> Tensor:
        with contextlib.redirect_stdout(io.StringIO()):
            return sampling.sample(pipeline, prompts, seeds, settings)

    def theirs() -> Tensor:
        made = []
        for first in range(0, count, 4):
            batch = slice(first, first + 4)
            random = [torch.Generator().manual_seed(seed) for seed in seeds[batch]]
            told = {"num_inference_steps": PAPER_STEPS, "guidance_scale": GUIDANCE, "output_type": "pt"}
            made.append(peer(prompts[batch], generator=random, **told).images)
        return (torch.cat(made).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)

    what = f"{count} images of Stable Diffusion, {'the demo' if fitted else 'random weights'}"
    name, least = "diffusers, PLMS, 50 steps", limit(operations(ours))
    yield measured(what, ours, name, theirs, turns, seconds, bar=FASTER, limit=least)
    if fitted:
        yield from alike(given.results, ours(), theirs(), labels)


def alike(results: Path, ours: Tensor, theirs: Tensor, labels: Tensor) -> Iterator[Measurement]:
    """How far agreement and KID lie from the peer's, in half widths of its interval."""
    judge = Classifier.load(results / "models" / "judge" / "seed1000" / "model.safetensors")
    _, real = logits_and_features(judge, read_images(results / "images" / "test.safetensors").images, CPU)
    random = np.random.default_rng(0)
    counts = random.multinomial(len(ours), np.full(len(ours), 1 / len(ours)), RESAMPLES).astype(np.float64)
    found = []
    for images in (ours, theirs):
        logits, features = (part.numpy() for part in logits_and_features(judge, images.numpy(), CPU))
        right = (logits.argmax(1) == labels.numpy()).astype(np.float64)
        kernels = kernel(features, features), kernel(real.numpy(), real.numpy()), kernel(features, real.numpy())
        every = np.concatenate([np.ones((1, len(images))), counts])
        distances = squared_discrepancy(*kernels, every, np.ones((len(every), len(real))))
        found.append({"label agreement": every @ right / len(images), "KID": distances})
    for name, own in found[0].items():
        low, high = np.quantile(found[1][name][1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        away = abs(own[0] - (low + high) / 2) / max((high - low) / 2, 1e-9)
        yield figure(f"{name}: {own[0]:.4f}, peer {found[1][name][0]:.4f}", float(away), 1.0, "half intervals")


def gan(count: int, turns: int, seconds: float) -> Measurement:
    """BigGAN's batches against the package's own loop."""
    network = biggan.build(10, 64, 32, seed=0, side=64).eval()
    biggan.store_truncation_statistics(network, 0, [round(TRUNCATION * (biggan.TRUNCATION_ROWS - 1))])
    labels = torch.arange(count) % 10

    def ours() -> Tensor:
        return biggan.sample(network, labels, list(range(count)), TRUNCATION)

    @torch.no_grad()
    def theirs() -> np.ndarray:
        made = []
        for part in labels.split(10):
            noise = torch.from_numpy(truncated_noise_sample(len(part), 64, TRUNCATION))
            classes = torch.from_numpy(one_hot_from_int(part.tolist(), len(part)))[:, :10]
            made.append(((network(noise, classes, TRUNCATION) + 1) * 127.5).clamp(0, 255).byte())
        return torch.cat(made).permute(0, 2, 3, 1).numpy()

    what, least = f"{count} images of BigGAN at 64 px", limit(operations(ours))
    return measured(what, ours, "pytorch-pretrained-biggan", theirs, turns, seconds, limit=least)


def rows(given: Namespace) -> Iterator[Measurement]:
    count, turns, seconds = (20, 3, 4.0) if given.quick else (180, 9, 240.0)
    yield from diffusion(given, count, turns, seconds)
    yield gan(count, turns, seconds)


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--results", type=Path, default=Path("results/digits"), help="of a finished demo")
    sys.exit(run("sampling", rows, parser.parse_args()))
