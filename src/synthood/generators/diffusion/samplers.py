"""Which of diffusers' schedulers a sampler of the configuration is."""

from typing import Any

from diffusers import DPMSolverMultistepScheduler, LCMScheduler, PNDMScheduler, StableDiffusionPipeline

from synthood.generators.diffusion.sampler_settings import FewStepSample, PaperSample, Sample


def scheduler_for(pipeline: StableDiffusionPipeline, settings: Sample) -> Any:
    """A fresh scheduler on the checkpoint's own noise schedule, its steps not yet set.

    `few-step` keeps the sampler of a checkpoint whose time steps trail, as Turbo's do, and is LCM for all others.
    """
    config = pipeline.scheduler.config
    match settings:
        case PaperSample():
            return PNDMScheduler.from_config(config, skip_prk_steps=True)
        case FewStepSample():
            own = config.get("timestep_spacing") == "trailing"
            return type(pipeline.scheduler).from_config(config) if own else LCMScheduler.from_config(config)
        case _:
            return DPMSolverMultistepScheduler.from_config(config, algorithm_type="dpmsolver++", solver_order=2)
