"""Section of gpu.py: Stable Diffusion 1 at its true sizes with random weights."""

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.utils import logging
from gpu_figures import Row, Run, Sizes, of_speed, seconds
from transformers import CLIPTextConfig, CLIPTextModel

from synthood.common.arithmetic import resolved_precision
from synthood.generators.diffusion.miniature import NOISE_SCHEDULE, word_tokenizer
from synthood.generators.diffusion.samplers.dpm_solver import StableDiffusionSample
from synthood.generators.diffusion.sampling import sample


def stable_diffusion(sizes: Sizes, device: torch.device) -> Any:
    """A pipeline of Stable Diffusion 1's parts with random weights, float32."""
    depth, (width, layers, heads) = len(sizes.unet), sizes.text
    tokenizer = word_tokenizer(["a", "photo", "of", "the", "cat", "dog"])
    tokenizer.model_max_length = 77
    with torch.device(device):
        unet = UNet2DConditionModel(
            sample_size=sizes.side // 2 ** (len(sizes.vae) - 1),
            block_out_channels=sizes.unet,
            down_block_types=("CrossAttnDownBlock2D",) * (depth - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (depth - 1),
            cross_attention_dim=width,
            attention_head_dim=8,
            norm_num_groups=min(32, sizes.unet[0]),
        )
        vae = AutoencoderKL(
            block_out_channels=sizes.vae,
            down_block_types=("DownEncoderBlock2D",) * len(sizes.vae),
            up_block_types=("UpDecoderBlock2D",) * len(sizes.vae),
            layers_per_block=2,
            norm_num_groups=min(32, sizes.vae[0]),
            sample_size=sizes.side,
        )
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49408 if width == 768 else len(tokenizer),
                hidden_size=width,
                intermediate_size=4 * width,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                projection_dim=width,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
    scheduler = PNDMScheduler(**NOISE_SCHEDULE, skip_prk_steps=True, steps_offset=1)
    pipeline = StableDiffusionPipeline(vae, text, tokenizer, unet, scheduler, None, None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


class Inside:
    """Seconds that a device spends within functions."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.spans: list[tuple[Any, Any]] = []

    def wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            began = self.mark()
            result = function(*args, **more)
            self.spans.append((began, self.mark()))
            return result

        return call

    def mark(self) -> Any:
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def total(self) -> float:
        if self.device.type != "cuda":
            return sum(ended - began for began, ended in self.spans)
        return sum(began.elapsed_time(ended) for began, ended in self.spans) / 1000


def sampling(run: Run) -> Iterator[Row]:
    """Images per second of the sampler and of a plain loop, and the time outside the networks."""
    logging.set_verbosity_error()
    device, sizes = run.device, run.sizes
    pipeline = stable_diffusion(sizes, device)
    for name in ("unet", "vae", "text_encoder"):
        yield Row(
            "sampling", f"weights of {name}", sum(p.numel() for p in getattr(pipeline, name).parameters()) / 1e6, "M"
        )
    count, batch, steps = sizes.usual

    def usual(steps: int) -> None:
        pipeline(["a photo of the cat"] * count, num_inference_steps=steps, guidance_scale=7.5, output_type="np")

    usual(2)
    plain = count / seconds(lambda: usual(steps), device)
    yield Row("sampling", f"float32, batch {batch}, {steps} steps of PNDM", plain, "images/s")

    count, batch, steps = sizes.ours
    dtype = resolved_precision("auto", device)
    inside = Inside(device)
    pipeline.unet.forward = inside.wrapped(pipeline.unet.forward)
    pipeline.vae.decode = inside.wrapped(pipeline.vae.decode)

    def ours(steps: int, count: int) -> None:
        chosen = {"steps": steps, "guidance": 7.5, "batch_size": batch, "precision": str(dtype).removeprefix("torch.")}
        settings = StableDiffusionSample.model_validate(chosen)
        with contextlib.redirect_stdout(io.StringIO()):
            sample(pipeline, ["a photo of the dog"] * count, list(range(count)), settings)

    ours(2, batch)
    inside.spans.clear()
    spent = seconds(lambda: ours(steps, count), device)
    yield Row("sampling", f"{dtype}, batch {batch}, {steps} steps of DPM-Solver++", count / spent, "images/s")
    yield of_speed(sizes, "sampling", "that over the float32 loop", count / spent / plain, "times", 3, False)
    outside = 1 - inside.total() / spent
    yield of_speed(sizes, "sampling", "time outside U-Net and VAE", outside, "share", 0.1, True)
