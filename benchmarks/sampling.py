"""Sampling Stable Diffusion: this pipeline's `fast` sampler against diffusers' plain pipeline call, in one run.

    python benchmarks/sampling.py --results results/digits --images 180

Same weights, prompts and number of images. The peer is `StableDiffusionPipeline.__call__` as the papers' code calls it:
PLMS with 50 steps in float32, batches of 4. Seconds are of the processor on a CPU, so that other jobs on the machine do
not count, and of the clock on a GPU. Label agreement (by the run's judge) and KID (polynomial kernel on the judge's
features, against held-out real images) of `fast` should lie in the peer's bootstrap intervals; `outside` is the
share of its time that is not spent in U-Net, autoencoder and text encoder. Exit code 1 where a bar is missed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import PNDMScheduler, StableDiffusionPipeline
from torch import Tensor

from synthood.common.devices import set_threads
from synthood.common.images import read_images
from synthood.common.seeds import derived_seed
from synthood.generators.diffusion import pipelines, sampling
from synthood.generators.diffusion.prompts import prompts_of
from synthood.generators.diffusion.samplers.dpm_solver import FastSample
from synthood.generators.folder import Description
from synthood.training.networks.model import Classifier, logits_and_features

SPEED, OUTSIDE, LEVEL, RESAMPLES = 3.0, 0.10, 0.95, 1000
CPU = torch.device("cpu")


def seconds(device: torch.device) -> float:
    """Of this process on a CPU, of the clock on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def timed(work: Callable[[], Tensor], device: torch.device) -> tuple[Tensor, float]:
    began = seconds(device)
    return work(), seconds(device) - began


class Inside:
    """Time spent in the networks of a pipeline."""

    def __init__(self, pipeline: StableDiffusionPipeline, device: torch.device) -> None:
        self.total, self.device, self.began = 0.0, device, 0.0
        for network in (pipeline.unet, pipeline.text_encoder, pipeline.vae.decoder, pipeline.vae.post_quant_conv):
            network.register_forward_pre_hook(lambda *_: self.enter())
            network.register_forward_hook(lambda *_: self.leave())

    def enter(self) -> None:
        self.began = seconds(self.device)

    def leave(self) -> None:
        self.total += seconds(self.device) - self.began


def kernel(first: Tensor, second: Tensor) -> Tensor:
    """(x.y / D + 1)^3, as of KID (arXiv 1801.01401)."""
    return (first @ second.T / first.shape[1] + 1) ** 3


def kid(within: Tensor, across: Tensor, real: Tensor, index: Tensor) -> float:
    """Unbiased squared MMD of the images `index` to real ones, pairs of an image with itself left out."""
    count, other = len(index), len(real)
    same = index[:, None] == index[None]
    own = within[index][:, index].masked_fill(same, 0).sum() / (~same).sum()
    theirs = (real.sum() - real.diagonal().sum()) / (other * (other - 1))
    return float(own + theirs - 2 * across[index].sum() / (count * other))


def judged(judge: Classifier, images: Tensor, labels: Tensor, real: Tensor) -> dict[str, np.ndarray]:
    """Agreement and KID, first of the images themselves, then of bootstrap resamples."""
    logits, features = logits_and_features(judge, images.numpy(), CPU)
    right = (logits.argmax(1) == labels).double()
    features, real = features.double(), real.double()
    parts = kernel(features, features), kernel(features, real), kernel(real, real)
    random = torch.Generator().manual_seed(0)
    draws = [torch.randint(0, len(images), (len(images),), generator=random) for _ in range(RESAMPLES)]
    every = [torch.arange(len(images)), *draws]
    return {
        "agreement": np.array([float(right[index].mean()) for index in every]),
        "KID": np.array([kid(*parts, index) for index in every]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results/digits"), help="of a finished demo")
    parser.add_argument("--generator", default="sd")
    parser.add_argument("--judge", default="judge/seed1000")
    parser.add_argument("--images", type=int, default=180)
    parser.add_argument("--steps", type=int, default=20, help="of `fast`")
    parser.add_argument("--guidance", type=float, default=2.5)
    parser.add_argument("--batch", type=int, default=60, help="of `fast`")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    set_threads(options.threads)
    device = torch.device(options.device)
    folder = options.results / "generators" / options.generator
    description = Description.read(folder)
    labels = torch.arange(options.images) % len(description.classes)
    seeds = [derived_seed(0, "image", index) for index in range(options.images)]
    prompts = prompts_of(description, [], labels.tolist(), seeds)

    peer = pipelines.load(folder).to(device)
    peer.scheduler = PNDMScheduler.from_config(peer.scheduler.config, skip_prk_steps=True)

    def plain() -> Tensor:
        made = []
        for first in range(0, options.images, 4):
            batch = slice(first, first + 4)
            made.append(
                peer(
                    prompts[batch],
                    num_inference_steps=50,
                    guidance_scale=options.guidance,
                    generator=[torch.Generator().manual_seed(seed) for seed in seeds[batch]],
                    output_type="pt",
                ).images.cpu()
            )
        return (torch.cat(made).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)

    pipeline = pipelines.load(folder).to(device)
    inside = Inside(pipeline, device)
    settings = FastSample(sampler="fast", steps=options.steps, guidance=options.guidance, batch_size=options.batch)
    sampling.sample(pipeline, prompts[:1], seeds[:1], settings.model_copy(update={"steps": 1}))
    inside.total = 0.0
    ours, fast = timed(lambda: sampling.sample(pipeline, prompts, seeds, settings), device)
    outside = 1 - inside.total / fast
    theirs, slow = timed(plain, device)

    judge = Classifier.load(options.results / "models" / options.judge / "model.safetensors")
    _, real = logits_and_features(judge, read_images(options.results / "images" / "test.safetensors").images, CPU)
    found, reference = judged(judge, ours, labels, real), judged(judge, theirs, labels, real)
    kept = [slow / fast >= SPEED, outside <= OUTSIDE]
    print(f"{options.images} images, {options.threads} threads on {device}, guidance {options.guidance}")
    print(f"plain 50 steps: {slow:.1f} s; fast {options.steps} steps: {fast:.1f} s; {slow / fast:.1f}x (bar {SPEED}x)")
    print(f"outside the networks: {outside:.1%} (bar {OUTSIDE:.0%})")
    for name, values in found.items():
        low, high = np.quantile(reference[name][1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        kept.append(bool(low <= values[0] <= high))
        print(
            f"{name}: fast {values[0]:.4f}; plain {reference[name][0]:.4f}, {LEVEL:.0%} interval {low:.4f}, {high:.4f}"
        )
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
