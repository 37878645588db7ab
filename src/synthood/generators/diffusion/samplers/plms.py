"""PLMS, a pseudo linear multistep method."""

from typing import Any, Literal

from synthood.generators.diffusion.samplers.base import Guidance, Sampler, Steps


class PaperSample(Sampler):
    """PLMS (arXiv 2202.09778), as Dream-OOD and OAL sample."""

    sampler: Literal["paper"] = "paper"
    steps: Steps = 50
    guidance: Guidance = 7.5

    def scheduler(self, pipeline: Any) -> Any:
        from diffusers import PNDMScheduler

        return PNDMScheduler.from_config(pipeline.scheduler.config, skip_prk_steps=True)
