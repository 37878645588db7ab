"""In which precision the networks of a Stable Diffusion sample, and what to do where it does not suffice."""

import torch
from diffusers import StableDiffusionPipeline

from synthood.common.finite import check_state
from synthood.generators.diffusion.samplers.base import Sampler

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
NETWORKS = ("unet", "text_encoder", "text_encoder_2", "vae")
OVERFLOW = "float16 ends at 65504: set `sample.precision: float32`"


def sampling_dtype(precision: str, device: torch.device) -> torch.dtype:
    """`auto` is float32 on a CPU, where 1 of 255 must not depend on the batch, and half as wide on a GPU."""
    if precision != "auto":
        return PRECISIONS[precision]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def prepare(pipeline: StableDiffusionPipeline, settings: Sampler) -> None:
    """Brings the networks to the precision of sampling; raises SynthoodError where a weight overflows float16.

    With float16 the autoencoder computes in float32 where its configuration says `force_upcast`, as is the default:
    its activations overflow first.
    """
    dtype = sampling_dtype(settings.precision, pipeline.device)
    for name in NETWORKS:
        if (network := getattr(pipeline, name, None)) is None:
            continue
        upcast = name == "vae" and dtype == torch.float16 and network.config.get("force_upcast", True)
        if network.dtype == (wanted := torch.float32 if upcast else dtype):
            continue
        network.to(wanted)
        if wanted == torch.float16:
            check_state(network.state_dict(), name, OVERFLOW)
    if dtype == torch.float16:
        print(f"sampling in float16, the autoencoder in {str(pipeline.vae.dtype).removeprefix('torch.')}", flush=True)
    if pipeline.device.type == "cuda":
        pipeline.unet.to(memory_format=torch.channels_last)
    if settings.compile and pipeline.unet._compiled_call_impl is None:
        pipeline.unet.compile()


def remedy(network: torch.nn.Module) -> str:
    """What to do where a network's output is not finite."""
    if next(network.parameters()).dtype == torch.float16:
        return OVERFLOW
    return "check the checkpoint, its variant, and `sample.guidance`"
