"""PLMS, a pseudo linear multistep method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from synthood.generators.diffusion.samplers.base import Guidance, Sampler, Steps

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline


class PaperSample(Sampler):
    """PLMS (arXiv 2202.09778), as Dream-OOD and OAL sample."""

    sampler: Literal["paper"] = "paper"
    steps: Steps = 50
    guidance: Guidance = 7.5

    def scheduler(self, pipeline: StableDiffusionPipeline) -> Any:
        from diffusers import PNDMScheduler

        return PNDMScheduler.from_config(pipeline.scheduler.config, skip_prk_steps=True)
