"""DPM-Solver++ of second order."""

from typing import Annotated, Any, Literal

from pydantic import Field

from synthood.generators.diffusion.samplers.base import Guidance, Sampler, Steps


class DpmSolver(Sampler):
    """DPM-Solver++ of second order."""

    def scheduler(self, pipeline: Any) -> Any:
        from diffusers import DPMSolverMultistepScheduler

        config = pipeline.scheduler.config
        return DPMSolverMultistepScheduler.from_config(config, algorithm_type="dpmsolver++", solver_order=2)


class StableDiffusionSample(DpmSolver):
    """DPM-Solver++ (arXiv 2211.01095) with the steps and guidance that a miniature wants."""

    is_default = True

    sampler: Literal["miniature"] = "miniature"
    steps: Steps = 10
    guidance: Guidance = 2.0
    batch_size: Annotated[
        int, Field(ge=1, description="images sampled at once; part of the result's last bits; halved without memory")
    ] = 100


class FastSample(DpmSolver):
    """DPM-Solver++ of second order (arXiv 2211.01095); what a pretrained checkpoint is sampled with by default."""

    sampler: Literal["fast"] = "fast"
    steps: Steps = 20
    guidance: Guidance = 7.5
