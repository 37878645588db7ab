"""Which floating-point type a job computes in."""

from contextlib import nullcontext

import torch

from synthood.common.precision import Precision


def resolved_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 where the processor has instructions for it; a timing could differ from run to run."""
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast | nullcontext[None]:
    """Mixed precision, or nothing for float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
