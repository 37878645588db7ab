"""Samplers of checkpoints that are distilled for few steps."""

from typing import Annotated, Any, Literal

from pydantic import Field

from synthood.generators.diffusion.samplers.base import Guidance, Sampler


class FewStepSample(Sampler):
    """Checkpoints distilled for few steps: LCM and LCM-LoRA (arXiv 2311.05556), Turbo (arXiv 2311.17042)."""

    sampler: Literal["few-step"] = "few-step"
    steps: Annotated[int, Field(ge=1, le=8, description="of LCM, or of the checkpoint's own sampler")] = 4
    guidance: Guidance = 1.0

    def scheduler(self, pipeline: Any) -> Any:
        """The sampler of a checkpoint whose time steps trail, as Turbo's do; LCM for all others."""
        from diffusers import LCMScheduler

        config = pipeline.scheduler.config
        own = config.get("timestep_spacing") == "trailing"
        return type(pipeline.scheduler).from_config(config) if own else LCMScheduler.from_config(config)
